//! What is kept, for how long, and what is handed on.

use super::*;

/// Keys that are over as soon as somebody looks.
const SHORT: Options = Options { keep: Duration::from_millis(50), ..PATIENT };

/// Until keys of [`SHORT`] have expired, by whatever clock.
async fn all_expire() {
    tokio::time::sleep(Duration::from_millis(120)).await;
}

pub(super) async fn expired<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let short = scene.warm::<K>("client", SHORT).await?;
    let (first, second) =
        (scene.warm::<K>("first", PATIENT).await?, scene.warm::<K>("second", PATIENT).await?);
    let payment = scene.payment();
    let old = short.pays_first(&payment, &scene.job(&payment)).await?;
    all_expire().await;
    // Two come with the key that has expired, one while the other works. And with another request:
    // what has expired refuses nobody.
    let payment = Payment { body: b"another one".to_vec(), ..payment };
    let gate = Gate::shut();
    let job = scene.job(&payment).waits(&gate);
    let mut working = first.start(&payment, &job);
    if !meets(&gate, &mut working).await? {
        let answer = working.await?;
        let saw = answer.map_or_else(|error| error.to_string(), |answer| scene::told(&answer));
        return Err(first.broken("a new request, after 120 ms of 50", saw));
    }
    let late = second.start(&payment, &job);
    second.settles(&scene, std::slice::from_ref(&late)).await?;
    gate.open();
    let answer = match working.await? {
        Ok(answer) => answer,
        Err(error) => return Err(first.broken("an answer", error.to_string())),
    };
    let late = match late.await? {
        Ok(late) => late,
        Err(_) => second.pays(&payment, &job).await?,
    };
    scene.has(&payment.what, 2, "once before the key expired, and once after").await?;
    second.same(&answer, &late)?;
    if answer.replayed || answer.response == old.response {
        return Err(first.broken("an answer of its own", scene::told(&answer)));
    }
    // This time it is kept.
    first.pays_again(&payment, &job, &answer).await?;
    // And what has expired for all has expired for who has served it.
    let again = scene.payment();
    let job = scene.job(&again);
    let old = short.pays_first(&again, &job).await?;
    all_expire().await;
    let answer = short.pays_first(&again, &job).await?;
    match answer.response == old.response {
        false => scene.has(&again.what, 2, "once before the key expired, and once after").await,
        true => Err(short.broken("an answer of its own", scene::told(&answer))),
    }
}

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
    for expected in [2, 2, 1, 0] {
        let call = scene.world.invoke("second", "sweep, at most 2");
        let Ok(swept) = tokio::time::timeout(SOON, short.keys.sweep(2)).await else {
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

pub(super) async fn only_the_fingerprint<K: Keys>(world: World) -> Result<(), Finding> {
    const LARGE: usize = 400_000;
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    // What does not repeat itself cannot be made small.
    let mut state = 1_u64;
    let body = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let payment = Payment { body: body.take(LARGE).collect(), ..scene.payment() };
    let answer = client.pays_first(&payment, &scene.job(&payment)).await?;
    client.pays_again(&payment, &scene.job(&payment), &answer).await?;
    let mut other = Payment { what: "another".to_owned(), ..payment.clone() };
    other.body[LARGE - 1] ^= 1;
    let refused = client.pay(&other, &scene.job(&other)).await;
    scene.has("another", 0, "its last byte is another").await?;
    client.refused(refused)?;
    let size = "SELECT pg_total_relation_size('idempotency_keys')".to_owned();
    let size = scene.ask(size).await?.and_then(|size| size.parse::<usize>().ok());
    match size {
        Some(size) if size < LARGE / 2 => Ok(()),
        Some(size) => {
            let saw = format!("{} kB", size / 1000);
            Err(Evidence::new("less than 200 kB kept of a request of 400 kB", saw).into())
        }
        None => Err(Finding::inconclusive("the table's size is not known")),
    }
}

pub(super) async fn passed_on<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<K>("first", PATIENT).await?;
    let second = scene.client::<K>("second", PATIENT).await?;
    let payment = scene.payment();
    let others = [
        Payment { caller: "bob".to_owned(), ..payment.clone() },
        Payment { key: scene.payment().key, ..payment.clone() },
    ];
    let job = scene.job(&payment);
    // The provider may have been called before the first attempt failed.
    let _ = first.pay(&payment, &job.clone().ends(Ends::Fails)).await;
    second.pays_first(&payment, &job).await?;
    let keys = job.keys();
    if keys.len() != 2 || keys[0] != keys[1] {
        let saw = format!("{keys:?}");
        return Err(second.broken("one key for others, in both attempts", saw));
    }
    for other in others {
        let job = scene.job(&other);
        second.pays_first(&other, &job).await?;
        if job.keys().first().is_none_or(|key| *key == keys[0] || key.is_empty()) {
            let Payment { caller, key, .. } = other;
            let expected = format!("a key of its own for others, for {caller}'s {key}");
            return Err(second.broken(expected, format!("{:?}", job.keys())));
        }
    }
    Ok(())
}
