//! What is answered, and what is remembered, when nobody is in anybody's way.

use super::*;

pub(super) async fn once_and_again<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (first, second) = (scene.client::<K>("first", PATIENT).await?, scene.payment());
    let payment = scene.payment();
    let job = scene.job(&payment);
    let answer = first.pays_first(&payment, &job).await?;
    first.as_given(&job, &answer)?;
    scene.has(&payment.what, 1, "it was paid").await?;
    first.pays_first(&second, &scene.job(&second)).await?;
    first.pays_again(&payment, &job, &answer).await?;
    // And so for one that has just been started.
    let later = scene.client::<K>("second", PATIENT).await?;
    later.pays_again(&payment, &job, &answer).await?;
    scene.has(&payment.what, 1, "it was paid once, and asked for again").await?;
    match job.begun() {
        1 => Ok(()),
        times => Err(later.broken("the work begun once", format!("{times} times"))),
    }
}

pub(super) async fn two_keys<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    let one = scene.payment();
    let two = Payment { key: scene.payment().key, ..one.clone() };
    let first = client.pays_first(&one, &scene.job(&one)).await?;
    let answer = client.pays(&two, &scene.job(&two)).await?;
    scene.has(&one.what, 2, "they are two requests, however alike they are").await?;
    if answer.replayed || answer.response == first.response {
        return Err(client.broken("an answer of its own", told(&answer)));
    }
    client.pays_again(&two, &scene.job(&two), &answer).await?;
    client.pays_again(&one, &scene.job(&one), &first).await?;
    // Two keys are one only if all of their letters are.
    let long = |last: char| format!("{}{last}", "k".repeat(254));
    let twins = [
        one.key.to_uppercase(),
        format!("{} ", one.key),
        format!(" {}", one.key),
        long('a'),
        long('b'),
        "it's a \\ \"%_\" -- key".to_owned(),
    ];
    let mut served = Vec::new();
    for key in twins {
        let twin = Payment { key, what: format!("twin {}", served.len()), ..scene.payment() };
        let twin = Payment { body: one.body.clone(), ..twin };
        let answer = client.pays_first(&twin, &scene.job(&twin)).await?;
        scene.has(&twin.what, 1, "its key is another in one letter").await?;
        served.push((twin, answer));
    }
    for (twin, answer) in &served {
        client.pays_again(twin, &scene.job(twin), answer).await?;
    }
    Ok(())
}

pub(super) async fn two_callers<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    let payment = scene.payment();
    let of = |caller: &str, key: &str| Payment {
        caller: caller.to_owned(),
        key: key.to_owned(),
        ..payment.clone()
    };
    let key = payment.key.as_str();
    // The last two are one, for whoever puts caller and key into one string.
    let pairs = [("ann", key), ("bob", key), ("bob:1", "2"), ("bob", "1:2"), ("bob1", "2")];
    let mut answers = Vec::new();
    for (nth, (caller, key)) in pairs.into_iter().enumerate() {
        let payment = of(caller, key);
        let job = scene.job(&payment);
        answers.push((client.pays(&payment, &job).await?, payment, job));
        scene.has(&payment_of(&answers).what, nth + 1, "each caller has paid").await?;
    }
    for (answer, payment, job) in &answers {
        client.pays_again(payment, job, answer).await?;
    }
    Ok(())
}

fn payment_of(answers: &[(Answer, Payment, Job)]) -> &Payment {
    &answers[0].1
}

pub(super) async fn other_request<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    let payment = scene.payment();
    let first = client.pays_first(&payment, &scene.job(&payment)).await?;
    let mut body = payment.body.clone();
    body.push(b' ');
    let turned = payment.body.iter().rev().copied().collect();
    // Put together without a seam, the last one is the first.
    let (seamless, rest) = (format!("{}{{", payment.path), payment.body[1..].to_vec());
    let others = [
        Payment { body, what: "another amount".to_owned(), ..payment.clone() },
        Payment { body: turned, what: "as long".to_owned(), ..payment.clone() },
        Payment { method: "PUT".to_owned(), what: "a change".to_owned(), ..payment.clone() },
        Payment { path: "/refunds".to_owned(), what: "a refund".to_owned(), ..payment.clone() },
        Payment { path: seamless, body: rest, what: "elsewhere".to_owned(), ..payment.clone() },
    ];
    for other in &others {
        let job = scene.job(other);
        let answer = client.pay(other, &job).await;
        scene.has(&other.what, 0, "the key is another request's").await?;
        client.refused(answer)?;
        if job.begun() > 0 {
            return Err(client.broken("its work not begun", "begun, and undone"));
        }
        // Again, after a restart.
        let later = scene.client::<K>("second", PATIENT).await?;
        later.refused(later.pay(other, &scene.job(other)).await)?;
    }
    client.pays_again(&payment, &scene.job(&payment), &first).await?;
    scene.has(&payment.what, 1, "it was paid once").await
}

pub(super) async fn failed_work<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    for ends in [Ends::Fails, Ends::Swallows] {
        let payment = scene.payment();
        let job = scene.job(&payment);
        let answer = client.pay(&payment, &job.clone().ends(ends)).await;
        match (ends, answer) {
            (_, Ok(answer)) => {
                let expected = "an error: the work has failed";
                return Err(client.broken(expected, told(&answer)));
            }
            (Ends::Fails, Err(Error::Work(cause))) if cause.to_string().contains("reader") => {}
            (Ends::Fails, Err(error)) => {
                return Err(client.broken("the work's own error", error.to_string()));
            }
            (_, Err(_)) => {}
        }
        scene.has(&payment.what, 0, "the work has failed").await?;
        // Another process, which knows nothing of it.
        let second = scene.client::<K>("second", PATIENT).await?;
        let answer = second.pays_within(A_WHILE, &payment, &job).await?;
        if answer.replayed {
            return Err(second.broken("the first answer under this key", told(&answer)));
        }
        scene.has(&payment.what, 1, "the second attempt was the first that did anything").await?;
        client.pays_again(&payment, &job, &answer).await?;
        scene.world.history().turn_page();
    }
    Ok(())
}

pub(super) async fn not_now<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<K>("client", PATIENT).await?;
    for status in [503, 500, 429, 425, 409, 408, 402, 404, 303, 200] {
        let payment = scene.payment();
        let job = scene.job(&payment);
        let bad = client.pays(&payment, &job.clone().ends(Ends::Answers(status))).await?;
        if bad.replayed {
            return Err(client.broken(format!("{status}, as the work says"), told(&bad)));
        }
        client.as_given(&job, &bad)?;
        let kept = matches!(status, 402 | 404 | 303 | 200);
        let because = match kept {
            true => format!("a {status} is final, and what the work wrote is kept"),
            false => format!("a {status} is not final, and what the work wrote is undone"),
        };
        scene.has(&payment.what, usize::from(kept), &because).await?;
        if kept {
            client.pays_again(&payment, &job, &bad).await?;
        } else {
            let answer = client.pays_first(&payment, &job).await?;
            client.pays_again(&payment, &job, &answer).await?;
        }
        scene.has(&payment.what, 1, "it was paid once").await?;
        scene.world.history().turn_page();
    }
    Ok(())
}
