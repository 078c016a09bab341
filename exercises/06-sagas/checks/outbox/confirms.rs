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
    Ok(())
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
    let _ = relay.until(messages.len(), SOON).await;
    relay.rest().await?;
    scene.got(&messages, "the broker is back")
}

pub(super) async fn pauses<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let options = Options { pause: LONG, ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    for (order, fate) in [(1, Fate::Refused), (2, Fate::Unwanted)] {
        let message = scene.message(order, 1);
        let id = message.id.clone();
        scene.broker.rule(1, move |message| message.id == id, fate);
        scene.commit(&relay, std::slice::from_ref(&message)).await?;
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
    if last == nothing { Ok(()) } else { Err(relay.broken(told(&nothing), told(&last))) }
}
