//! What others see, and other processes.

use super::*;

pub(super) async fn one_commit<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        let first = scene.warm::<K>("first", PATIENT).await?;
        let payment = scene.payment();
        let gate = first.proxy.hold(move |request| request.nth == step);
        let mut call = first.start(&payment, &scene.job(&payment));
        if !meets(&gate, &mut call).await? {
            call.await?.map_err(|error| first.broken("an answer", error.to_string()))?;
            break;
        }
        steps += 1;
        together(&scene, &payment).await?;
        gate.open();
        call.await?.map_err(|error| first.broken("an answer", error.to_string()))?;
        together(&scene, &payment).await?;
        scene.world.history().turn_page();
    }
    landed(steps, "the first asked PostgreSQL nothing")
}

/// A row is there if and only if its request was served.
async fn together(scene: &Scene, payment: &Payment) -> Result<(), Finding> {
    let rows = format!("SELECT count(*) FROM idempotency_keys WHERE key = '{}'", payment.key);
    let charges = format!("SELECT count(*) FROM charges WHERE what = '{}'", payment.what);
    let both = format!("SELECT ({rows}) || ' of the key, ' || ({charges}) || ' of the charge'");
    let saw = scene.ask(both).await?.unwrap_or_default();
    let step = scene.world.history().note("database", format!("rows: {saw}"));
    match saw.as_str() {
        "0 of the key, 0 of the charge" | "1 of the key, 1 of the charge" => Ok(()),
        _ => Err(Evidence::new("a row of the key, if there is one of the charge", saw)
            .at(scene.world.history().last("first", "pay"))
            .at(step)
            .into()),
    }
}

pub(super) async fn two_processes<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        scene.world.history().turn_page();
        let payment = scene.payment();
        let proxy = scene.world.postgres_client("process").await?;
        let mut process =
            scene.world.process(&Order::of(proxy.url(), &scene.payment(), &payment))?;
        let said = process.expect("that it is ready", SOON).await?;
        if said != "ready" {
            return Err(Evidence::new("the other process to be ready", said).into());
        }
        proxy.reset_count();
        let gate = proxy.hold(move |request| request.nth == step);
        let call = scene.world.invoke("process", format!("pay, {}", payment.key));
        process.say("pay").await;
        let early = tokio::select! {
            biased;
            came = gate.arrived(1, SOON) => { came?; None }
            said = process.hear(SOON) => said?,
        };
        if let Some(early) = early {
            call.ok(early);
            break;
        }
        steps += 1;
        second.proxy.reset_count();
        let job = Order::job(&payment);
        let late = second.start(&payment, &job);
        second.settles(&scene, std::slice::from_ref(&late)).await?;
        gate.open();
        let early = process.expect("an answer", 2 * SOON).await?;
        call.ok(early.clone());
        let late = match late.await? {
            Ok(answer) => answer,
            Err(_) => second.pays(&payment, &job).await?,
        };
        scene.has(&payment.what, 1, "both have asked for the same").await?;
        second.pays_again(&payment, &job, &Answer { replayed: true, ..late.clone() }).await?;
        let late = told(&late);
        let plain = |told: &str| told.trim_end_matches(", replayed").to_owned();
        // What failed there was done here.
        if !early.starts_with("error") && (plain(&early) != plain(&late) || early == late) {
            let expected = format!("{}, first to one, and to the other replayed", plain(&late));
            return Err(second.broken(expected, format!("{early}, and {late}")));
        }
    }
    landed(steps, "the process asked PostgreSQL nothing")
}
