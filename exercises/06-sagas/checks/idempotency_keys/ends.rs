//! What is kept, for how long, and what is handed on.

use super::*;
use std::time::Instant;

/// Keys that are over as soon as somebody looks.
pub(super) const SHORT: Options = Options { keep: Duration::from_millis(50), ..PATIENT };

/// Until keys of [`SHORT`] have expired, by whatever clock.
pub(super) async fn all_expire() {
    tokio::time::sleep(Duration::from_millis(120)).await;
}

pub(super) async fn expired<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let short = scene.warm::<K>("client", SHORT).await?;
    let (first, second) =
        (scene.warm::<K>("first", PATIENT).await?, scene.warm::<K>("second", PATIENT).await?);
    // What has expired refuses nobody, whether or not it is the same request.
    for body in [None, Some(b"another one".to_vec())] {
        let payment = scene.payment();
        let old = short.pays_first(&payment, &scene.job(&payment)).await?;
        all_expire().await;
        // Two come with the key that has expired, one while the other works.
        let payment = Payment { body: body.unwrap_or(payment.body.clone()), ..payment };
        let gate = Gate::shut();
        let job = scene.job(&payment).waits(&gate);
        let mut working = first.start(&payment, &job);
        if !meets(&gate, &mut working).await? {
            let answer = working.await?;
            let saw = answer.map_or_else(|error| error.to_string(), |answer| told(&answer));
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
            Err(Error::OtherRequest) => {
                let expected = "the first one's answer: it came with the same request";
                return Err(second.broken(expected, "refused, by what has expired"));
            }
            Err(_) => second.pays(&payment, &job).await?,
        };
        scene.has(&payment.what, 2, "once before the key expired, and once after").await?;
        second.same(&answer, &late)?;
        if answer.replayed || answer.response == old.response {
            return Err(first.broken("an answer of its own", told(&answer)));
        }
        // This time it is kept.
        first.pays_again(&payment, &job, &answer).await?;
        scene.world.history().turn_page();
    }
    // And what has expired for all has expired for who has served it.
    let again = scene.payment();
    let job = scene.job(&again);
    let old = short.pays_first(&again, &job).await?;
    all_expire().await;
    let answer = short.pays_first(&again, &job).await?;
    if answer.response == old.response {
        return Err(short.broken("an answer of its own", told(&answer)));
    }
    scene.has(&again.what, 2, "once before the key expired, and once after").await?;
    never_younger::<K>(&scene).await
}

/// To ask for an answer makes it no younger.
async fn never_younger<K: Keys>(scene: &Scene) -> Result<(), Finding> {
    let brief = Options { keep: Duration::from_millis(600), ..PATIENT };
    let client = scene.warm::<K>("client", brief).await?;
    let payment = scene.payment();
    let job = scene.job(&payment);
    client.pays_first(&payment, &job).await?;
    let began = Instant::now();
    while began.elapsed() < SOON {
        if !client.pays(&payment, &job).await?.replayed {
            return scene.has(&payment.what, 2, "once before it expired, and once after").await;
        }
        scene.world.history().turn_page();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let expected = "a new answer after 600 ms, however often it is asked for";
    Err(client.broken(expected, format!("the old one, for {SOON:?}")))
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
    // Put together, these two are one.
    let of = |caller: &str, key: &str| Payment {
        caller: caller.to_owned(),
        key: key.to_owned(),
        ..payment.clone()
    };
    let glued = [of("bob:1", "2"), of("bob", "1:2")];
    let job = scene.job(&payment);
    // The provider may have been called before the first attempt failed.
    let _ = first.pay(&payment, &job.clone().ends(Ends::Fails)).await;
    // And by another process.
    let proxy = scene.world.postgres_client("process").await?;
    let order = Order::of(proxy.url(), &scene.payment(), &payment);
    let mut process = scene.world.process(&order)?;
    let call = scene.world.invoke("process", format!("pay, {}", payment.key));
    let elsewhere = process.expect("the key that it was given", SOON).await?;
    call.fail("the card reader is unplugged");
    second.pays_first(&payment, &job).await?;
    let mut keys = job.keys();
    keys.push(elsewhere);
    if keys.len() != 3 || keys.iter().any(|key| *key != keys[0]) {
        let saw = format!("{keys:?}");
        return Err(second.broken("one key for others, in all three attempts", saw));
    }
    let mut seen = vec![keys[0].clone()];
    for other in others.into_iter().chain(glued) {
        let job = scene.job(&other);
        second.pays_first(&other, &job).await?;
        match job.keys().first() {
            Some(key) if !key.is_empty() && !seen.contains(key) => seen.push(key.clone()),
            key => {
                let Payment { caller, key: of, .. } = other;
                let expected = format!("a key of its own for others, for {caller}'s {of}");
                return Err(second.broken(expected, format!("{key:?}")));
            }
        }
    }
    Ok(())
}

/// Fails, and says which key it was given for others.
pub(super) async fn unplugged<K: Keys>(child: Child) {
    let order: Order = child.arguments();
    let keys = K::open(&order.postgres, PATIENT).expect("the parent's URL can be read");
    let payment = order.payment();
    let job = Order::job(&payment).ends(Ends::Fails);
    let _ = keys.once(&payment.request(), job.work()).await;
    Child::say(&job.keys().concat());
}
