//! PostgreSQL and Redis, and the ways to them, at their worst.

use super::services::undisturbed;
use super::*;
use std::sync::atomic::AtomicBool;

pub(super) async fn lost_replies<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let redis = scene.world.redis().url().to_owned();
    let proxy = scene.world.postgres_client("early").await?;
    let early =
        scene.driver_at::<S>("early", LONG_LEASE, undisturbed(), proxy.url(), &redis).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let mut cuts = 0;
    for (order, replies) in [
        (Order::of("Ada"), &[false, true][..]),
        // On the way back.
        (Order::refused("Ada"), &[true][..]),
    ] {
        'statements: for nth in 1..=STATEMENTS {
            for reply in replies {
                proxy.clear_rules();
                proxy.reset_count();
                let cut = match reply {
                    false => proxy.cut_request(move |request| request.nth == nth),
                    true => proxy.cut_reply(move |request| request.nth == nth),
                };
                let id = scene.id();
                scene.history().turn_page();
                let what = if *reply { "answer" } else { "way to PostgreSQL" };
                let lost = scene.world.fault(format!("the {what} of statement {nth} is lost"));
                let answer = early.start(&id, &order).await;
                drop(lost);
                if cut.count() == 0 {
                    break 'statements;
                }
                cuts += 1;
                match answer {
                    Ok(outcome) if outcome == order.end() => {}
                    Ok(outcome) => {
                        let saw = format!("{outcome:?}");
                        return Err(early.broken(format!("{:?}", order.end()), &saw));
                    }
                    Err(_) => {
                        // It is the caller who knows that this one was to begin.
                        if scene.stands(&id).await? == "not begun" {
                            let _ = early.start_again(&id, &order).await;
                        }
                        scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
                    }
                }
                scene.ends(&id, &order, 1).await?;
            }
        }
    }
    landed(cuts, "a saga was driven without a word to its journal")
}

pub(super) async fn killed_sessions<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Grace");
    let id = scene.id();
    let gate = Gate::shut();
    let here = gate.clone();
    let held = hook(move |moment: Moment| {
        let here = here.clone();
        async move {
            if moment.what == "charge" && moment.after {
                here.pass().await;
            }
            Ok(())
        }
    });
    let early = scene.driver::<S>("early", LONG_LEASE, held).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let mut driving = early.spawn_start(&id, &order);
    comes_to(&gate, &mut driving).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    drop(scene.world.fault("PostgreSQL's sessions are killed"));
    gate.open();
    if driving.await?.is_err() {
        scene.settled().await?;
        scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
    }
    scene.settled().await?;
    scene.ends(&id, &order, 1).await
}

impl Scene {
    /// The check's own connection was among those that were killed.
    async fn settled(&self) -> Result<(), Finding> {
        let began = Instant::now();
        while self.services.tables.row("SELECT 1", &[]).await.is_err() {
            if began.elapsed() > A_WHILE {
                return Err(Finding::inconclusive("PostgreSQL takes nobody any more"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

pub(super) async fn postgres_stalls<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Alan");
    let id = scene.id();
    let proxy = Arc::new(scene.world.postgres_client("early").await?);
    let hung = Arc::new(AtomicBool::new(false));
    let hangs = {
        let (proxy, hung) = (Arc::clone(&proxy), Arc::clone(&hung));
        hook(move |moment: Moment| {
            let (proxy, hung) = (Arc::clone(&proxy), Arc::clone(&hung));
            async move {
                let here = moment.what == "charge" && moment.after;
                if here && !hung.swap(true, Ordering::SeqCst) {
                    proxy.stall();
                }
                Ok(())
            }
        })
    };
    let redis = scene.world.redis().url().to_owned();
    let early = scene.driver_at::<S>("early", SHORT_LEASE, hangs, proxy.url(), &redis).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let began = early.start(&id, &order);
    match tokio::time::timeout(A_WHILE, began).await {
        Err(_) => {
            let what = format!("an error within {A_WHILE:?}: PostgreSQL hangs");
            let step = scene.history().last("early", "charge");
            return Err(Evidence::new(what, "no answer").at(step).into());
        }
        Ok(Ok(outcome)) => {
            let what = "an error: PostgreSQL hangs, and no entry is in";
            return Err(early.broken(what, &format!("{outcome:?}")));
        }
        Ok(Err(_)) => {}
    }
    landed(usize::from(hung.load(Ordering::SeqCst)), "the saga did not come to `charge`")?;
    scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
    // What was on its way arrives.
    proxy.resume();
    scene.ends(&id, &order, 1).await?;
    // And who had the trouble works again.
    let other = scene.id();
    let began = Instant::now();
    while early.start(&other, &Order::of("Alan")).await.is_err() {
        if began.elapsed() > A_WHILE {
            let what = "the next saga to be driven, now that PostgreSQL answers";
            return Err(early.broken(what, "errors"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

pub(super) async fn redis_away<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Barbara");
    let redis = scene.world.client("early").await?;
    let url = redis.url().to_owned();
    let early = scene.driver_at::<S>("early", SHORT_LEASE, undisturbed(), &scene.url, &url).await?;
    let (begun, new) = (scene.id(), scene.id());
    scene.put(&begun, &order).await?;
    redis.refuse();
    let away = scene.world.fault("Redis is away");
    let taken = early.take_over().await?;
    if !matches!(taken, Err(_) | Ok(TakenOver { ended: 0, parked: 0, elsewhere: 0, .. })) {
        let what = "nothing driven, here or elsewhere: nobody can have a lease";
        return Err(early.broken(what, &shown(&taken)));
    }
    match tokio::time::timeout(A_WHILE, early.start(&new, &order)).await {
        Ok(Err(Error::Driven)) => {
            let what = "another error: nobody drives it, and nobody can have a lease";
            return Err(early.broken(what, &Error::Driven.to_string()));
        }
        Ok(Err(_)) => {}
        Ok(Ok(outcome)) => {
            let what = "an error: nobody can have a lease";
            return Err(early.broken(what, &format!("{outcome:?}")));
        }
        Err(_) => {
            let what = format!("an error within {A_WHILE:?}: Redis is away");
            return Err(early.broken(what, "no answer"));
        }
    }
    for id in [&begun, &new] {
        let attempts = scene.counted("attempt", id).await?;
        if !attempts.is_empty() {
            let what = "no step attempted: nobody can have a lease";
            return Err(early.broken(what, &told(&attempts)));
        }
    }
    redis.accept().await?;
    drop(away);
    // The same call again, as after any error.
    let began = Instant::now();
    while let Err(error) = early.start(&new, &order).await {
        if began.elapsed() > A_WHILE {
            return Err(early.broken("Completed, now that Redis is back", &error.to_string()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let both = [(begun, order.clone()), (new, order)];
    scene.recovered(&early, &both).await?;
    for (id, order) in &both {
        scene.ends(id, order, 0).await?;
    }
    Ok(())
}

pub(super) async fn postgres_away<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (id, order) = (scene.id(), Order::of("Edsger"));
    scene.put(&id, &order).await?;
    let proxy = scene.world.postgres_client("early").await?;
    let redis = scene.world.redis().url().to_owned();
    let early =
        scene.driver_at::<S>("early", LONG_LEASE, undisturbed(), proxy.url(), &redis).await?;
    proxy.refuse();
    let away = scene.world.fault("PostgreSQL is away, as the early one sees it");
    let taken = early.take_over().await?;
    if taken.is_ok() {
        let what = "an error: the journal could not say which there are";
        return Err(early.broken(what, &shown(&taken)));
    }
    proxy.accept().await?;
    drop(away);
    scene.recovered(&early, &[(id.clone(), order.clone())]).await?;
    scene.ends(&id, &order, 0).await
}
