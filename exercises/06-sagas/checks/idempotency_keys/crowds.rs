//! Many who come with one key.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(super) async fn hundred<K: Keys>(world: World) -> Result<(), Finding> {
    const CALLERS: usize = 100;
    let scene = Scene::set(world).await?;
    let client = scene.warm::<K>("client", PATIENT).await?;
    let payment = scene.payment();
    // Whoever works first stays at it until all others have come.
    let gate = Gate::shut();
    let job = scene.job(&payment).waits(&gate);
    let called = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (client, payment, job) = (Arc::clone(&client), payment.clone(), job.clone());
            let called = Arc::clone(&called);
            tokio::spawn(async move {
                called.fetch_add(1, Ordering::SeqCst);
                client.keys.once(&payment.request(), job.work()).await
            })
        })
        .collect();
    gate.arrived(1, SOON).await?;
    let began = Instant::now();
    while called.load(Ordering::SeqCst) < CALLERS && began.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.settles(&scene, &calls).await?;
    gate.open();
    let mut first: Option<Answer> = None;
    let mut fresh = 0;
    for call in calls {
        let answer = match call.await? {
            Ok(answer) => answer,
            Err(error) => {
                let expected = "the answer, for each of a hundred: they may wait 20 s";
                return Err(Evidence::new(expected, error.to_string()).into());
            }
        };
        fresh += usize::from(!answer.replayed);
        client.same(first.get_or_insert_with(|| answer.clone()), &answer)?;
    }
    scene.has(&payment.what, 1, "a hundred have asked for the same").await?;
    match (job.begun(), fresh) {
        (1, 1) => Ok(()),
        (1, fresh) => {
            Err(Evidence::new("one answer of 100 that is not replayed", fresh.to_string()).into())
        }
        (begun, _) => {
            Err(Evidence::new("the work begun by one of 100", format!("by {begun}")).into())
        }
    }
}

pub(super) async fn anywhere<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        let first = scene.warm::<K>("first", PATIENT).await?;
        let payment = scene.payment();
        let job = scene.job(&payment);
        let gate = first.proxy.hold(move |request| request.nth == step);
        let mut early = first.start(&payment, &job);
        if !meets(&gate, &mut early).await? {
            early.await?.map_err(|error| first.broken("an answer", error.to_string()))?;
            break;
        }
        steps += 1;
        second.proxy.reset_count();
        let late = second.start(&payment, &job);
        second.settles(&scene, std::slice::from_ref(&late)).await?;
        gate.open();
        let early = match early.await? {
            Ok(answer) => answer,
            Err(_) => first.pays(&payment, &job).await?,
        };
        let late = match late.await? {
            Ok(answer) => answer,
            Err(_) => second.pays(&payment, &job).await?,
        };
        scene.has(&payment.what, 1, "both have asked for the same").await?;
        second.same(&early, &late)?;
        if early.replayed == late.replayed {
            return Err(second.broken("one of them first, the other replayed", "two alike"));
        }
    }
    landed(steps, "the first asked PostgreSQL nothing")
}

pub(super) async fn other_request_meanwhile<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.warm::<K>("first", PATIENT).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let payment = scene.payment();
    let mut body = payment.body.clone();
    body.push(b' ');
    let other = Payment { body, what: "another amount".to_owned(), ..payment.clone() };
    let gate = Gate::shut();
    let job = scene.job(&payment).waits(&gate);
    let mut working = first.start(&payment, &job);
    if !meets(&gate, &mut working).await? {
        let answer = working.await?;
        let saw = answer.map_or_else(|error| error.to_string(), |answer| told(&answer));
        return Err(first.broken("the work to be begun", saw));
    }
    let others_job = scene.job(&other);
    let meanwhile = second.start(&other, &others_job);
    second.settles(&scene, std::slice::from_ref(&meanwhile)).await?;
    gate.open();
    let answer = match working.await? {
        Ok(answer) => answer,
        Err(error) => return Err(first.broken("an answer: it came first", error.to_string())),
    };
    let meanwhile = meanwhile.await?;
    scene.has(&other.what, 0, "the key is another request's").await?;
    match meanwhile {
        // Too early to know, and told so.
        Err(Error::InProgress { .. }) => second.refused(second.pay(&other, &others_job).await)?,
        answer => second.refused(answer)?,
    }
    if others_job.begun() > 0 {
        return Err(second.broken("its work not begun", "begun, and undone"));
    }
    first.pays_again(&payment, &job, &answer).await?;
    scene.has(&payment.what, 1, "it was paid once").await
}

pub(super) async fn neighbours<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.warm::<K>("first", PATIENT).await?;
    // As many connections as one needs, and eight who wait.
    let few = Options { connections: 1, ..PATIENT };
    let busy = scene.warm::<K>("client", few).await?;
    let payment = scene.payment();
    let gate = Gate::shut();
    let job = scene.job(&payment).waits(&gate);
    let mut working = first.start(&payment, &job);
    if !meets(&gate, &mut working).await? {
        return Err(first.broken("the work to be begun", "it ended without"));
    }
    let hangs = scene.world.fault("first hangs in its work");
    let calls: Vec<_> = (0..8).map(|_| busy.start(&payment, &job)).collect();
    busy.settles(&scene, &calls).await?;
    let neighbour = scene.payment();
    let paid = busy.pays_within(A_WHILE, &neighbour, &scene.job(&neighbour)).await;
    // Another caller, who has thought of the same key.
    let namesake =
        Payment { caller: "bob".to_owned(), key: payment.key.clone(), ..scene.payment() };
    let also = match &paid {
        Ok(_) => busy.pays_within(A_WHILE, &namesake, &scene.job(&namesake)).await.is_ok(),
        Err(_) => false,
    };
    drop(hangs);
    gate.open();
    paid.map_err(|_| {
        let expected = "another key's request served, while eight wait for this one";
        let saw = format!("nothing within {A_WHILE:?}: they have the only connection");
        busy.broken(expected, saw)
    })?;
    if !also {
        let expected = "another caller's request served, whose key has the same name";
        return Err(busy.broken(expected, format!("nothing within {A_WHILE:?}")));
    }
    let Ok(answer) = working.await? else {
        return Err(first.broken("an answer", "an error"));
    };
    for call in calls {
        match call.await? {
            Ok(other) => busy.same(&answer, &other)?,
            Err(error) => return Err(busy.broken("the first one's answer", error.to_string())),
        }
    }
    scene.has(&payment.what, 1, "all have asked for the same").await
}
