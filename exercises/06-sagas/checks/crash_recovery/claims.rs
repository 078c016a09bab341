//! Who may drive a saga: the lease by its name, and the claim at its moment.

use super::services::{held_at, undisturbed};
use super::*;
use deadpool_postgres::tokio_postgres::{self, NoTls};
use locks::lease::{self, Held, Lease, RedisLease};
use sagas::saga::Step;
use std::sync::atomic::AtomicBool;

pub(super) async fn lease_by_name<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Ada");
    let [found, new] = [scene.id(), scene.id()];
    scene.put(&found, &order).await?;
    // Another program of the shop's, which was not written by us.
    let Options { ttl, timeout } = LONG_LEASE;
    let theirs = RedisLease::open(scene.world.redis().url(), lease::Options { ttl, timeout });
    let theirs = theirs.map_err(said)?;
    let mut held = Vec::new();
    for id in [&found, &new] {
        let name = format!("saga:{NAME}:{id}");
        held.push(theirs.acquire(&name, Duration::ZERO).await.map_err(said)?);
        scene.history().note("late", format!("(another program holds {name})"));
    }
    let early = scene.driver::<S>("early", LONG_LEASE, undisturbed()).await?;
    let taken = early.take_over().await?;
    if !matches!(taken, Ok(TakenOver { ended: 0, parked: 0, elsewhere: 1, failed: 0 })) {
        let what = "elsewhere: 1, for another holds the lease `saga:NAME:ID`";
        return Err(early.broken(what, &shown(&taken)));
    }
    let answer = early.start(&new, &order).await;
    if !matches!(answer, Err(Error::Driven)) {
        let what = "Error::Driven, for another holds the lease `saga:NAME:ID`";
        return Err(early.broken(what, &shown(&answer)));
    }
    // It is a lease on the checkout of this id, and on nothing else.
    let other = Saga::named("return").step(Step::new("give back", async |_| Ok(())));
    let call = scene.world.invoke("early", format!("start return {new}"));
    let answer = early.recovery.start(&other, &new, order.clone()).await;
    call.end_with(&answer);
    if !matches!(answer, Ok(Outcome::Completed)) {
        let what = "Completed: it is the checkout of the same id that another drives";
        return Err(early.broken(what, &shown(&answer)));
    }
    for lease in held {
        lease.release().await.map_err(said)?;
    }
    scene.history().note("late", "(the other program is done)");
    scene.recovered(&early, &[(found.clone(), order.clone())]).await?;
    scene.ends(&found, &order, 0).await?;
    match early.start_again(&new, &order).await {
        Ok(Outcome::Completed) => scene.ends(&new, &order, 0).await,
        answer => Err(early.broken("Completed, now that nobody drives it", &shown(&answer))),
    }
}

pub(super) async fn late_claim<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // By who takes over, and by who was called.
    for found in [true, false] {
        let mut met = 0;
        for nth in 1..=STATEMENTS {
            match scene.asks_late::<S>(nth, found).await? {
                true => met += 1,
                false => break,
            }
        }
        landed(met, "a saga is driven without a word to PostgreSQL")?;
    }
    Ok(())
}

impl Scene {
    /// The early one's n-th statement comes when the late one has the saga. `false`: the early one has
    /// begun a step before that.
    async fn asks_late<S: Recovery>(&self, nth: usize, found: bool) -> Result<bool, Finding> {
        let order = Order::of("Tony");
        let redis = self.world.redis().url().to_owned();
        let proxy = self.world.postgres_client("early").await?;
        let on_its_way = proxy.hold(move |request| request.nth == nth);
        let begun = Arc::new(AtomicBool::new(false));
        let sees = {
            let begun = Arc::clone(&begun);
            hook(move |_| {
                begun.store(true, Ordering::SeqCst);
                async { Ok(()) }
            })
        };
        let early = self.driver_at::<S>("early", LONG_LEASE, sees, proxy.url(), &redis).await?;
        let id = self.id();
        if found {
            self.put(&id, &order).await?;
        }
        let begins = (!found).then_some((id.as_str(), &order));
        self.history().turn_page();
        let mut ours = early.spawn_driving(begins);
        let came = tokio::select! {
            came = on_its_way.arrived(1, A_WHILE) => came.is_ok(),
            ended = &mut ours => {
                let _ = ended?;
                false
            }
        };
        if !came || begun.load(Ordering::SeqCst) {
            on_its_way.open();
            // What it still does is nobody's concern.
            ours.abort();
            let _ = ours.await;
            return Ok(false);
        }
        self.world.redis().flush_all().await?;
        let over = self.world.fault("the early one's lease is over, and it does not know");
        let placing = Gate::shut();
        let late = self.driver::<S>("late", LONG_LEASE, held_at("place", &placing)).await?;
        let mut theirs = late.spawn_driving(begins);
        tokio::select! {
            came = placing.arrived(1, A_WHILE) => if came.is_err() {
                return Err(late.broken("the late one to take the saga over", "it does nothing"));
            },
            answer = &mut theirs => {
                return Err(late.broken("the late one to take the saga over", &shown(&answer?)));
            }
        }
        on_its_way.open();
        let ours = ours.await?;
        placing.open();
        let theirs = theirs.await?;
        drop(over);
        let ended = match found {
            true => format!("{:?}", TakenOver { ended: 1, ..TakenOver::default() }),
            false => format!("{:?}", Outcome::Completed),
        };
        if !theirs.as_ref().is_ok_and(|answer| *answer == ended) {
            let what = format!("late: {ended}, for nobody with a later lease has come");
            let saw = format!("late: {}; early: {}", shown(&theirs), shown(&ours));
            return Err(late.broken(what, &saw));
        }
        // The early one may have claimed it, and begun.
        self.ends(&id, &order, 1).await?;
        Ok(true)
    }
}

/// The early one's refusal is being written when it is taken over: what is read must contain it, or it
/// must not come in any more.
pub(super) async fn claim_waits<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (id, order) = (scene.id(), Order::of("Barbara"));
    // Somebody who stands in the place of its third entry, and leaves.
    let (mut client, connection) =
        tokio_postgres::connect(&scene.url, NoTls).await.map_err(said)?;
    tokio::spawn(connection);
    let place = client.transaction().await.map_err(said)?;
    let stand =
        "INSERT INTO saga_entry (name, id, position, token, entry) VALUES ($1, $2, 2, 0, '')";
    place.execute(stand, &[&NAME, &id]).await.map_err(said)?;
    let declined = Arc::new(AtomicBool::new(false));
    // Where it goes on when its refusal is written: it must not be done before the late one looks.
    let further = Gate::shut();
    let declines = {
        let (declined, further) = (Arc::clone(&declined), further.clone());
        hook(move |moment: Moment| {
            let (declined, further) = (Arc::clone(&declined), further.clone());
            async move {
                match moment.what {
                    "charge" => {
                        declined.store(true, Ordering::SeqCst);
                        return Err(Failure::Refused("the card is declined".to_owned()));
                    }
                    "release" => further.pass().await,
                    _ => {}
                }
                Ok(())
            }
        })
    };
    let early = scene.driver::<S>("early", LONG_LEASE, declines).await?;
    let driving = early.spawn_start(&id, &order);
    let waits = scene.world.fault("PostgreSQL is slow to write the early one's refusal");
    while !declined.load(Ordering::SeqCst) && !driving.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    scene.until_waiting(1, || driving.is_finished()).await?;
    if driving.is_finished() {
        let answer = driving.await?;
        let what = "the saga driven, and the refusal of `charge` written";
        answer.map_err(|error| early.broken(what, &error.to_string()))?;
        return landed(0, "the refusal did not wait in PostgreSQL");
    }
    scene.world.redis().flush_all().await?;
    let charged = Gate::shut();
    charged.open();
    let late = scene.driver::<S>("late", LONG_LEASE, held_at("charge", &charged)).await?;
    let taking = late.spawn_take_over();
    // It waits for the same row, or goes by.
    scene.until_waiting(2, || taking.is_finished() || charged.count() > 0).await?;
    place.rollback().await.map_err(said)?;
    drop(waits);
    let _ = taking.await??;
    further.open();
    let _ = driving.await?;
    scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
    let (stands, effects) = (scene.stands(&id).await?, scene.counted("effect", &id).await?);
    let all = |effects: &[&str]| effects.iter().map(|what| ((*what).to_owned(), 1)).collect();
    let forward: BTreeMap<String, usize> = all(&order.effects());
    let back = all(&["place", "reserve", "release", "cancel"]);
    let fits = match stands.as_str() {
        "completed" => effects == forward,
        _ => effects == back,
    };
    if fits {
        return Ok(());
    }
    let what = format!("completed: {}; or compensated: {}", told(&forward), told(&back));
    let step = scene.history().last("late", "charge");
    Err(Evidence::new(what, format!("{stands}: {}", told(&effects))).at(step).into())
}

impl Scene {
    /// Until so many wait for a row of somebody else's, or something else has happened.
    async fn until_waiting(
        &self,
        many: usize,
        otherwise: impl Fn() -> bool,
    ) -> Result<(), Finding> {
        // Not just any lock: that with which a table grows is waited for as well.
        let who = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = $1 AND wait_event IN ('transactionid', 'tuple')";
        let began = Instant::now();
        while !otherwise() && self.ask(who, "Lock").await?.len() < many {
            if began.elapsed() > SOON {
                return Err(Finding::inconclusive("nobody waits in PostgreSQL"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}
