//! Two who drive, at the same time.

use super::services::undisturbed;
use super::*;
use std::sync::Mutex;

/// Where the next saga is held, if anywhere.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Option<Here>>>);

/// What is done there, whether it is done already, and what it waits at.
type Here = (&'static str, bool, Gate);

impl Held {
    fn at(&self, what: &'static str, after: bool) -> Gate {
        let gate = Gate::shut();
        *self.0.lock().expect("nobody panics here") = Some((what, after, gate.clone()));
        gate
    }

    fn hook(&self) -> Hook {
        let held = self.clone();
        hook(move |moment: Moment| {
            let at = held.0.lock().expect("nobody panics here").clone();
            async move {
                if let Some((what, after, gate)) = at
                    && (what, after) == (moment.what, moment.after)
                {
                    gate.pass().await;
                }
                Ok(())
            }
        })
    }
}

pub(super) async fn one_driver<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let held = Held::default();
    let early = scene.driver::<S>("early", LONG_LEASE, held.hook()).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let (good, refused) = (Order::of("Ada"), Order::refused("Ada"));
    let forward = good.effects().into_iter().map(|what| (&good, what));
    let back = UNDOING.into_iter().map(|what| (&refused, what));
    for (nth, (order, what)) in forward.chain(back).enumerate() {
        let gate = held.at(what, nth % 2 == 0);
        let id = scene.id();
        scene.history().turn_page();
        // Begun by it, or found by it.
        let found = nth % 3 == 0;
        if found {
            scene.put(&id, order).await?;
        }
        let mut starting = match found {
            false => early.spawn_start(&id, order),
            true => {
                let (driving, id, order) = (Arc::clone(&early), id.clone(), order.clone());
                tokio::spawn(async move {
                    let _ = driving.take_over().await;
                    driving.start_again(&id, &order).await
                })
            }
        };
        comes_to(&gate, &mut starting).await?;
        // Somebody else looks, and so does the early one: about every TTL, also while it drives.
        for who in [&late, &early] {
            let answer = who.take_over().await?;
            if !matches!(answer, Ok(TakenOver { ended: 0, parked: 0, elsewhere: 1, failed: 0 })) {
                let what = "ended: 0, elsewhere: 1, while another call of the early one drives it";
                return Err(who.broken(what, &shown(&answer)));
            }
        }
        // Nor does it who is called for the same saga.
        if let Ok(outcome) = late.start(&id, order).await {
            return Err(late.broken("an error: another drives it", &format!("{outcome:?}")));
        }
        gate.open();
        match starting.await? {
            Ok(outcome) if outcome == order.end() => {}
            answer => return Err(early.broken(format!("{:?}", order.end()), &shown(&answer))),
        }
        scene.ends(&id, order, 0).await?;
    }
    Ok(())
}

pub(super) async fn listed_twice<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Tony");
    let redis = scene.world.redis().url().to_owned();
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let proxy = scene.world.postgres_client("early").await?;
    let early =
        scene.driver_at::<S>("early", LONG_LEASE, undisturbed(), proxy.url(), &redis).await?;
    for nth in 1..=STATEMENTS {
        proxy.clear_rules();
        proxy.reset_count();
        let gate = proxy.hold(move |request| request.nth == nth);
        let id = scene.id();
        scene.put(&id, &order).await?;
        scene.history().turn_page();
        let mut taking = early.spawn_take_over();
        let came = tokio::select! {
            came = gate.arrived(1, A_WHILE) => came.is_ok(),
            ended = &mut taking => {
                let _ = ended??;
                false
            }
        };
        if !came {
            return landed(nth - 1, "taking over asks PostgreSQL nothing");
        }
        let theirs = late.take_over().await?;
        gate.open();
        let ours = taking.await??;
        let ended =
            |answer: &Result<TakenOver, Error>| answer.as_ref().map_or(0, |taken| taken.ended);
        scene.ends(&id, &order, 0).await?;
        if ended(&theirs) + ended(&ours) != 1 {
            let saw = format!("late: {}; early: {}", shown(&theirs), shown(&ours));
            return Err(early.broken("one of them to have driven it", &saw));
        }
    }
    Ok(())
}
