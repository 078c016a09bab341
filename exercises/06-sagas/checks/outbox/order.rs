//! What comes before what.

use super::*;

pub(super) async fn in_order<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", Options { batch: 5, ..PATIENT }).await?;
    let mut random = scene.world.random();
    // More than a batch, and nothing that would keep one back.
    let mut added: Vec<Message> = (10..18).map(|order| scene.message(order, 1)).collect();
    scene.commit(&relay, &added).await?;
    let _ = relay.forward().await;
    let published = scene.broker.ids().len();
    if published > 5 {
        let expected = "at most 5 messages published by one call: its batch is 5";
        return Err(relay.broken(expected, published.to_string()));
    }
    let mut nth = [0; 4];
    while added.len() < 32 {
        let mut together = Vec::new();
        for _ in 0..random.random_range(1..5) {
            let order = random.random_range(0..4_usize);
            nth[order] += 1;
            let message = scene.message(order as u32, nth[order]);
            // Those without a correlation are a row as well.
            let correlation = message.correlation.filter(|_| order > 0);
            together.push(Message { correlation, ..message });
        }
        scene.commit(&relay, &together).await?;
        added.extend(together);
        if random.random_bool(0.3) {
            let _ = relay.forward().await;
        }
    }
    relay.until(added.len(), SOON).await?;
    relay.rest().await?;
    scene.got(&added, "it was added so")
}

pub(super) async fn one_after_the_other<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let fates = [
        ("the broker is full", Fate::Refused),
        ("no queue wants it yet", Fate::Unwanted),
        ("it is lost on its way", Fate::Lost),
    ];
    let (mut added, mut order) = (Vec::new(), 0);
    for (why, fate) in fates {
        // The first of its correlation, one in the middle, and one of those that have none: they are
        // a row as well.
        for (at, correlated) in [(0, true), (1, true), (0, false)] {
            order += 1;
            scene.world.history().turn_page();
            let messages = [1, 2, 3].map(|nth| {
                let message = scene.message(order, nth);
                let correlation = message.correlation.filter(|_| correlated);
                Message { correlation, ..message }
            });
            let held = messages[at].id.clone();
            scene.broker.rule(2, move |message| message.id == held, fate.clone());
            scene.commit(&relay, &messages).await?;
            added.extend(messages.clone());
            relay.until(added.len(), SOON).await?;
            scene.in_order(&messages, why)?;
            if scene.broker.tried(&messages[at].id) < 3 {
                return Err(Finding::inconclusive("the fault did not land: it was not tried"));
            }
        }
    }
    relay.rest().await?;
    scene.got(&added, "each was confirmed once")
}

pub(super) async fn others_go_on<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Those that cannot go on are more than one batch, and rest longer than a look takes.
    let options = Options { batch: 3, pause: Duration::from_millis(200), ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let stuck: Vec<Message> = (1..=7).map(|nth| scene.message(1, nth)).collect();
    let free: Vec<Message> = (1..=2).map(|nth| scene.message(2, nth)).collect();
    let its = stuck[0].correlation.clone();
    scene.broker.rule(usize::MAX, move |message| message.correlation == its, Fate::Refused);
    let full = scene.world.fault("the queue of one correlation is full");
    scene.commit(&relay, &stuck).await?;
    scene.commit(&relay, &free).await?;
    if relay.until(2, SOON).await.is_err() {
        let id = &free[0].id;
        let expected = format!("{id} published: nothing is in front of it in its correlation");
        return Err(scene.broken(expected, format!("not within {SOON:?}"), id));
    }
    scene.got(&free, "the others are refused")?;
    scene.broker.clear_rules();
    drop(full);
    relay.until(9, SOON).await?;
    relay.rest().await?;
    scene.got(&[stuck, free].concat(), "the queue has room again")?;
    scene.world.history().turn_page();
    nobody_knows::<S>(&scene, 9).await
}

/// The same where what becomes of one is not known, each time that it is tried, and more than one
/// call takes are behind it.
async fn nobody_knows<S: Outbox>(scene: &Scene, before: usize) -> Result<(), Finding> {
    const BATCH: usize = 4;
    let relay = scene.relay::<S>("relay", Options { batch: BATCH, ..PATIENT }).await?;
    let stuck: Vec<Message> = (1..=BATCH as u32 + 2).map(|nth| scene.message(3, nth)).collect();
    let free = [1, 2].map(|nth| scene.message(4, nth));
    let id = stuck[0].id.clone();
    scene.broker.rule(usize::MAX, move |message| message.id == id, Fate::Lost);
    let lost = scene.world.fault("one message is lost each time");
    scene.commit(&relay, &stuck).await?;
    scene.commit(&relay, &free).await?;
    if relay.until(before + 2, SOON).await.is_err() {
        let id = &free[1].id;
        let expected = format!("{id} published: nothing is in front of it in its correlation");
        return Err(scene.broken(expected, format!("not within {SOON:?}"), id));
    }
    scene.broker.clear_rules();
    drop(lost);
    relay.until(before + stuck.len() + free.len(), SOON).await?;
    scene.in_order(&stuck, "the first of them was lost for a while")
}
