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
