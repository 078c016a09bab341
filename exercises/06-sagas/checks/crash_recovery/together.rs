//! Two who drive, at the same time.

use super::services::undisturbed;
use super::*;
use testbed::gate::Gate;

/// Waits at `gate`, once, where the saga comes to this moment.
fn held_at(gate: &Gate, what: &'static str, after: bool) -> Hook {
    let gate = gate.clone();
    hook(move |moment: Moment| {
        let gate = gate.clone();
        async move {
            if moment.what == what && moment.after == after {
                gate.pass().await;
            }
            Ok(())
        }
    })
}

pub(super) async fn one_driver<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    for order in [Order::of("Ada"), Order::refused("Ada")] {
        for what in order.effects() {
            for after in [false, true] {
                // Begun by it, or found by it.
                let found = after == (what == "charge");
                let gate = Gate::shut();
                let early = scene
                    .driver::<S>("early", LONG_LEASE, held_at(&gate, what, after))
                    .await?;
                let id = scene.id();
                scene.history().turn_page();
                let starting = match found {
                    false => early.spawn_start(&id, &order),
                    true => {
                        scene.put(&id, &order).await?;
                        let driving = Arc::clone(&early);
                        let (id, order) = (id.clone(), order.clone());
                        tokio::spawn(async move {
                            let _ = driving.take_over().await;
                            driving.start(&id, &order).await
                        })
                    }
                };
                if gate.arrived(1, SOON).await.is_err() {
                    let what = format!("the early driver to come to `{what}`");
                    return Err(early.broken(what, "it has not"));
                }
                let answer = late.take_over().await?;
                match &answer {
                    Ok(TakenOver { ended: 0, parked: 0, elsewhere: 1, failed: 0 }) => {}
                    answer => {
                        let what = "ended: 0, elsewhere: 1, while the early one drives it";
                        return Err(late.broken(what, &shown(answer)));
                    }
                }
                // Nor does it who is called for the same saga.
                if let Ok(outcome) = late.start(&id, &order).await {
                    return Err(late.broken("an error: another drives it", &format!("{outcome:?}")));
                }
                gate.open();
                match starting.await? {
                    Ok(outcome) if outcome == order.end() => {}
                    answer => {
                        return Err(early.broken(format!("{:?}", order.end()), &shown(&answer)));
                    }
                }
                scene.ends(&id, &order, 0).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn listed_twice<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let order = Order::of("Tony");
    let redis = scene.world.redis().url().to_owned();
    let mut met = 0;
    for nth in 1..=STATEMENTS {
        for reply in [false, true] {
            let proxy = scene.world.postgres_client("early").await?;
            let gate = match reply {
                false => proxy.hold(move |request| request.nth == nth),
                true => proxy.hold_reply(move |request| request.nth == nth),
            };
            let early = scene
                .driver_at::<S>("early", LONG_LEASE, undisturbed(), proxy.url(), &redis)
                .await?;
            let id = scene.id();
            scene.put(&id, &order).await?;
            scene.history().turn_page();
            let mut taking = early.spawn_take_over();
            let came = tokio::select! {
                came = gate.arrived(1, SOON) => came.is_ok(),
                _ = &mut taking => false,
            };
            if !came {
                landed(met, "taking over asks PostgreSQL nothing")?;
                return Ok(());
            }
            met += 1;
            let theirs = late.take_over().await?;
            gate.open();
            let ours = taking.await??;
            let ended = |answer: &Result<TakenOver, Error>| {
                answer.as_ref().map_or(0, |taken| taken.ended)
            };
            scene.ends(&id, &order, 0).await?;
            if ended(&theirs) + ended(&ours) != 1 {
                let saw = format!("late: {}; early: {}", shown(&theirs), shown(&ours));
                return Err(early.broken("one of them to have driven it", &saw));
            }
        }
    }
    Ok(())
}
