//! What stands in the journal, and when.

use super::services::undisturbed;
use super::*;
use sagas::saga::Step;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

pub(super) async fn start_to_end<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    for order in [Order::of("Ada"), Order::refused("Grace")] {
        let id = scene.id();
        scene.history().turn_page();
        driver.drives(&id, &order).await?;
        scene.ends(&id, &order, 0).await?;
        let entries = "SELECT entry FROM saga_entry WHERE name = 'checkout' AND id = $1
                       ORDER BY position";
        let entries = scene.ask(entries, &id).await?;
        let read: Result<Vec<Entry>, _> =
            entries.iter().map(|entry| serde_json::from_str(entry)).collect();
        let names: Vec<String> = read
            .map_err(|_| driver.broken("entries as serde writes them", &entries.join(" ")))?
            .iter()
            .map(|entry| match entry {
                Entry::Done { step } => step.clone(),
                Entry::Refused { step, .. } => format!("{step} refused"),
                Entry::Undone { step } => format!("{step} undone"),
                other => format!("{other:?}"),
            })
            .collect();
        let should: Vec<&str> = match order.refused {
            false => order.effects(),
            true => vec![
                "place",
                "reserve",
                "charge",
                "approve refused",
                "charge undone",
                "reserve undone",
                "place undone",
            ],
        };
        if names != should {
            return Err(driver.broken(should.join(", "), &names.join(", ")));
        }
        // The customer's second click.
        driver.drives(&id, &order).await?;
        scene.ends(&id, &order, 0).await?;
    }
    let answer = driver.take_over().await?;
    match answer {
        Ok(taken) if taken == TakenOver::default() => Ok(()),
        answer => Err(driver.broken("nothing to take over", &shown(&answer))),
    }
}

pub(super) async fn entry_before_next<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    for order in [Order::of("Ada"), Order::refused("Ada")] {
        let services = scene.services.clone();
        let missing: Arc<Mutex<Option<String>>> = Arc::default();
        let looks = {
            let (missing, refused) = (Arc::clone(&missing), order.refused);
            let effects = order.effects();
            hook(move |moment: Moment| {
                let (missing, services) = (Arc::clone(&missing), services.clone());
                let before = effects.iter().position(|what| *what == moment.what);
                // The refusal has an entry and no effect.
                let refusal = usize::from(refused && UNDOING.contains(&moment.what));
                let should = before.map_or(3, |before| before + refusal);
                async move {
                    let look = "SELECT count(e.position) FROM saga
                                LEFT JOIN saga_entry e USING (name, id)
                                WHERE id = $1 GROUP BY id";
                    let row = services.tables.row(look, &[&moment.saga]).await;
                    let found = match row {
                        Ok(Some(row)) => row.get::<_, i64>(0),
                        Ok(None) => -1,
                        Err(_) => return Ok(()),
                    };
                    if usize::try_from(found) != Ok(should) {
                        let found = match found {
                            -1 => "no saga".to_owned(),
                            some => format!("{some} entries"),
                        };
                        let saw = format!("{found} when `{}` begins", moment.what);
                        missing.lock().expect("nobody panics here").get_or_insert(saw);
                    }
                    Ok(())
                }
            })
        };
        let driver = scene.driver::<S>("driver", LONG_LEASE, looks).await?;
        let id = scene.id();
        scene.history().turn_page();
        let answer = driver.start(&id, &order).await;
        let missing = missing.lock().expect("nobody panics here").take();
        if let Some(saw) = missing {
            let what = "the saga in the journal, and an entry for all that happened before";
            let part = saw.split('`').nth(1).unwrap_or_default();
            let step = scene.history().last("driver", part);
            return Err(Evidence::new(what, saw).at(step).into());
        }
        if !answer.as_ref().is_ok_and(|outcome| *outcome == order.end()) {
            return Err(driver.broken(format!("{:?}", order.end()), &shown(&answer)));
        }
        scene.ends(&id, &order, 0).await?;
    }
    Ok(())
}

pub(super) async fn two_names<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    let order = Order::of("Ada");
    let id = scene.id();
    let returned = Arc::new(AtomicUsize::new(0));
    let gives_back = |returned: &Arc<AtomicUsize>| {
        let returned = Arc::clone(returned);
        move |_| {
            let returned = Arc::clone(&returned);
            async move {
                returned.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    };
    let other = Saga::named("return").step(Step::new("give back", gives_back(&returned)));
    driver.drives(&id, &order).await?;
    let call = scene.world.invoke("driver", format!("start return {id}"));
    let answer = driver.recovery.start(&other, &id, order.clone()).await;
    call.end_with(&answer);
    let times = returned.load(Ordering::SeqCst);
    if times != 1 {
        let what = "the return carried out, whatever the checkout of the same id";
        return Err(driver.broken(what, &shown(&answer)));
    }
    // Nor does one of the other name take it over.
    let unfinished = scene.id();
    scene.put(&unfinished, &order).await?;
    let answer = driver.recovery.take_over(&other).await;
    let stands = scene.stands(&unfinished).await?;
    if stands != "unfinished" || returned.load(Ordering::SeqCst) != 1 {
        let what = format!("{unfinished} left alone by who takes over returns");
        return Err(driver.broken(what, &format!("{stands}; {}", shown(&answer))));
    }
    scene.recovered(&driver, &[(unfinished.clone(), order.clone())]).await?;
    scene.ends(&unfinished, &order, 0).await
}

pub(super) async fn parked<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::refused("Grace");
    let id = scene.id();
    let full = Arc::new(AtomicBool::new(true));
    let shelf = {
        let full = Arc::clone(&full);
        hook(move |moment: Moment| {
            let full = Arc::clone(&full);
            async move {
                let stuck = moment.what == "release" && full.load(Ordering::SeqCst);
                if stuck && !moment.after {
                    return Err(Failure::Refused("the shelf is gone".to_owned()));
                }
                Ok(())
            }
        })
    };
    let driver = scene.driver::<S>("driver", LONG_LEASE, shelf).await?;
    // Another, found by who takes over.
    let found = scene.id();
    scene.put(&found, &order).await?;
    let answer = driver.take_over().await?;
    if !matches!(answer, Ok(TakenOver { ended: 0, parked: 1, elsewhere: 0, failed: 0 })) {
        let what = "parked: 1, and nothing ended: a compensation is refused";
        return Err(driver.broken(what, &shown(&answer)));
    }
    let answer = driver.start(&id, &order).await;
    if !matches!(answer, Ok(Outcome::Parked)) {
        return Err(driver.broken("Parked: its compensation is refused", &shown(&answer)));
    }
    full.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let answer = driver.take_over().await?;
        let again = driver.start_again(&id, &order).await;
        let stands = scene.stands(&id).await?;
        let left = matches!(answer, Ok(TakenOver { ended: 0, .. }))
            && matches!(again, Ok(Outcome::Parked))
            && stands == "parked"
            && !scene.counted("attempt", &id).await?.contains_key("release");
        if !left {
            let saw = format!("{stands}; take_over: {}; start: {}", shown(&answer), shown(&again));
            return Err(driver.broken("parked: a person has not looked yet", &saw));
        }
    }
    // The person.
    let resumed = serde_json::to_string(&Entry::Resumed).map_err(said)?;
    let write = "WITH one AS (UPDATE saga SET entries = entries + 1, outcome = NULL WHERE id = $1
                              RETURNING name, entries - 1 AS position, token)
                 INSERT INTO saga_entry (name, id, position, token, entry)
                 SELECT name, $1, position, token, $2 FROM one";
    scene.services.tables.rows(write, &[&id, &resumed]).await.map_err(said)?;
    scene.history().note("driver", "(a person writes `resumed` into the journal)");
    scene.recovered(&driver, &[(id.clone(), order.clone())]).await?;
    scene.ends(&id, &order, 0).await
}

/// Of an older version of the program: nobody can read them any more, and nobody has to.
const ENDED_LONG_AGO: &str = "
    WITH old AS (
        INSERT INTO saga (name, id, context, token, claims, entries, outcome)
        SELECT 'checkout', 'old-' || nth, '{\"version\":1}', 1, 1, 1,
               (ARRAY['completed', 'compensated', 'parked'])[1 + nth % 3]
        FROM generate_series(1, 400) AS nth RETURNING name, id)
    INSERT INTO saga_entry (name, id, position, token, entry)
    SELECT name, id, 0, 1, '{\"entry\":\"done\",\"step\":\"of version 1\"}' FROM old";

pub(super) async fn ended_long_ago<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    scene.services.tables.rows(ENDED_LONG_AGO, &[]).await.map_err(said)?;
    let (good, refused) = (Order::of("Ada"), Order::refused("Ada"));
    let sagas = [(scene.id(), &good), (scene.id(), &refused), (scene.id(), &good)];
    for (id, order) in &sagas {
        scene.put(id, order).await?;
    }
    // Hundreds of lines would be no timeline.
    let postgres = Proxy::before_postgres(&scene.url).await?;
    let redis = Proxy::before(scene.world.redis().url()).await?;
    let driver = scene
        .driver_at::<S>("driver", LONG_LEASE, undisturbed(), postgres.url(), redis.url())
        .await?;
    let answer = driver.take_over().await?;
    if !matches!(answer, Ok(TakenOver { ended: 3, failed: 0, .. })) {
        let what = "ended: 3, failed: 0, of three that have not ended; compensated is an end";
        return Err(driver.broken(what, &shown(&answer)));
    }
    for (id, order) in &sagas {
        scene.ends(id, order, 0).await?;
    }
    let (statements, commands) = (postgres.counts().requests, redis.counts().requests);
    if statements + commands > 200 {
        let what = "at most 200 statements and commands for three sagas";
        let saw = format!("{statements} statements, {commands} commands to Redis");
        return Err(driver.broken(what, &saw));
    }
    // The customer asks for hers again, after a year. Nobody has to read more of it than how it stands.
    for (id, should) in
        [("old-1", Outcome::Compensated), ("old-2", Outcome::Parked), ("old-3", Outcome::Completed)]
    {
        let answer = driver.start_again(id, &good).await;
        if !answer.as_ref().is_ok_and(|outcome| *outcome == should) {
            let what = format!("{should:?}, as it stands in the journal: {id} is only reported");
            return Err(driver.broken(what, &shown(&answer)));
        }
    }
    Ok(())
}

/// More than anybody reads at a time who has not thought about how many there may be.
const UNREADABLE: &str = "
    INSERT INTO saga (name, id, context)
    SELECT 'checkout', 'a-new-version-' || nth, '{\"version\":2}' FROM generate_series(1, 120) AS nth";

pub(super) async fn unreadable<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let good = Order::of("Ada");
    let [first, second, third, entry, step, last] = [(); 6].map(|()| scene.id());
    // Before and behind those that can go on, in whatever order they are looked at.
    scene.services.tables.rows(UNREADABLE, &[]).await.map_err(said)?;
    for id in [&first, &last] {
        let put = "INSERT INTO saga (name, id, context) VALUES ('checkout', $1, '{\"version\":1}')";
        scene.services.tables.rows(put, &[id]).await.map_err(said)?;
    }
    for id in [&second, &third, &entry, &step] {
        scene.put(id, &good).await?;
    }
    // What happened to these two can be told by another version of the program, and not by ours.
    for (id, what) in [
        (&entry, r#"{"entry":"done_by_hand","step":"place"}"#),
        (&step, r#"{"entry":"done","step":"weigh"}"#),
    ] {
        let write = "WITH one AS (UPDATE saga SET entries = 1, claims = 1 WHERE id = $1)
                     INSERT INTO saga_entry (name, id, position, token, entry)
                     VALUES ('checkout', $1, 0, 0, $2)";
        scene.services.tables.rows(write, &[id, &what]).await.map_err(said)?;
    }
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    // So many may take a while on a busy machine; that it ends is what the check's own limit asks.
    let taking = driver.recovery.take_over(&driver.saga);
    let answer = scene.history().call("driver", "take over", taking).await;
    for id in [&entry, &step] {
        let attempts = scene.counted("attempt", id).await?;
        if !attempts.is_empty() {
            let what = format!("nothing attempted of {id}: its entry cannot be read");
            return Err(driver.broken(what, &told(&attempts)));
        }
    }
    for id in [&second, &third] {
        if scene.stands(id).await? != "completed" {
            let what = format!("{id} completed: what is wrong with 120 others is not its fault");
            return Err(driver.broken(what, &shown(&answer)));
        }
        scene.ends(id, &good, 0).await?;
    }
    match answer {
        Ok(TakenOver { ended: 2, failed: 124, .. }) => {}
        answer => return Err(driver.broken("ended: 2, failed: 124", &shown(&answer))),
    }
    // Nobody gives up what cannot be read: the next version of the program may be able to.
    for id in [&first, &last, &entry, &step] {
        let stands = scene.stands(id).await?;
        if stands != "unfinished" {
            return Err(driver.broken(format!("{id} unfinished"), &stands));
        }
    }
    Ok(())
}
