//! A driver that is late: its step takes long, its lease is gone, its process was stopped.

use super::driver::Job;
use super::services::{held_at, undisturbed};
use super::*;
use tokio::sync::watch;

/// What is done only for the sake of being dropped.
struct LetGo(watch::Sender<bool>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Waits for several TTLs: one that is long beside what a busy machine may keep it waiting.
const LEASE: Options = Options { ttl: Duration::from_secs(2), timeout: Duration::from_millis(800) };

pub(super) async fn long_step<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Ada");
    let (found, id) = (scene.id(), scene.id());
    let gate = Gate::shut();
    let redis = Proxy::before(scene.world.redis().url()).await?;
    let hook = held_at("charge", &gate);
    let early = scene.driver_at::<S>("early", LEASE, hook, &scene.url, redis.url()).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    // One that it has found, and one that it has begun.
    scene.put(&found, &order).await?;
    let mut taking = early.spawn_driving(None);
    comes_to(&gate, &mut taking).await?;
    let mut driving = early.spawn_driving(Some((&id, &order)));
    both_come_to(&gate, &mut driving).await?;
    redis.reset_count();
    // By now it would be over, if nobody extended it, or only once.
    tokio::time::sleep(LEASE.ttl * 9 / 4).await;
    if redis.counts().requests == 0 {
        // A longer lease would do it as well, and lie about as long behind a driver that is dead.
        let what = format!("the lease of {:?} extended: its time is over", LEASE.ttl);
        return Err(early.broken(what, "Redis was asked nothing meanwhile"));
    }
    let answer = late.take_over().await?;
    if !matches!(answer, Ok(TakenOver { ended: 0, elsewhere: 2, .. })) {
        let what = "elsewhere: 2, for the early one still drives what it began and what it found";
        return Err(late.broken(what, &shown(&answer)));
    }
    gate.open();
    for driving in [driving, taking] {
        if let Err(error) = driving.await? {
            return Err(early.broken("both at their end", &error.to_string()));
        }
    }
    scene.ends(&id, &order, 0).await?;
    scene.ends(&found, &order, 0).await
}

async fn both_come_to(
    gate: &Gate,
    driving: &mut JoinHandle<Result<String, Error>>,
) -> Result<(), Finding> {
    let expected = "a second saga driven, while the first one stands still";
    tokio::select! {
        came = gate.arrived(2, A_WHILE) => {
            came.map_err(|_| Evidence::new(expected, format!("nothing within {A_WHILE:?}")).into())
        }
        ended = driving => Err(Evidence::new(expected, shown(&ended?)).into()),
    }
}

impl<S: Recovery> Driver<S> {
    /// What it begins, or whatever it finds. How long that takes is up to the check.
    pub(super) fn spawn_driving(
        self: &Arc<Self>,
        begins: Option<(&str, &Order)>,
    ) -> JoinHandle<Result<String, Error>> {
        let driver = Arc::clone(self);
        let begins = begins.map(|(id, order)| (id.to_owned(), order.clone()));
        tokio::spawn(async move {
            let Some((id, order)) = begins else {
                let taking = driver.recovery.take_over(&driver.saga);
                let taken = driver.history.call(driver.lane, "take over", taking).await?;
                return Ok(format!("{taken:?}"));
            };
            Ok(format!("{:?}", driver.start(&id, &order).await?))
        })
    }
}

pub(super) async fn lease_lost<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Grace");
    for found in [false, true] {
        let id = scene.id();
        scene.history().turn_page();
        if found {
            scene.put(&id, &order).await?;
        }
        let redis = scene.world.client("early").await?;
        let here = Gate::shut();
        let dropped = watch::Sender::new(false);
        let endless = {
            let (here, dropped) = (here.clone(), dropped.clone());
            hook(move |moment: Moment| {
                let (here, dropped) = (here.clone(), dropped.clone());
                async move {
                    if moment.what == "charge" && !moment.after {
                        let _let_go = LetGo(dropped);
                        here.pass().await;
                    }
                    Ok(())
                }
            })
        };
        let url = redis.url().to_owned();
        let early = scene.driver_at::<S>("early", SHORT_LEASE, endless, &scene.url, &url).await?;
        let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
        let mut driving = early.spawn_driving((!found).then_some((id.as_str(), &order)));
        comes_to(&here, &mut driving).await?;
        let away = scene.world.fault("Redis is away, as the early one sees it");
        redis.refuse();
        let mut let_go = dropped.subscribe();
        let stops = async { let_go.wait_for(|gone| *gone).await.is_ok() };
        if tokio::time::timeout(A_WHILE, stops).await.is_err() {
            let what = format!("its step let go within {A_WHILE:?}: the lease is over");
            let call = if found { "take over" } else { "start" };
            let step = scene.history().last("early", call);
            return Err(Evidence::new(what, "it goes on with it").at(step).into());
        }
        let answer = tokio::time::timeout(A_WHILE, driving).await;
        drop(away);
        match answer {
            Err(_) => return Err(early.broken("an error: it has lost the lease", "no answer")),
            Ok(joined) => {
                if let (Ok(outcome), false) = (joined?, found) {
                    let what = "an error: it has lost the lease";
                    return Err(early.broken(what, &outcome));
                }
            }
        }
        let sagas = [(id.clone(), order.clone())];
        scene.recovered(&late, &sagas).await?;
        scene.ends(&id, &order, 0).await?;
    }
    Ok(())
}

pub(super) async fn stopped_driver<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Its successor goes all the way back, and what is late would go on forward.
    let order = Order::refused("Alan");
    let id = scene.id();
    let job = Job {
        id: id.clone(),
        order: order.clone(),
        postgres: scene.url.clone(),
        stop: Some(Stop::at("reserve", true)),
    };
    let mut process = scene.world.process(&Orders {
        services: scene.url.clone(),
        redis: scene.world.redis().url().to_owned(),
        ttl: 1_000,
        start: true,
        forgetful: false,
        jobs: vec![job],
    })?;
    let said = process.expect("a driver", A_WHILE).await?;
    if said != format!("at {id}") {
        return Err(Evidence::new("the other process to drive a saga", said).into());
    }
    process.stop()?;
    scene.history().note("driver", format!("start {id}"));
    let stopped = scene.world.fault("the driver is stopped (SIGSTOP), in `reserve`");
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
    scene.ends(&id, &order, 1).await?;
    process.say("go on").await;
    process.resume()?;
    drop(stopped);
    let answer = process.expect("an end of its start()", A_WHILE).await?;
    scene.history().note("driver", format!("= {answer}"));
    let attempts = "SELECT what FROM attempt WHERE saga = $1 AND who = 'driver' ORDER BY nth";
    let attempts = scene.ask(attempts, &id).await?;
    if attempts != ["place", "reserve"] {
        let what = "nothing more from the one that was stopped: place, reserve";
        let step = scene.history().last("driver", "= ");
        return Err(Evidence::new(what, attempts.join(", ")).at(step).into());
    }
    scene.ends(&id, &order, 1).await
}

pub(super) async fn late_refusal<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Barbara");
    let redis = scene.world.redis().url().to_owned();
    let mut met = 0;
    for nth in 1..=STATEMENTS {
        let proxy = Arc::new(scene.world.postgres_client("early").await?);
        let on_its_way = Gate::shut();
        // The card is declined, and the n-th statement behind that is held on its way.
        let declined = {
            let (proxy, gate) = (Arc::clone(&proxy), on_its_way.clone());
            hook(move |moment: Moment| {
                let (proxy, gate) = (Arc::clone(&proxy), gate.clone());
                async move {
                    if moment.what != "charge" || moment.after {
                        return Ok(());
                    }
                    proxy.reset_count();
                    proxy.hold_at(&gate, move |request| request.nth == nth);
                    Err(Failure::Refused("the card is declined".to_owned()))
                }
            })
        };
        let early =
            scene.driver_at::<S>("early", LONG_LEASE, declined, proxy.url(), &redis).await?;
        let id = scene.id();
        scene.history().turn_page();
        let mut driving = early.spawn_start(&id, &order);
        let came = tokio::select! {
            came = on_its_way.arrived(1, A_WHILE) => came.is_ok(),
            ended = &mut driving => {
                let _ = ended?;
                false
            }
        };
        let entries = "SELECT entry FROM saga_entry WHERE id = $1";
        let told = scene.ask(entries, &id).await?;
        if !came || told.iter().any(|entry| entry.contains("declined")) {
            driving.abort();
            break;
        }
        met += 1;
        // Its lease is over, and it does not know.
        scene.world.redis().flush_all().await?;
        let over = scene.world.fault("the early one's lease is over, and it does not know");
        let charged = Gate::shut();
        let late = {
            let gate = charged.clone();
            let waits = hook(move |moment: Moment| {
                let gate = gate.clone();
                async move {
                    if moment.what == "charge" && moment.after {
                        gate.pass().await;
                    }
                    Ok(())
                }
            });
            scene.driver::<S>("late", LONG_LEASE, waits).await?
        };
        let mut taking = late.spawn_take_over();
        // This time the card is good. The successor has written nothing yet.
        tokio::select! {
            came = charged.arrived(1, A_WHILE) => if came.is_err() {
                return Err(late.broken("the late one to take the saga over", "it does not charge"));
            },
            answer = &mut taking => {
                let what = "the late one to take the saga over";
                return Err(late.broken(what, &shown(&answer??)));
            }
        }
        on_its_way.open();
        let answer = tokio::time::timeout(A_WHILE, driving).await;
        charged.open();
        let theirs = taking.await??;
        drop(over);
        scene.ends(&id, &order, 1).await?;
        match answer {
            Ok(joined) => {
                if let Ok(outcome) = joined? {
                    let what = "an error: another has the saga";
                    return Err(early.broken(what, &format!("{outcome:?}")));
                }
            }
            Err(_) => return Err(early.broken("an error: another has the saga", "no answer")),
        }
        if !matches!(theirs, Ok(TakenOver { ended: 1, .. })) {
            return Err(late.broken("ended: 1", &shown(&theirs)));
        }
    }
    landed(met, "nothing was held behind the refusal")
}

/// What the late one is about to write stands there already, by another: that is no leave to go on.
pub(super) async fn late_echo<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Alan");
    let redis = scene.world.redis().url().to_owned();
    let mut met = 0;
    for nth in 1..=STATEMENTS {
        let proxy = Arc::new(scene.world.postgres_client("early").await?);
        let on_its_way = Gate::shut();
        // It has charged the card, and the n-th statement behind that is held on its way.
        let charged = {
            let (proxy, gate) = (Arc::clone(&proxy), on_its_way.clone());
            hook(move |moment: Moment| {
                let (proxy, gate) = (Arc::clone(&proxy), gate.clone());
                async move {
                    if moment.what == "charge" && moment.after {
                        proxy.reset_count();
                        proxy.hold_at(&gate, move |request| request.nth == nth);
                    }
                    Ok(())
                }
            })
        };
        let early = scene.driver_at::<S>("early", LONG_LEASE, charged, proxy.url(), &redis).await?;
        let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
        let id = scene.id();
        scene.history().turn_page();
        let mut driving = early.spawn_start(&id, &order);
        let came = tokio::select! {
            came = on_its_way.arrived(1, A_WHILE) => came.is_ok(),
            ended = &mut driving => {
                let _ = ended?;
                false
            }
        };
        let told = scene.ask("SELECT entry FROM saga_entry WHERE id = $1", &id).await?;
        if !came || told.iter().any(|entry| entry.contains("charge")) {
            driving.abort();
            break;
        }
        met += 1;
        scene.world.redis().flush_all().await?;
        let over = scene.world.fault("the early one's lease is over, and it does not know");
        scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
        on_its_way.open();
        let answer = tokio::time::timeout(A_WHILE, driving).await;
        drop(over);
        if answer.is_err() {
            return Err(early.broken("an end: another has the saga", "no answer"));
        }
        let attempts = "SELECT what FROM attempt WHERE saga = $1 AND who = 'early' ORDER BY nth";
        let attempts = scene.ask(attempts, &id).await?;
        if attempts != ["place", "reserve", "charge"] {
            let what = "nothing more from the early one: place, reserve, charge";
            let part = attempts.last().map_or("= ", String::as_str);
            let step = scene.history().last("early", part);
            return Err(Evidence::new(what, attempts.join(", ")).at(step).into());
        }
        scene.ends(&id, &order, 1).await?;
    }
    landed(met, "nothing was held behind the charge")
}
