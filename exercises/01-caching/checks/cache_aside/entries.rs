//! What stands in the cache: what a hit costs, how long an entry lives, what is not kept.

use super::*;

pub(super) async fn hit_is_one_round_trip<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    reader.proxy.reset_count();
    let loads = scene.database.loads();
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    if scene.database.loads() > loads {
        let evidence = Evidence::new("the second read from the cache", "it was loaded again");
        return Err(evidence.at(scene.last("database", "load")).into());
    }
    let counts = reader.proxy.counts();
    if counts.round_trips != 1 {
        let commands: Vec<_> = counts.commands.keys().map(String::as_str).collect();
        let saw = format!("{}: {}", counts.round_trips, commands.join(", "));
        return Err(Evidence::new("one round trip", saw).at(reader.last_answer()).into());
    }
    Ok(())
}

pub(super) async fn ttl_is_spread<S: CacheAside>(world: World) -> Result<(), Finding> {
    const ENTRIES: usize = 100;
    let options = Options { jitter: 0.5, ..PATIENT };
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", options).await?;
    for n in 0..ENTRIES {
        let key = format!("shelf:{n}");
        scene.database.write(&key, scene.old);
        reader.judge(get(&reader, &key).await, scene.old)?;
    }
    let mut look = scene.world.look().await?;
    let mut seconds = BTreeSet::new();
    let mut entries = 0;
    // The time since the first entry was written is not jitter.
    let shortest = options.ttl.mul_f64(1.0 - options.jitter).saturating_sub(SOON);
    let mut out_of_range = None;
    for key in scene.entries().await? {
        let millis: i64 = look.pttl(&key).await?;
        let life = u64::try_from(millis).ok().map(Duration::from_millis);
        if life.is_some_and(|life| (shortest..=options.ttl).contains(&life)) {
            entries += 1;
            seconds.insert(millis / 1_000);
        } else if life.is_none() || out_of_range.is_none() {
            out_of_range = Some((key, life));
        }
    }
    // A lease or a version may live for another time than a value does, but nothing for ever.
    if let Some((key, life)) = out_of_range
        && (entries < ENTRIES || life.is_none())
    {
        let expected = format!("{key} to live between {shortest:?} and {:?}", options.ttl);
        let saw = life.map_or("it lives for ever".to_owned(), |life| format!("{life:?}"));
        return Err(Evidence::new(expected, saw).at(scene.last("reader", &key)).into());
    }
    if entries < ENTRIES {
        let (expected, saw) = (format!("{ENTRIES} entries"), entries.to_string());
        return Err(Evidence::new(expected, saw).into());
    }
    // 100 draws fill 29 of 30 seconds on average; fewer than 10 has a probability below 1e-20.
    if seconds.len() < 10 {
        let expected = format!("{ENTRIES} entries, written together, to expire apart");
        let saw = format!("they expire in {} of 30 possible seconds", seconds.len());
        return Err(Evidence::new(expected, saw).into());
    }
    Ok(())
}

pub(super) async fn short_ttl<S: CacheAside>(world: World) -> Result<(), Finding> {
    let options = Options { ttl: Duration::from_millis(400), jitter: 0.0, ..PATIENT };
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", options).await?;
    let expected = format!("an entry that lives for {:?}", options.ttl);
    reader.becomes_cached(&expected, || get(&reader, &scene.key)).await?;
    // A write that nobody tells the cache of is seen when the entry has come to its end.
    scene.database.write(&scene.key, scene.new);
    tokio::time::sleep(options.ttl + Duration::from_millis(100)).await;
    scene.world.history().note("reader", format!("(a ttl of {:?} has passed)", options.ttl));
    reader.judge(get(&reader, &scene.key).await, scene.new)
}

pub(super) async fn no_entry_without_ttl<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut look = scene.world.look().await?;
    let mut landed = 0;
    // Every step of a miss, one after the other: first its request is lost, then its reply.
    'steps: for step in 1..=12 {
        for reply in [false, true] {
            scene.world.history().turn_page();
            let key = format!("shelf:{step}{}", if reply { "b" } else { "a" });
            scene.database.write(&key, scene.old);
            let reader = scene.cache::<S>("reader", PATIENT).await?;
            let cut = match reply {
                false => reader.proxy.cut_request(move |request| request.nth == step),
                true => reader.proxy.cut_reply(move |request| request.nth == step),
            };
            reader.judge(get(&reader, &key).await, scene.old)?;
            if cut.count() == 0 {
                break 'steps;
            }
            landed += 1;
            // What the subject does behind its caller's back belongs to the step as well.
            tokio::time::sleep(Duration::from_millis(5)).await;
            for left in scene.entries().await? {
                if look.pttl::<_, i64>(&left).await? == -1 {
                    let saw = format!("{left} lives for ever");
                    let evidence = Evidence::new("a TTL on every key", saw);
                    return Err(evidence.at(scene.last("reader", "✂")).into());
                }
            }
        }
    }
    if landed < 4 {
        let why =
            format!("only {landed} steps of a miss could be cut; a cache that fills has more");
        return Err(Finding::inconclusive(why));
    }
    Ok(())
}

pub(super) async fn only_its_key<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    scene.database.write("shelf:1", scene.new);
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    reader.judge(get(&reader, "shelf:1").await, scene.new)?;
    change(&scene, &reader).await?;
    let loads = scene.database.loads();
    reader.judge(get(&reader, "shelf:1").await, scene.new)?;
    if scene.database.loads() > loads {
        let expected = "shelf:1 from the cache: only the other key was invalidated";
        let evidence = Evidence::new(expected, "it was loaded again");
        return Err(evidence.at(scene.last("reader", "invalidate")).into());
    }
    reader.judge(get(&reader, &scene.key).await, scene.new)
}

pub(super) async fn error_is_not_cached<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let down = scene.world.fault("the database is down");
    scene.database.fail(true);
    let failed = get(&reader, &scene.key).await;
    if !matches!(failed, Err(Error::Load(OriginDown))) {
        let evidence = Evidence::new("the load's own error", format!("{failed:?}"));
        return Err(evidence.at(reader.last_answer()).into());
    }
    scene.database.fail(false);
    drop(down);
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let expected = "hits again soon after the database came back";
    reader.becomes_cached(expected, || get(&reader, &scene.key)).await
}

pub(super) async fn unreadable_entry<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let keys = scene.entries().await?;
    if keys.is_empty() {
        return Err(Finding::inconclusive("the cache holds no entry that could be spoilt"));
    }
    let mut look = scene.world.look().await?;
    for key in keys {
        // What a newer version of the program may have written.
        let mut spoil = redis::cmd("SET");
        spoil.arg(&key).arg("{\"schema\":2}").arg("KEEPTTL");
        let _: () = spoil.query_async(&mut look).await?;
        scene.world.history().note("reader", format!("(somebody spoils {key})"));
    }
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let expected = "the spoilt entry to be replaced by a good one";
    reader.becomes_cached(expected, || get(&reader, &scene.key)).await
}
