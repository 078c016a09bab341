//! How long somebody waits, and for what.

use super::client::A_MOMENT;
use super::*;
use std::time::Instant;

pub(super) async fn own_patience<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Who works need not wait for anybody.
    let busy = Options { wait: Duration::ZERO, ..PATIENT };
    let first = scene.warm::<K>("first", busy).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let hasty = Options { wait: Duration::from_millis(100), ..PATIENT };
    let hasty = scene.warm::<K>("client", hasty).await?;
    let payment = scene.payment();
    let gate = Gate::shut();
    let job = scene.job(&payment).waits(&gate);
    let began = Instant::now();
    let mut working = first.start(&payment, &job);
    if !meets(&gate, &mut working).await? {
        let answer = working.await?;
        let saw = answer.map_or_else(|error| error.to_string(), |answer| told(&answer));
        return Err(first.broken("the work to be begun, and to go on: nobody is waited for", saw));
    }
    // One who may wait for 20 s comes before one who wants to wait for 100 ms.
    let patient = second.start(&payment, &job);
    second.settles(&scene, std::slice::from_ref(&patient)).await?;
    let retry_after = match tokio::time::timeout(SOON, hasty.pay(&payment, &job)).await {
        Ok(Err(Error::InProgress { retry_after })) => retry_after,
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(hasty.broken("to be told after 100 ms that it is under way", saw));
        }
        Ok(answer) => {
            let saw = answer.map_or_else(|error| error.to_string(), |answer| told(&answer));
            return Err(hasty.broken("to be told that it is under way", saw));
        }
    };
    // Whoever waits as long as the other, and came before, has had enough by now.
    tokio::time::sleep(A_MOMENT).await;
    gate.open();
    let answer = match working.await? {
        Ok(answer) => answer,
        Err(error) => {
            let expected = "an answer: its timeout is 20 s, and it waited for nobody";
            return Err(first.broken(expected, error.to_string()));
        }
    };
    match patient.await? {
        Ok(late) => second.same(&answer, &late)?,
        Err(error) => {
            let expected = "the first one's answer: it may wait for 20 s";
            return Err(second.broken(expected, error.to_string()));
        }
    }
    if retry_after + began.elapsed() < LONG {
        let expected = "a time after which whoever has the key has lost it: its timeout is 20 s";
        return Err(hasty.broken(expected, format!("{retry_after:?}")));
    }
    scene.has(&payment.what, 1, "all have asked for the same").await
}

pub(super) async fn next_in_line<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.warm::<K>("first", PATIENT).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    for ends in [Ends::Fails, Ends::Answers(503), Ends::Panics] {
        let payment = scene.payment();
        let gate = Gate::shut();
        let job = scene.job(&payment);
        let mut working = first.start(&payment, &job.clone().ends(ends).waits(&gate));
        if !meets(&gate, &mut working).await? {
            return Err(first.broken("the work to be begun", "it ended without"));
        }
        // One beside it, who gives up, one more, and one elsewhere.
        first.proxy.reset_count();
        let leaves = [first.start(&payment, &job)];
        first.settles(&scene, &leaves).await?;
        second.proxy.reset_count();
        let waiting = [first.start(&payment, &job), second.start(&payment, &job)];
        second.settles(&scene, &waiting).await?;
        for leaves in leaves {
            leaves.abort();
            let _ = leaves.await;
        }
        gate.open();
        let _ = working.await;
        let mut answers = Vec::new();
        for waiting in waiting {
            match tokio::time::timeout(A_WHILE, waiting).await {
                Ok(answer) => match answer? {
                    Ok(answer) => answers.push(answer),
                    Err(error) => {
                        let expected = "an answer: the first has failed, and it is its turn";
                        return Err(second.broken(expected, error.to_string()));
                    }
                },
                Err(_) => {
                    let expected = "an answer: the first has failed, and nobody is at the key";
                    return Err(second.broken(expected, format!("none within {A_WHILE:?}")));
                }
            }
        }
        scene.has(&payment.what, 1, "one of those who waited did it").await?;
        second.same(&answers[0], &answers[1])?;
        if answers[0].replayed == answers[1].replayed {
            return Err(second.broken("one of them first, the other replayed", "two alike"));
        }
        scene.world.history().turn_page();
    }
    Ok(())
}

pub(super) async fn few_connections<K: Keys>(world: World) -> Result<(), Finding> {
    const CALLS: usize = 60;
    let scene = Scene::set(world).await?;
    let two = Options { connections: 2, ..PATIENT };
    let client = scene.warm::<K>("client", two).await?;
    let gate = Gate::shut();
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let payment = scene.payment();
            client.start(&payment, &scene.job(&payment).waits(&gate))
        })
        .collect();
    gate.arrived(1, SOON).await?;
    let third = gate.arrived(3, Duration::from_secs(1)).await.is_ok();
    gate.open();
    for call in calls {
        if let Err(error) = call.await? {
            let expected = "an answer: each waits for one of two connections, for up to 20 s";
            return Err(client.broken(expected, error.to_string()));
        }
    }
    if third {
        let expected = "two requests served at once: there are two connections";
        return Err(client.broken(expected, "three, or more"));
    }
    // Sixty who hang, and for whom nobody has time.
    scene.world.history().turn_page();
    let brisk = scene.warm::<K>("first", Options { connections: 2, ..BRISK }).await?;
    let gate = Gate::shut();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let payment = scene.payment();
            let (brisk, job) = (Arc::clone(&brisk), scene.job(&payment).waits(&gate));
            tokio::spawn(async move { brisk.keys.once(&payment.request(), job.work()).await })
        })
        .collect();
    let began = Instant::now();
    for call in calls {
        let left = (2 * SOON).saturating_sub(began.elapsed());
        if tokio::time::timeout(left, call).await.is_err() {
            let expected = "an error for each of 60 whose work hangs: the timeout is 400 ms";
            return Err(brisk.broken(expected, format!("not all within {:?}", 2 * SOON)));
        }
    }
    Ok(())
}
