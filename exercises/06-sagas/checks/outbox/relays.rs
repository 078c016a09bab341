//! More than one relay.

use super::*;

pub(super) async fn two_relays<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Fewer than there are, so that there is something left for the second.
    let options = Options { batch: 2, ..PATIENT };
    let one = scene.relay::<S>("relay", options).await?;
    let two = scene.relay::<S>("other", options).await?;
    let messages: Vec<Message> =
        (1..=2).flat_map(|order| [1, 2, 3].map(|nth| scene.message(order, nth))).collect();
    // Both have their connections.
    for relay in [&one, &two] {
        let _ = relay.quietly().await;
    }
    scene.commit(&one, &messages).await?;
    let gate = Gate::shut();
    scene.broker.rule(1, |_| true, Fate::Held(gate.clone()));
    let mut first = one.start();
    grading::comes_to(&gate, &mut first).await?;
    let held = scene.world.fault("the relay's first message is still on its way");

    let second = two.start();
    goes_by(&scene, &second).await?;
    gate.open();
    drop(held);
    let _ = (first.await?, second.await?);
    two.until(messages.len(), SOON).await?;
    one.rest().await?;
    scene.got(&messages, "one relay at a time has the turn")
}

/// Until a relay that finds another at it has gone by, or waits, or has published.
pub(super) async fn goes_by<T>(scene: &Scene, relay: &JoinHandle<T>) -> Result<(), Finding> {
    let began = Instant::now();
    while !relay.is_finished() {
        if scene.world.postgres().await?.waiting().await? > 0 {
            scene.note("database", "(a relay waits for another)");
            return Ok(());
        }
        if began.elapsed() > SOON {
            return Err(Finding::inconclusive("the second relay does nothing that can be seen"));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

pub(super) async fn held_anywhere<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Who is held is not late.
    let options = Options { timeout: LONG, turn: LONG, ..PATIENT };
    let other = scene.relay::<S>("other", options).await?;
    let _ = other.quietly().await;
    let (mut holds, mut order) = (0, 0);
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            order += 1;
            let relay = scene.watched_relay::<S>("relay", options).await?;
            let messages = [1, 2].map(|nth| scene.message(order, nth));
            // A connection, and what is prepared on it.
            let _ = relay.quietly().await;
            scene.world.history().turn_page();
            scene.commit(&relay, &messages).await?;
            relay.proxy.reset_count();
            let gate = match reply {
                false => relay.proxy.hold(move |request| request.nth == step),
                true => relay.proxy.hold_reply(move |request| request.nth == step),
            };
            let mut first = relay.start();
            tokio::select! {
                came = gate.arrived(1, SOON) => came?,
                _ = &mut first => break 'steps,
            }
            holds += 1;
            let second = other.start();
            goes_by(&scene, &second).await?;
            gate.open();
            let _ = (first.await?, second.await?);
            other.until(2 * order as usize, SOON).await?;
            other.rest().await?;
            let twice = messages.iter().find(|message| scene.broker.times(&message.id) > 1);
            if let Some(Message { id, .. }) = twice {
                let expected = format!("{id} once: one relay at a time reads, publishes and marks");
                return Err(scene.broken(expected, "each of the two has sent it", id));
            }
            scene.in_order(&messages, "one relay at a time has the turn")?;
        }
    }
    landed(holds, "forwarding asked PostgreSQL nothing")
}

pub(super) async fn dropped_relay<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // The turn of one that was dropped is over, and not only when its time is.
    let options = Options { turn: LONG, ..PATIENT };
    for lane in ["relay", "other"] {
        scene.world.history().turn_page();
        let relay = scene.relay::<S>("relay", options).await?;
        let next = match lane {
            "relay" => Arc::clone(&relay),
            _ => scene.relay::<S>("other", options).await?,
        };
        let before = scene.broker.different();
        let order = 1 + before as u32;
        let messages = [1, 2].map(|nth| scene.message(order, nth));
        scene.commit(&relay, &messages).await?;
        let gate = Gate::shut();
        scene.broker.rule(1, |_| true, Fate::Held(gate.clone()));
        let mut forwarding = relay.start();
        grading::comes_to(&gate, &mut forwarding).await?;
        forwarding.abort();
        let _ = forwarding.await;
        scene.note("relay", "(its caller has dropped it, in its turn)");
        gate.open();
        if next.until(before + 2, A_WHILE).await.is_err() {
            let id = &messages[0].id;
            let expected = format!("{id} published: the relay that was at it was dropped");
            return Err(scene.broken(expected, format!("not within {A_WHILE:?}"), id));
        }
        scene.in_order(&messages, "none of it was confirmed to the one that was dropped")?;
    }
    Ok(())
}

/// What the other process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    postgres: String,
    exchange: String,
}

/// Forwards once, tells of each message that arrives at a broker of its own, which confirms nothing
/// before the parent has spoken; then says how it ended.
pub(super) async fn relaying<S: Outbox>(mut child: Child) {
    let Order { postgres, exchange } = child.arguments();
    let outbox = S::open(&postgres, SHORT_TURN).expect("the parent's URL can be read");
    let gate = Gate::shut();
    let telling = Telling { gate: gate.clone() };
    let released = async {
        child.hear().await;
        gate.open();
        std::future::pending::<()>().await;
    };
    let forwarded = async {
        match outbox.forward(&exchange, &telling).await {
            Ok(done) => Child::say(&format!("end: {}", told(&done))),
            Err(error) => Child::say(&format!("end: {error}")),
        }
    };
    tokio::select! {
        () = forwarded => {}
        () = released => {}
    }
}

struct Telling {
    gate: Gate,
}

impl messaging::confirms::Publisher for Telling {
    fn open(url: &str, _: messaging::confirms::Options) -> Result<Telling, messaging::Error> {
        Err(messaging::Error::Url(url.to_owned()))
    }

    async fn publish(
        &self,
        exchange: &str,
        message: &Message,
    ) -> Result<(), messaging::confirms::NotConfirmed> {
        self.publish_all(exchange, std::slice::from_ref(message)).await;
        Ok(())
    }

    async fn publish_all(
        &self,
        _: &str,
        messages: &[Message],
    ) -> Vec<Result<(), messaging::confirms::NotConfirmed>> {
        for message in messages {
            Child::say(&message.id);
        }
        self.gate.pass().await;
        messages.iter().map(|_| Ok(())).collect()
    }
}

/// Three orders of two messages each, of which another process has published the first one at least
/// and had no confirm.
async fn begun<S: Outbox>(
    scene: &Scene,
) -> Result<(Arc<Relay<S>>, grading::Process, Vec<Message>), Finding> {
    let relay = scene.relay::<S>("relay", SHORT_TURN).await?;
    let messages: Vec<Message> =
        (1..=3).flat_map(|order| [1, 2].map(|nth| scene.message(order, nth))).collect();
    scene.commit(&relay, &messages).await?;
    let postgres = scene.world.postgres().await?.url().to_owned();
    let order = Order { postgres, exchange: scene.exchange.clone() };
    let mut process = scene.world.process(&order)?;
    let arrived = process.expect("a message", SOON).await?;
    scene.note("process", format!("has published {arrived}, not confirmed"));
    if !messages.iter().any(|message| message.id == arrived) {
        return Err(Evidence::new("a message published", arrived).into());
    }
    Ok((relay, process, messages))
}

pub(super) async fn killed_relay<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (relay, process, messages) = begun::<S>(&scene).await?;
    process.kill().await?;
    scene.note("process", "is killed (SIGKILL)");
    let _ = relay.until(messages.len(), A_WHILE).await;
    relay.rest().await?;
    scene.in_order(&messages, "none of it was confirmed to the one that was killed")
}

pub(super) async fn stopped_relay<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (relay, mut process, messages) = begun::<S>(&scene).await?;
    process.stop()?;
    let stopped = scene.world.fault("the other relay is stopped (SIGSTOP), in its turn");
    let began = Instant::now();
    let _ = relay.until(messages.len(), A_WHILE).await;
    if relay.wire.broker.different() < messages.len() {
        let expected = format!("the turn taken over within {A_WHILE:?}: a turn is 300 ms");
        let saw = format!("{} of {}", scene.broker.different(), messages.len());
        return Err(scene.broken(expected, saw, &messages[0].id));
    }
    scene.note("relay", format!("took over within {} ms", began.elapsed().as_millis()));
    scene.in_order(&messages, "none of it was confirmed to the one that is stopped")?;
    // It wakes in the middle of its turn, and hears that all was confirmed.
    process.say("confirmed").await;
    process.resume()?;
    drop(stopped);
    loop {
        let said = process.expect("an end of its turn", SOON).await?;
        scene.note("process", said.clone());
        if said.starts_with("end") {
            break;
        }
    }
    let later = scene.message(1, 3);
    scene.commit(&relay, std::slice::from_ref(&later)).await?;
    relay.until(messages.len() + 1, A_WHILE).await?;
    scene.in_order(&[messages, vec![later]].concat(), "the relay that woke harms nothing")
}
