//! What is known of some, while of others nothing is.

use super::scene::tally;
use super::*;
use lapin::types::AMQPValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use testbed::proxy::Request;

/// A quorum queue confirms when it has written to its disk, and here it has much to write; a transient
/// one confirms at once. So confirms come in another order than the messages: that of the second comes
/// last, or never.
pub(super) async fn out_of_order<S: Publisher>(world: World) -> Result<(), Finding> {
    const OTHERS: usize = 4;
    const ROUNDS: usize = 30;
    const LARGE: usize = 2_000_000;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    let fast = format!("{}.fast", scene.queue);
    scene.bind(&fast, "fast.#", false, &[]).await?;
    let kept = format!("{}.kept", scene.queue);
    let quorum = [("x-queue-type", AMQPValue::LongString("quorum".into()))];
    scene.bind(&kept, "kept.#", true, &quorum).await?;
    for _ in 0..ROUNDS {
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(0)).await?;
        let keyed = |key| move |request: &Request| request.field("routing-key") == Some(key);
        let second = client.proxy.hold_reply(keyed("kept.order"));
        let others = client.proxy.hold_reply(keyed("fast.sale"));
        others.open();
        // How many had come through when the second's came: one frame may confirm all of them.
        let before = Arc::new(AtomicUsize::new(0));
        let (counted, confirmed, held) = (Arc::clone(&before), others.clone(), second.clone());
        client.proxy.hold_from_server(move |_| {
            if held.count() == 0 {
                counted.store(confirmed.count(), Ordering::SeqCst);
            }
            false
        });
        let large = Message { body: vec![b'#'; LARGE], ..scene.keyed(2, "kept.order") };
        let mut batch = vec![scene.keyed(1, "fast.first"), large];
        batch.extend((0..OTHERS).map(|nth| scene.keyed(3 + nth, "fast.sale")));
        let calling = client.start(batch);
        let came = meets(&second, &calling).await?;
        // Who does not wait for the second needs some moments to say so.
        tokio::time::sleep(Duration::from_millis(30)).await;
        if !came || before.load(Ordering::SeqCst) < OTHERS {
            client.let_go(&second);
            calling.await??;
            scene.take(&kept).await?;
            continue;
        }
        if calling.is_finished() {
            let saw = tally(&calling.await??);
            return Err(client.not("no answer: the second has not been confirmed", saw));
        }
        client.proxy.kill_connections();
        scene.world.history().note("client", "(its connection is killed)");
        // What is held goes with the connection, so that is over before anything is let go.
        let outcomes = calling.await??;
        client.let_go(&second);
        let saw: Vec<&str> = outcomes.iter().map(word).collect();
        if saw != ["ok", "unknown", "ok", "ok", "ok", "ok"] {
            let expected = "ok, unknown, ok, ok, ok, ok: all but the second were confirmed";
            return Err(client.not(expected, saw.join(", ")));
        }
        return Ok(());
    }
    Err(Finding::inconclusive("the fault did not land: the second was never confirmed last"))
}

/// There is room for one: when the second is on its way, the first has been confirmed.
pub(super) async fn one_is_late<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(Options { window: 1, ..BRISK }).await?;
    let (mut held, mut seen) = (0, Vec::new());
    // On a busy machine the first may be late by itself.
    for _ in 0..8 {
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(0)).await?;
        let late =
            client.proxy.hold_reply(|request| request.field("routing-key") == Some("order.late"));
        let batch = [scene.message(1), scene.keyed(2, "order.late")];
        let outcomes = client.publish_all(&batch).await?;
        // What is held stays so.
        client.proxy.clear_rules();
        seen = outcomes.iter().map(word).collect();
        if late.count() > 0 && seen == ["ok", "unknown"] {
            return Ok(());
        }
        held += late.count();
    }
    landed(held, "no confirm was held")?;
    Err(client.not("ok, unknown: the first was confirmed", seen.join(", ")))
}

pub(super) async fn as_long_as_said<S: Publisher>(world: World) -> Result<(), Finding> {
    // More than any that is waited for in vain below.
    const HELD: Duration = Duration::from_millis(2_500);
    const IN_VAIN: Duration = Duration::from_secs(2);
    let scene = Scene::set(world).await?;
    let minute = Options { timeout: Duration::from_secs(60), ..PATIENT };
    let client = scene.client::<S>(minute.clone()).await?;
    client.arrives(&scene.message(0)).await?;
    let gate = client.hold_confirms();
    let calling = client.start_one(scene.message(1));
    let came = meets(&gate, &calling).await?;
    tokio::time::sleep(HELD).await;
    if !came || calling.is_finished() {
        let saw = word(&calling.await??);
        return Err(client.not(format!("no answer yet: it may take {:?}", minute.timeout), saw));
    }
    client.let_go(&gate);
    if let Err(error) = calling.await?? {
        return Err(client.not("ok: it was confirmed", error.to_string()));
    }
    // To wait for each after the other would be forty times as long.
    const BATCH: usize = 40;
    let client = scene.client::<S>(Options { window: BATCH, ..BRISK }).await?;
    let mut shortest = Duration::MAX;
    // On a busy machine it may take longer by itself.
    for _ in 0..6 {
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(2)).await?;
        let gate = client.hold_confirms();
        let began = Instant::now();
        let outcomes = client.publish_all(&scene.messages(BATCH)).await?;
        shortest = shortest.min(began.elapsed());
        client.proxy.clear_rules();
        if outcomes.iter().any(|outcome| word(outcome) != "unknown") {
            return Err(client.not("unknown: no confirm came", tally(&outcomes)));
        }
        if gate.count() > 0 && shortest < IN_VAIN {
            return Ok(());
        }
    }
    let expected = format!("unknown, after {:?}", BRISK.timeout);
    Err(client.not(expected, format!("after {shortest:.1?}")))
}
