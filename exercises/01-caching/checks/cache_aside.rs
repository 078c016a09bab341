//! What a cache beside a database must withstand.

use crate::scene::{Client, Price, SOON, Scene, comes_to};
use caching::cache_aside::{CacheAside, Error, Options};
use grading::{Check, Evidence, Finding, World};
use redis::AsyncCommands;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testbed::origin::OriginDown;
use tokio::task::JoinHandle;

const PAGE: &str = "docs/lessons/cache_aside.md";

/// Long enough that a busy machine does not make Redis look slow; checks about slowness set less.
const PATIENT: Options = Options {
    ttl: Duration::from_secs(60),
    jitter: 0.1,
    timeout: Duration::from_secs(1),
    lease: Duration::from_millis(500),
};

/// The checks, on any cache that fulfils the contract.
pub fn checks<S: CacheAside>() -> Vec<Check> {
    vec![
        Check::new(
            "hit_is_one_round_trip",
            "a hit costs one round trip and no load",
            hit_is_one_round_trip::<S>,
        ),
        Check::new(
            "ttl_is_spread",
            "every entry has a TTL, and entries written together expire apart",
            ttl_is_spread::<S>,
        ),
        Check::new("short_ttl", "a TTL below a second is kept to the millisecond", short_ttl::<S>),
        Check::new(
            "no_entry_without_ttl",
            "wherever the connection breaks, the caller is served and every key expires",
            no_entry_without_ttl::<S>,
        ),
        Check::new(
            "redis_down",
            "with Redis down the database answers, and the cache comes back by itself",
            redis_down::<S>,
        ),
        Check::new(
            "redis_stalls",
            "a Redis that hangs delays a read and does not stop it",
            redis_stalls::<S>,
        ),
        Check::new(
            "slow_reader",
            "a reader whose load is slow does not put the old value back",
            slow_reader::<S>,
        ),
        Check::new(
            "late_refill",
            "a refill that is held up on its way does not put the old value back",
            late_refill::<S>,
        ),
        Check::new(
            "two_readers",
            "a late reader does not store under the next reader's lease",
            two_readers::<S>,
        ),
        Check::new(
            "lost_lookup",
            "a reader whose question to Redis was lost does not put the old value back",
            lost_lookup::<S>,
        ),
        Check::new(
            "redis_forgets",
            "a Redis that lost its memory lets no late reader put the old value back",
            redis_forgets::<S>,
        ),
        Check::new(
            "after_a_write",
            "after a write every reader gets the new value, and it is cached again",
            after_a_write::<S>,
        ),
        Check::new(
            "only_its_key",
            "an invalidation forgets its own key and no other",
            only_its_key::<S>,
        ),
        Check::new(
            "invalidate_tells",
            "an invalidation that never reached Redis is not reported as done",
            invalidate_tells::<S>,
        ),
        Check::new(
            "error_is_not_cached",
            "a failed load is reported, forgotten, and keeps nobody from caching",
            error_is_not_cached::<S>,
        ),
        Check::new(
            "unreadable_entry",
            "an entry that cannot be read is a miss, and is replaced",
            unreadable_entry::<S>,
        ),
        Check::new(
            "cancelled_reader",
            "a reader that goes away in the middle keeps nobody from caching",
            cancelled_reader::<S>,
        ),
    ]
    .into_iter()
    .map(|check| check.read(PAGE))
    .collect()
}

impl Scene {
    async fn cache<S: CacheAside>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        self.client(lane, |url| S::open(url, options)).await
    }
}

type Answer = Result<Price, Error<OriginDown>>;

async fn get<S: CacheAside>(client: &Client<S>, key: &str) -> Answer {
    let answer = client.cache.get(key, client.load(key));
    client.call(format!("get({key})"), answer).await
}

async fn invalidate<S: CacheAside>(client: &Client<S>, key: &str) -> Result<(), redis::RedisError> {
    client.call(format!("invalidate({key})"), client.cache.invalidate(key)).await
}

async fn hit_is_one_round_trip<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn ttl_is_spread<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn short_ttl<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn no_entry_without_ttl<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn redis_down<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let down = scene.world.fault("Redis is down");
    reader.proxy.refuse();
    for _ in 0..3 {
        reader.judge(get(&reader, &scene.key).await, scene.old)?;
    }
    // A program that starts now must start.
    let newcomer = scene.cache::<S>("newcomer", PATIENT).await?;
    newcomer.proxy.refuse();
    newcomer.judge(get(&newcomer, &scene.key).await, scene.old)?;
    reader.proxy.accept().await?;
    newcomer.proxy.accept().await?;
    drop(down);
    for client in [reader, newcomer] {
        let expected = "hits again soon after Redis came back";
        client.becomes_cached(expected, || get(&client, &scene.key)).await?;
    }
    Ok(())
}

async fn redis_stalls<S: CacheAside>(world: World) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(100), ..PATIENT };
    // A read may meet the stall when it connects, when it asks, and when it fills.
    let patience = options.timeout * 10;
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", options).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    reader.proxy.stall();
    for _ in 0..2 {
        let Ok(answer) = tokio::time::timeout(patience, get(&reader, &scene.key)).await else {
            let expected = format!("the database's answer within {patience:?}");
            let evidence = Evidence::new(expected, "the reader still waits for Redis");
            return Err(evidence.at(scene.last("reader", "get(")).into());
        };
        reader.judge(answer, scene.old)?;
    }
    reader.proxy.resume();
    drop(stall);
    let expected = "hits again soon after Redis woke";
    reader.becomes_cached(expected, || get(&reader, &scene.key)).await
}

async fn slow_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    // Once the reader is late by a moment, once by more than its lease.
    let mut scene = Scene::set(world);
    for late in [Duration::ZERO, PATIENT.lease * 3 / 2] {
        scene = Scene::set_anew(scene.world).await?;
        let reader = scene.cache::<S>("reader", PATIENT).await?;
        let writer = scene.cache::<S>("writer", PATIENT).await?;

        let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
        let gate = scene.database.hold_loads();
        let mut reading = tokio::spawn({
            let (reader, key) = (Arc::clone(&reader), scene.key.clone());
            async move { get(&reader, &key).await }
        });
        comes_to(&gate, &mut reading).await?;
        scene.database.stop_holding();
        // The same connection serves another page meanwhile, as a web server's does.
        scene.database.write("shelf:1", scene.old);
        reader.judge(get(&reader, "shelf:1").await, scene.old)?;
        change(&scene, &writer).await?;
        tokio::time::sleep(late).await;
        gate.open();
        drop(slow);
        let _ = reading.await?;
        no_old_value(&scene, &writer, &reader).await?;
    }
    Ok(())
}

async fn late_refill<S: CacheAside>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut held = 0;
    // The first request after the load is held, then the second, until there is none to hold.
    for step in 1..=6 {
        scene = Scene::set_anew(scene.world).await?;
        let reader = scene.cache::<S>("reader", PATIENT).await?;
        let writer = scene.cache::<S>("writer", PATIENT).await?;

        let (database, since_load) = (scene.database.clone(), AtomicUsize::new(0));
        let gate = reader.proxy.hold(move |_| {
            database.loads() > 0 && since_load.fetch_add(1, Ordering::SeqCst) + 1 == step
        });
        // What the reader asks after that waits too, as if its process were paused or dead: it
        // must not need another step to make good what the held one did.
        let frozen = Arc::new(AtomicBool::new(false));
        let pause = reader.proxy.hold({
            let frozen = Arc::clone(&frozen);
            move |_| frozen.load(Ordering::SeqCst)
        });
        let mut reading = start_get(&reader, &scene.key);
        tokio::select! {
            came = gate.arrived(1, SOON) => came?,
            ended = &mut reading => {
                let _ = ended?;
                break;
            }
        }
        held += 1;
        change(&scene, &writer).await?;
        frozen.store(true, Ordering::SeqCst);
        gate.open();
        let ended = tokio::select! {
            came = pause.arrived(1, SOON) => { came?; false }
            ended = &mut reading => { let _ = ended?; true }
        };
        no_old_value(&scene, &writer, &writer).await?;
        frozen.store(false, Ordering::SeqCst);
        pause.open();
        if !ended {
            let _ = reading.await?;
        }
        no_old_value(&scene, &writer, &reader).await?;
    }
    match held {
        0 => Err(Finding::inconclusive("the reader stored nothing: no refill could be held")),
        _ => Ok(()),
    }
}

async fn two_readers<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let early = scene.cache::<S>("early", PATIENT).await?;
    let late = scene.cache::<S>("late", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;

    let slow = scene.world.fault("the early reader has read the old row, and its answer is slow");
    let early_gate = scene.database.hold_loads();
    let mut early_get = start_get(&early, &scene.key);
    comes_to(&early_gate, &mut early_get).await?;
    change(&scene, &writer).await?;
    // The next reader misses, and is about to fill: whatever it left in Redis is not the early
    // reader's.
    let late_gate = scene.database.hold_loads();
    let mut late_get = start_get(&late, &scene.key);
    comes_to(&late_gate, &mut late_get).await?;
    scene.database.stop_holding();
    early_gate.open();
    let _ = early_get.await?;
    no_old_value(&scene, &writer, &early).await?;
    late_gate.open();
    drop(slow);
    late.judge(late_get.await?, scene.new)?;
    no_old_value(&scene, &writer, &late).await
}

async fn lost_lookup<S: CacheAside>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut landed = 0;
    // Every step before the load, one after the other: its request is lost, then its reply.
    'steps: for step in 1..=6 {
        for reply in [false, true] {
            scene = Scene::set_anew(scene.world).await?;
            let reader = scene.cache::<S>("reader", PATIENT).await?;
            let writer = scene.cache::<S>("writer", PATIENT).await?;
            let database = scene.database.clone();
            let before = move |nth| nth == step && database.loads() == 0;
            let cut = match reply {
                false => reader.proxy.cut_request(move |request| before(request.nth)),
                true => reader.proxy.cut_reply(move |request| before(request.nth)),
            };
            let slow = scene.world.fault("the reader has read the old row, its answer is slow");
            let gate = scene.database.hold_loads();
            let mut reading = start_get(&reader, &scene.key);
            comes_to(&gate, &mut reading).await?;
            scene.database.stop_holding();
            if cut.count() == 0 {
                gate.open();
                let _ = reading.await?;
                break 'steps;
            }
            landed += 1;
            // The reader's connection is whole again before it comes to store.
            scene.database.write("shelf:1", scene.old);
            let expected = "hits again soon after one lost request";
            reader.becomes_cached(expected, || get(&reader, "shelf:1")).await?;
            change(&scene, &writer).await?;
            gate.open();
            drop(slow);
            let _ = reading.await?;
            no_old_value(&scene, &writer, &reader).await?;
        }
    }
    match landed {
        0 => Err(Finding::inconclusive("the reader asked Redis nothing before its load")),
        _ => Ok(()),
    }
}

async fn redis_forgets<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
    let gate = scene.database.hold_loads();
    let mut reading = start_get(&reader, &scene.key);
    comes_to(&gate, &mut reading).await?;
    scene.database.stop_holding();
    change(&scene, &writer).await?;
    // A restart without persistence, or an eviction: a cache may forget at any moment.
    let mut look = scene.world.look().await?;
    for key in scene.entries().await? {
        let _: () = look.del(key).await?;
    }
    scene.world.history().note("writer", "(Redis restarts and has forgotten everything)");
    gate.open();
    drop(slow);
    let _ = reading.await?;
    no_old_value(&scene, &writer, &reader).await
}

async fn after_a_write<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    for client in [&reader, &writer] {
        client.becomes_cached("hits", || get(client, &scene.key)).await?;
    }
    change(&scene, &writer).await?;
    let expected = "hits again soon after the write";
    writer.becomes_cached(expected, || get(&writer, &scene.key)).await?;
    no_old_value(&scene, &writer, &reader).await
}

fn start_get<S: CacheAside>(client: &Arc<Client<S>>, key: &str) -> JoinHandle<Answer> {
    let (client, key) = (Arc::clone(client), key.to_owned());
    tokio::spawn(async move { get(&client, &key).await })
}

/// The writer commits a new price and tells the cache.
async fn change<S: CacheAside>(scene: &Scene, writer: &Client<S>) -> Result<(), Finding> {
    scene.database.write(&scene.key, scene.new);
    invalidate(writer, &scene.key).await.map_err(|error| {
        let expected = "invalidate() to work, for Redis is up";
        Evidence::new(expected, error.to_string()).at(writer.last_answer()).into()
    })
}

/// The write was acknowledged: whoever reads from now on reads the new price.
async fn no_old_value<S: CacheAside>(
    scene: &Scene,
    writer: &Client<S>,
    reader: &Client<S>,
) -> Result<(), Finding> {
    let written = scene.last("database", "write");
    let acknowledged = writer.last_answer();
    for client in [writer, reader, writer] {
        let answer = get(client, &scene.key).await;
        if !matches!(answer, Ok(price) if price == scene.new) {
            let expected =
                format!("{:?}: the write was acknowledged before this read began", scene.new);
            let saw = match answer {
                Ok(price) => format!("{price:?}: the reader's copy outlived the write"),
                Err(error) => error.to_string(),
            };
            let evidence = Evidence::new(expected, saw).at(written).at(acknowledged);
            return Err(evidence.at(client.last_answer()).into());
        }
    }
    Ok(())
}

async fn only_its_key<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn invalidate_tells<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;

    let cut_off = scene.world.fault("the writer cannot reach Redis");
    writer.proxy.refuse();
    scene.database.write(&scene.key, scene.new);
    let told = invalidate(&writer, &scene.key).await;
    drop(cut_off);
    let seen = get(&reader, &scene.key).await;
    if told.is_ok() {
        let expected = "an error, so that the writer knows that the old value may live on";
        let saw = match seen {
            Ok(price) => format!("Ok, and the next reader got {price:?}"),
            Err(error) => format!("Ok, and the next reader got an error: {error}"),
        };
        let evidence = Evidence::new(expected, saw).at(writer.last_answer());
        return Err(evidence.at(reader.last_answer()).into());
    }

    // Once more, and the request is lost on its way: an error is honest, Ok must be true.
    // Its connection has to be whole before: an answer that does not repeat the DEL would fail at
    // the dead one, and send nothing that could be lost.
    writer.proxy.accept().await?;
    scene.database.write("shelf:1", scene.old);
    let expected = "hits again soon after Redis came back";
    writer.becomes_cached(expected, || get(&writer, "shelf:1")).await?;
    writer.proxy.reset_count();
    let lost = writer.proxy.cut_request(|request| request.nth == 1);
    let told = invalidate(&writer, &scene.key).await;
    if lost.count() == 0 {
        return Err(Finding::inconclusive("the writer sent no request that could be lost"));
    }
    if told.is_ok() {
        reader.judge(get(&reader, &scene.key).await, scene.new)?;
    }

    // And once more with a Redis that hangs: no answer is no "done".
    let hasty = Options { timeout: Duration::from_millis(100), ..PATIENT };
    let writer = scene.cache::<S>("hasty", hasty).await?;
    writer.becomes_cached("hits", || get(&writer, "shelf:1")).await?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    writer.proxy.stall();
    let patience = hasty.timeout * 10;
    let told = tokio::time::timeout(patience, invalidate(&writer, &scene.key)).await;
    drop(stall);
    match told {
        Ok(Err(_)) => Ok(()),
        Ok(Ok(())) => {
            let expected = "an error: Redis was never told";
            Err(Evidence::new(expected, "Ok").at(writer.last_answer()).into())
        }
        Err(_) => {
            let expected = format!("an error within {patience:?}");
            Err(Evidence::new(expected, "the writer still waits for Redis").into())
        }
    }
}

async fn error_is_not_cached<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn unreadable_entry<S: CacheAside>(world: World) -> Result<(), Finding> {
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

async fn cancelled_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let visitor = scene.cache::<S>("visitor", PATIENT).await?;

    let gate = scene.database.hold_loads();
    let mut reading = tokio::spawn({
        let key = scene.key.clone();
        async move { get(&reader, &key).await }
    });
    comes_to(&gate, &mut reading).await?;
    // Its task is dropped in the middle of the load, and its cache and connection with it: not
    // even a farewell reaches Redis.
    let gone = scene.world.fault("the reader is gone");
    reading.abort();
    let _ = reading.await;
    scene.database.stop_holding();
    drop(gone);

    let Ok(answer) = tokio::time::timeout(SOON, get(&visitor, &scene.key)).await else {
        let evidence = Evidence::new("an answer for the next reader", "it waits for the lost one");
        return Err(evidence.at(scene.last("visitor", "get(")).into());
    };
    visitor.judge(answer, scene.old)?;
    let expected = "hits again soon: the lost reader's lease is for half a second";
    visitor.becomes_cached(expected, || get(&visitor, &scene.key)).await
}
