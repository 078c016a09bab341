//! What the broker says, and what follows from it.

use super::*;

pub(super) async fn published_again<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let fates = [
        ("the broker refused it", Fate::Refused, 1),
        ("it came back: no queue wanted it", Fate::Unwanted, 1),
        ("it never arrived", Fate::Lost, 1),
        ("its confirm was lost: nobody knows that it arrived", Fate::ConfirmLost, 2),
    ];
    let mut ours = Vec::new();
    for (order, (why, fate, arrivals)) in (1..).zip(fates) {
        scene.world.history().turn_page();
        let message = scene.message(order, 1);
        let id = message.id.clone();
        scene.broker.rule(1, move |message| message.id == id, fate);
        scene.commit(&relay, std::slice::from_ref(&message)).await?;
        let began = Instant::now();
        while scene.broker.times(&message.id) < arrivals && began.elapsed() < SOON {
            if !matches!(relay.quietly().await, Ok(Forwarded { sent: 1.., .. })) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        relay.rest().await?;
        ours.push(message.id.clone());
        if let Some(stranger) = scene.broker.ids().into_iter().find(|id| !ours.contains(id)) {
            let expected = format!("{} again, under its own id", message.id);
            return Err(scene.broken(expected, format!("it came as {stranger}"), &message.id));
        }
        match scene.broker.times(&message.id) {
            times if times == arrivals => {}
            times => {
                let expected = format!("{} published again: {why}", message.id);
                return Err(scene.broken(
                    expected,
                    format!("it arrived {times} times"),
                    &message.id,
                ));
            }
        }
    }
    Ok(())
}

pub(super) async fn parked<S: Outbox>(world: World) -> Result<(), Finding> {
    const ATTEMPTS: u32 = 3;
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", Options { attempts: ATTEMPTS, ..PATIENT }).await?;
    let [unwanted, behind] = [1, 2].map(|nth| scene.message(1, nth));
    let other = scene.message(2, 1);
    let id = unwanted.id.clone();
    scene.broker.rule(usize::MAX, move |message| message.id == id, Fate::Unwanted);
    scene.commit(&relay, &[unwanted.clone(), behind.clone(), other.clone()]).await?;
    if relay.until(2, SOON).await.is_err() {
        let expected = format!("{} published: what is in front of it is parked", behind.id);
        return Err(scene.broken(expected, format!("not within {SOON:?}"), &unwanted.id));
    }
    // Now there is a queue for it, and it rests all the same until somebody has looked.
    scene.broker.clear_rules();
    tokio::time::sleep(PATIENT.pause * 2).await;
    relay.rest().await?;
    scene.got(&[behind, other], "the first is parked")?;
    let tried = scene.broker.tried(&unwanted.id);
    if tried != ATTEMPTS as usize {
        let expected = format!("{ATTEMPTS} attempts");
        return Err(scene.broken(expected, format!("{tried}"), &unwanted.id));
    }
    let look = "SELECT coalesce(parked, '') FROM outbox WHERE message = $1";
    let row = scene.client().await?.query_opt(look, &[&unwanted.id]).await.map_err(said)?;
    let reason: String = row.map(|row| row.get(0)).unwrap_or_default();
    if reason.trim().is_empty() {
        let expected = "the reason in its column `parked`: somebody has to look at it";
        return Err(scene.broken(expected, "none", &unwanted.id));
    }
    scene.world.history().turn_page();
    never_parked::<S>(&scene, 2).await
}

async fn never_parked<S: Outbox>(scene: &Scene, before: usize) -> Result<(), Finding> {
    const NEVER: u32 = u32::MAX;
    let relay = scene.relay::<S>("relay", Options { attempts: NEVER, ..PATIENT }).await?;
    let message = scene.message(3, 1);
    let id = message.id.clone();
    scene.broker.rule(3, move |message| message.id == id, Fate::Unwanted);
    scene.commit(&relay, std::slice::from_ref(&message)).await?;
    relay.until(before + 1, SOON).await.map_err(|_| {
        let expected = format!("{} published: it may be given back {NEVER} times", message.id);
        let saw = format!("not after {}", scene.broker.tried(&message.id));
        scene.broken(expected, saw, &message.id)
    })
}

pub(super) async fn broker_away<S: Outbox>(world: World) -> Result<(), Finding> {
    const ATTEMPTS: u32 = 3;
    let scene = Scene::set(world).await?;
    let options = Options { attempts: ATTEMPTS, pause: Duration::from_millis(2), ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let messages: Vec<Message> =
        (1..=3).flat_map(|order| [1, 2].map(|nth| scene.message(order, nth))).collect();
    let first = &messages[0].id;
    scene.commit(&relay, &messages).await?;
    for (why, fate) in [("away", Fate::Lost), ("full", Fate::Refused)] {
        scene.broker.clear_rules();
        scene.broker.rule(usize::MAX, |_| true, fate);
        let _away = scene.world.fault(format!("the broker is {why}"));
        let (before, began) = (scene.broker.tried(first), Instant::now());
        // More often than it takes to park.
        while scene.broker.tried(first) < before + 2 * ATTEMPTS as usize {
            if began.elapsed() > SOON {
                let expected = format!("{first} tried again and again: the broker is {why}");
                let times = scene.broker.tried(first) - before;
                return Err(scene.broken(expected, format!("{times} attempts"), first));
            }
            let _ = relay.quietly().await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    scene.broker.clear_rules();
    scene.note("broker", "is back");
    // A queue that comes a little later. Nothing of what was before has counted.
    let late = first.clone();
    scene.broker.rule(1, move |message| message.id == late, Fate::Unwanted);
    let _ = relay.until(messages.len(), SOON).await;
    relay.rest().await?;
    scene.got(&messages, "the broker is back")
}

pub(super) async fn pauses<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let options = Options { pause: LONG, ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    // Those that have no correlation are a row as well.
    let cases = [(1, Fate::Refused, true), (2, Fate::Unwanted, true), (3, Fate::Refused, false)];
    for (order, fate, correlated) in cases {
        scene.world.history().turn_page();
        let [message, behind] = [1, 2].map(|nth| {
            let message = scene.message(order, nth);
            let correlation = message.correlation.filter(|_| correlated);
            Message { correlation, ..message }
        });
        let id = message.id.clone();
        scene.broker.rule(1, move |message| message.id == id, fate);
        scene.commit(&relay, &[message.clone(), behind.clone()]).await?;
        let began = Instant::now();
        while scene.broker.tried(&message.id) == 0 && began.elapsed() < SOON {
            let _ = relay.quietly().await;
        }
        // Further looks, as a relay takes them all the time.
        relay.rest().await?;
        relay.rest().await?;
        match scene.broker.tried(&message.id) {
            1 => {}
            times => {
                let expected = format!("{} tried once: its pause is {LONG:?}", message.id);
                return Err(scene.broken(expected, format!("{times} times"), &message.id));
            }
        }
        if scene.broker.tried(&behind.id) > 0 {
            let expected = format!("{} not tried: {} is in front of it", behind.id, message.id);
            return Err(scene.broken(expected, "it was", &behind.id));
        }
    }
    scene.world.history().turn_page();
    part_of_a_second::<S>(&scene).await
}

async fn part_of_a_second<S: Outbox>(scene: &Scene) -> Result<(), Finding> {
    let pause = Duration::from_millis(900);
    let relay = scene.relay::<S>("relay", Options { pause, ..PATIENT }).await?;
    let message = scene.message(4, 1);
    let id = message.id.clone();
    scene.broker.rule(1, move |message| message.id == id, Fate::Refused);
    scene.commit(&relay, std::slice::from_ref(&message)).await?;
    let mut began = Instant::now();
    while scene.broker.tried(&message.id) == 0 && began.elapsed() < SOON {
        // Its pause cannot begin before the call does in which it is refused.
        began = Instant::now();
        let _ = relay.quietly().await;
    }
    while began.elapsed() < pause {
        let _ = relay.quietly().await;
        let since = began.elapsed();
        if since < pause && scene.broker.tried(&message.id) > 1 {
            let expected = format!("{} tried once within {pause:?}, its pause", message.id);
            let saw = format!("again within {} ms", since.as_millis());
            return Err(scene.broken(expected, saw, &message.id));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

pub(super) async fn what_came_of_it<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let options = Options { attempts: 2, pause: Duration::from_millis(1), ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let none = Forwarded::default();
    let fates = [
        (None, vec![Forwarded { sent: 1, ..none }]),
        (
            Some(Fate::Refused),
            vec![Forwarded { refused: 1, ..none }, Forwarded { sent: 1, ..none }],
        ),
        (Some(Fate::Lost), vec![Forwarded { unknown: 1, ..none }, Forwarded { sent: 1, ..none }]),
        (
            Some(Fate::Unwanted),
            vec![Forwarded { refused: 1, ..none }, Forwarded { parked: 1, ..none }],
        ),
    ];
    for (order, (fate, answers)) in (1..).zip(fates) {
        scene.world.history().turn_page();
        let message = scene.message(order, 1);
        let (id, times) =
            (message.id.clone(), answers.iter().filter(|told| told.sent == 0).count());
        if let Some(fate) = fate {
            scene.broker.rule(times, move |message| message.id == id, fate);
        }
        scene.commit(&relay, std::slice::from_ref(&message)).await?;
        for (nth, expected) in (1..).zip(answers) {
            let began = Instant::now();
            let saw = loop {
                // A look during its pause finds nothing, and nothing has come of it.
                let saw = relay.forward().await.unwrap_or_default();
                if scene.broker.tried(&message.id) >= nth || began.elapsed() > SOON {
                    break saw;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            if saw != expected {
                return Err(relay.broken(told(&expected), told(&saw)));
            }
        }
    }
    let (last, nothing) = (relay.forward().await.unwrap_or_default(), none);
    if last != nothing {
        return Err(relay.broken(told(&nothing), told(&last)));
    }
    scene.world.history().turn_page();
    several::<S>(&scene).await
}

/// Of each kind more than one, in however many calls.
async fn several<S: Outbox>(scene: &Scene) -> Result<(), Finding> {
    let options = Options { attempts: 1, pause: LONG, ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let messages: Vec<Message> = (11..=18).map(|order| scene.message(order, 1)).collect();
    let fates = [
        (&messages[..2], Fate::Refused),
        (&messages[2..4], Fate::Unwanted),
        // The last of them, as some publish nothing more when of one they do not know.
        (&messages[6..], Fate::Lost),
    ];
    for (those, fate) in fates {
        for message in those {
            let id = message.id.clone();
            scene.broker.rule(1, move |message| message.id == id, fate.clone());
        }
    }
    scene.commit(&relay, &messages).await?;
    let (mut saw, began) = (Forwarded::default(), Instant::now());
    while messages[4..].iter().any(|message| scene.broker.times(&message.id) == 0) {
        if began.elapsed() > SOON {
            return Err(relay.broken("the last four of them published", "not all"));
        }
        let done = relay.forward().await.unwrap_or_default();
        saw.sent += done.sent;
        saw.refused += done.refused;
        saw.parked += done.parked;
        saw.unknown += done.unknown;
    }
    let expected = Forwarded { sent: 4, refused: 2, parked: 2, unknown: 2 };
    if saw == expected {
        return Ok(());
    }
    Err(relay.broken(format!("in all {}", told(&expected)), told(&saw)))
}
