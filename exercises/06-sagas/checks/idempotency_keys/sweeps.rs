//! What a sweep takes, and what it leaves.

use super::ends::{SHORT, all_expire};
use super::*;

pub(super) async fn swept<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    let short = scene.client::<K>("second", SHORT).await?;
    let kept = scene.payment();
    let answer = client.pays_first(&kept, &scene.job(&kept)).await?;
    let mut gone = Vec::new();
    for _ in 0..6 {
        let payment = scene.payment();
        short.pays_first(&payment, &scene.job(&payment)).await?;
        gone.push(payment);
    }
    all_expire().await;
    // Somebody is at one of the expired keys, and stays at it.
    let gate = Gate::shut();
    let busy = scene.job(&gone[0]).waits(&gate);
    let mut working = client.start(&gone[0], &busy);
    if !meets(&gate, &mut working).await? {
        return Err(client.broken("a new request, after 120 ms of 50", "it was not"));
    }
    for (at_most, expected) in [(0, 0), (2, 2), (2, 2), (2, 1), (2, 0), (u32::MAX, 0)] {
        let call = scene.world.invoke("second", format!("sweep, at most {at_most}"));
        let Ok(swept) = tokio::time::timeout(SOON, short.keys.sweep(at_most)).await else {
            call.unknown("still waits");
            let expected = "a sweep that leaves out the key that somebody is at";
            return Err(short.broken(expected, format!("nothing within {SOON:?}")));
        };
        match swept {
            Ok(swept) if swept == expected => call.ok(swept.to_string()),
            Ok(swept) => {
                call.ok(swept.to_string());
                let expected = format!("{expected} keys forgotten: 5 have expired and are free");
                return Err(short.broken(expected, swept.to_string()));
            }
            Err(error) => {
                call.fail(error.to_string());
                return Err(short.broken("a sweep", error.to_string()));
            }
        };
    }
    gate.open();
    if let Err(error) = working.await? {
        return Err(client.broken("an answer", error.to_string()));
    }
    client.pays_again(&kept, &scene.job(&kept), &answer).await?;
    let rows = scene.ask("SELECT count(*) FROM idempotency_keys".to_owned()).await?;
    match rows.as_deref() {
        Some("2") => Ok(()),
        rows => {
            let saw = format!("{} rows", rows.unwrap_or("no"));
            Err(Evidence::new("2 rows left: the key that is kept, and the new one", saw).into())
        }
    }
}

pub(super) async fn swept_meanwhile<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let short = scene.warm::<K>("client", SHORT).await?;
    let because = "once before its key expired, and once after";
    // A sweep is held at each of its steps, and a key that has expired is used anew.
    let mut steps = 0;
    for step in 1..=STEPS {
        let sweeper = scene.warm::<K>("first", PATIENT).await?;
        sweeper
            .keys
            .sweep(1_000)
            .await
            .map_err(|error| sweeper.broken("a sweep", error.to_string()))?;
        let payment = scene.payment();
        let job = scene.job(&payment);
        short.pays_first(&payment, &job).await?;
        all_expire().await;
        sweeper.proxy.reset_count();
        let gate = sweeper.proxy.hold(move |request| request.nth == step);
        let (keys, history) = (Arc::clone(&sweeper), scene.world.history().clone());
        let mut sweeping = tokio::spawn(async move {
            let call = history.invoke("first", "sweep");
            match keys.keys.sweep(1_000).await {
                Ok(swept) => call.ok(swept.to_string()),
                Err(error) => call.fail(error.to_string()),
            };
        });
        if !meets(&gate, &mut sweeping).await? {
            break;
        }
        steps += 1;
        second.proxy.reset_count();
        let anew = second.start(&payment, &job);
        second.settles(&scene, std::slice::from_ref(&anew)).await?;
        gate.open();
        sweeping.await?;
        let answer = match anew.await? {
            Ok(answer) => answer,
            Err(_) => second.pays(&payment, &job).await?,
        };
        second.pays_again(&payment, &job, &answer).await?;
        scene.has(&payment.what, 2, because).await?;
        scene.world.history().turn_page();
    }
    landed(steps, "a sweep asked PostgreSQL nothing")?;
    // And a request is, while a sweep goes through to its end.
    for step in 1..=STEPS {
        let first = scene.warm::<K>("first", PATIENT).await?;
        let payment = scene.payment();
        let job = scene.job(&payment);
        short.pays_first(&payment, &job).await?;
        all_expire().await;
        let gate = first.proxy.hold(move |request| request.nth == step);
        let mut anew = first.start(&payment, &job);
        if !meets(&gate, &mut anew).await? {
            break;
        }
        let call = scene.world.invoke("second", "sweep");
        match tokio::time::timeout(SOON, second.keys.sweep(1_000)).await {
            Ok(Ok(swept)) => call.ok(swept.to_string()),
            Ok(Err(error)) => call.fail(error.to_string()),
            Err(_) => {
                call.unknown("still waits");
                let expected = "a sweep that waits for nobody";
                return Err(second.broken(expected, format!("nothing within {SOON:?}")));
            }
        };
        gate.open();
        let answer = match anew.await? {
            Ok(answer) => answer,
            Err(_) => first.pays(&payment, &job).await?,
        };
        first.pays_again(&payment, &job, &answer).await?;
        scene.has(&payment.what, 2, because).await?;
        scene.world.history().turn_page();
    }
    Ok(())
}
