//! How many are on their way, and what becomes of them when no answer comes.

use super::scene::tally;
use super::*;
use tokio::time::Instant;

const BATCH: usize = 30;

pub(super) async fn pipelines<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    client.proxy.reset_count();
    let gate = client.hold_confirms();
    let calling = client.start(scene.messages(BATCH));
    let seen = client.comes_to_wire(BATCH, std::slice::from_ref(&calling)).await;
    client.let_go(&gate);
    if seen < BATCH {
        let saw = format!("{seen}; and no confirm had come yet");
        return Err(client.not(format!("{BATCH} publishes on the wire"), saw));
    }
    all_ok(&client, &calling.await??)
}

pub(super) async fn order_kept<S: Publisher>(world: World) -> Result<(), Finding> {
    const MANY: usize = 300;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(Options { window: 16, ..PATIENT }).await?;
    let keys = ["order.placed", "order.paid", "order.shipped"];
    let sent: Vec<Message> =
        (0..MANY).map(|nth| scene.keyed(nth, keys[nth % keys.len()])).collect();
    all_ok(&client, &client.publish_all(&sent).await?)?;
    let found = scene.take(&scene.queue).await?;
    for (nth, message) in sent.iter().enumerate() {
        let saw = found.get(nth).map(|found| Message::delivered(&found.delivery).id);
        if saw.as_deref() != Some(&message.id) {
            let saw = saw.unwrap_or_else(|| "none".to_owned());
            return Err(client.not(format!("{} at place {nth}", message.id), saw));
        }
    }
    Ok(())
}

pub(super) async fn window_kept<S: Publisher>(world: World) -> Result<(), Finding> {
    const WINDOW: usize = 8;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(Options { window: WINDOW, ..PATIENT }).await?;
    client.arrives(&scene.message(0)).await?;
    for callers in [1, BATCH] {
        scene.world.history().turn_page();
        client.proxy.reset_count();
        let gate = client.hold_confirms();
        let each = BATCH / callers;
        let mut calling = Vec::new();
        for caller in 0..callers {
            let messages = (0..each).map(|nth| scene.message(caller * each + nth)).collect();
            calling.push(client.start(messages));
        }
        client.comes_to_wire(WINDOW, &calling).await;
        // Who does not keep to it needs some moments to show.
        tokio::time::sleep(Duration::from_millis(60)).await;
        let seen = client.on_the_wire();
        client.let_go(&gate);
        if seen != WINDOW {
            let saw = format!("{seen}, of {callers} callers");
            return Err(client.not(format!("{WINDOW} on their way unconfirmed"), saw));
        }
        for calling in calling {
            all_ok(&client, &calling.await??)?;
        }
    }
    Ok(())
}

/// Only the first comes to the broker, is confirmed alone, and makes room for one.
pub(super) async fn room_is_used<S: Publisher>(world: World) -> Result<(), Finding> {
    const WINDOW: usize = 8;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(Options { window: WINDOW, ..PATIENT }).await?;
    client.arrives(&scene.message(0)).await?;
    client.proxy.reset_count();
    let first = client.proxy.hold_reply(|request| request.field("routing-key") == Some(FIRST));
    first.open();
    let later = client.proxy.hold(|request| request.field("routing-key") == Some("order.placed"));
    let mut batch = scene.messages(BATCH);
    batch[0].key = FIRST.to_owned();
    let calling = client.start(batch);
    meets(&later, &calling).await?;
    first.arrived(1, A_WHILE).await?;
    let confirms = client.hold_confirms();
    later.open();
    let seen = client.comes_to_wire(WINDOW + 1, std::slice::from_ref(&calling)).await;
    client.let_go(&confirms);
    if seen < WINDOW + 1 {
        let expected =
            format!("{} on the wire: {WINDOW}, and one as the first is confirmed", WINDOW + 1);
        return Err(client.not(expected, seen.to_string()));
    }
    all_ok(&client, &calling.await??)
}

/// Its confirm comes alone.
const FIRST: &str = "order.first";

pub(super) async fn any_window<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    for (window, at_once) in [(0, 1), (1, 1), (usize::MAX, BATCH)] {
        scene.world.history().turn_page();
        scene.world.history().note("client", format!("(a window of {window})"));
        let client = scene.client::<S>(Options { window, ..PATIENT }).await?;
        client.arrives(&scene.message(0)).await?;
        client.proxy.reset_count();
        let gate = client.hold_confirms();
        let calling = client.start(scene.messages(BATCH));
        client.comes_to_wire(at_once, std::slice::from_ref(&calling)).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let seen = client.on_the_wire();
        client.let_go(&gate);
        if seen != at_once {
            let expected = format!("{at_once} on the way unconfirmed, with a window of {window}");
            return Err(client.not(expected, seen.to_string()));
        }
        all_ok(&client, &calling.await??)?;
    }
    Ok(())
}

pub(super) async fn never_confirmed<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(BRISK).await?;
    // On a busy machine even the way there may take too long; then nothing was held.
    let (mut held, mut tries) = (0, 0);
    while held < 2 && tries < 12 {
        tries += 1;
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(0)).await?;
        let gate = client.hold_confirms();
        let calling = match tries % 2 {
            0 => vec![client.start(scene.messages(BRISK.window))],
            _ => (0..BRISK.window).map(|nth| client.start(vec![scene.message(nth)])).collect(),
        };
        for calling in calling {
            let outcomes = calling.await??;
            if outcomes.iter().any(|outcome| word(outcome) != "unknown") {
                return Err(client.not("unknown: no confirm came", tally(&outcomes)));
            }
        }
        held += gate.count().min(1);
        // What is held stays so: that connection will never say anything again.
        client.proxy.clear_rules();
    }
    landed(held, "no confirm was held")?;
    client.all_arrive_soon(&scene.messages(3 * BRISK.window)).await
}

pub(super) async fn slow_broker<S: Publisher>(world: World) -> Result<(), Finding> {
    // Each takes less than half of what it may, all together more.
    let options = Options { timeout: Duration::from_millis(800), window: 1 };
    const EACH: Duration = Duration::from_millis(300);
    const BATCH: usize = 4;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(options.clone()).await?;
    let mut outcomes = Vec::new();
    // On a busy machine one of them may be late by itself.
    for _ in 0..4 {
        scene.world.history().turn_page();
        client.proxy.set_delay(Duration::ZERO);
        client.arrives_soon(&scene.message(0)).await?;
        client.proxy.set_delay(EACH);
        let began = Instant::now();
        outcomes = client.publish_all(&scene.messages(BATCH)).await?;
        if outcomes.iter().all(Result::is_ok) {
            return match began.elapsed() > options.timeout {
                true => Ok(()),
                false => Err(Finding::inconclusive("the fault did not land: nothing was slow")),
            };
        }
    }
    let expected = format!("{BATCH} ok: each was confirmed within {:?}", options.timeout);
    Err(client.not(expected, tally(&outcomes)))
}

pub(super) async fn stalled<S: Publisher>(world: World) -> Result<(), Finding> {
    // One timeout for each of them would be more than anybody waits.
    const MANY: usize = 80;
    const IN_TIME: Duration = Duration::from_secs(8);
    let scene = Scene::set(world).await?;
    for connected in [true, false] {
        scene.world.history().turn_page();
        let client = scene.client::<S>(BRISK).await?;
        if connected {
            client.arrives_soon(&scene.message(0)).await?;
        }
        let hangs = scene.world.fault("nothing comes through");
        client.proxy.stall();
        if !connected {
            let outcome = client.publish(&scene.message(1)).await?;
            if word(&outcome) != "unknown" {
                return Err(client.not("unknown: nothing came through", word(&outcome)));
            }
        }
        // Those of one caller, and of as many callers.
        let mut calling = vec![client.start(scene.messages(MANY))];
        calling.extend((0..MANY).map(|nth| client.start(vec![scene.message(nth)])));
        let began = Instant::now();
        for calling in calling {
            let Ok(outcomes) = tokio::time::timeout_at(began + IN_TIME, calling).await else {
                let expected = format!("an answer within some times {:?}", BRISK.timeout);
                return Err(client.not(expected, format!("none in {IN_TIME:?}")));
            };
            let outcomes = outcomes??;
            if outcomes.iter().any(|outcome| word(outcome) != "unknown") {
                return Err(client.not("unknown: nothing came through", tally(&outcomes)));
            }
        }
        client.proxy.resume();
        drop(hangs);
        client.arrives_soon(&scene.message(2)).await?;
    }
    Ok(())
}

pub(super) fn all_ok<S: Publisher>(
    client: &Client<S>,
    outcomes: &[Result<(), NotConfirmed>],
) -> Result<(), Finding> {
    match outcomes.iter().all(Result::is_ok) {
        true => Ok(()),
        false => Err(client.not(format!("{} ok", outcomes.len()), tally(outcomes))),
    }
}
