//! What one call takes, and when it ends.

use super::*;

pub(super) async fn whole_batch<S: Outbox>(world: World) -> Result<(), Finding> {
    const LEFT: usize = 4;
    let scene = Scene::set(world).await?;
    let batch = scene.world.random().random_range(6..=9);
    let relay = scene.relay::<S>("relay", Options { batch, ..PATIENT }).await?;
    // Of as many correlations, so that none has to wait for another.
    let messages: Vec<Message> =
        (1..).map(|order| scene.message(order, 1)).take(batch + LEFT).collect();
    let _ = relay.quietly().await;
    scene.commit(&relay, &messages).await?;
    for sent in [batch, LEFT] {
        let waiting = messages.len() - scene.broker.different();
        let saw = relay.forward().await.map_err(|error| {
            Finding::inconclusive(format!("the call has failed, so nobody can count: {error}"))
        })?;
        let expected = Forwarded { sent, ..Forwarded::default() };
        if saw != expected {
            let expected = format!(
                "{} by one call: its batch is {batch}, and {waiting} wait",
                told(&expected)
            );
            return Err(relay.broken(expected, told(&saw)));
        }
    }
    scene.got(&messages, "each was committed once")
}

pub(super) async fn slow_broker<S: Outbox>(world: World) -> Result<(), Finding> {
    const CONFIRM: Duration = Duration::from_millis(150);
    /// So many confirms come within a turn, and no more.
    const FITS: usize = 4;
    let scene = Scene::set(world).await?;
    let turn = CONFIRM * FITS as u32;
    let relay = scene.relay::<S>("relay", Options { turn, ..PATIENT }).await?;
    let messages: Vec<Message> = (1..=30).map(|nth| scene.message(1, nth)).collect();
    scene.commit(&relay, &messages).await?;
    scene.broker.rule(usize::MAX, |_| true, Fate::Slow(CONFIRM));
    let _slow = scene.world.fault(format!("the broker takes {CONFIRM:?} for each message"));
    // On a machine that is busy, a turn may come to little. All of them do not.
    for call in 1..=8 {
        let before = scene.broker.ids().len();
        let ended = tokio::time::timeout(SOON, relay.forward()).await;
        let published = scene.broker.ids().len() - before;
        if ended.is_err() || published > 2 * FITS {
            let expected = format!("an end of the call: its turn is {turn:?}");
            let saw = format!("{published} published by it, {CONFIRM:?} each");
            return Err(relay.broken(expected, saw));
        }
        match scene.broker.different() {
            many if many > 2 * FITS => break,
            many if many <= FITS && call == 8 => {
                let first = &messages[0].id;
                let expected =
                    "more published than fits into one turn: what is confirmed is marked";
                let times = scene.broker.times(first);
                let saw = format!("the same {many} in each of {call} calls, {first} {times} times");
                return Err(scene.broken(expected, saw, first));
            }
            _ => {}
        }
    }
    scene.in_order(&messages[..=FITS], "the next turn goes on from there")
}
