//! When a message is done, and who says so.

use super::*;
use serde::{Deserialize, Serialize};

pub(super) async fn ack_after_work<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let gate = Gate::shut();
    let first = How::At(gate.clone());
    let works = Works::new(&scene, "client", move |delivered| match delivered.attempt {
        1 => first.clone(),
        _ => How::Well,
    });
    let message = scene.messages(1);
    scene.put(&message).await?;
    let running = client.starts(&scene, 0, 1, &works);
    works.begun(1).await?;
    let expected = "1 unacked, while its work is under way";
    scene.queue_never(expected, |queue| queue.unacked == 0).await?;
    let cut = scene.world.fault("the connection is lost in the middle of the work");
    landed(scene.rabbit().await?.kill_connections().await?, "there was no connection")?;
    drop(cut);
    let again = |seen: &works::Seen| seen.done.iter().any(|(_, attempt)| *attempt == 2);
    let what = format!("{} once more, as attempt 2", message[0].id);
    running.meanwhile(works.come_to(what, A_WHILE, again)).await?;
    gate.open();
    scene.is_empty(A_WHILE).await?;
    running.goes_on()
}

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) url: String,
    pub(super) exchange: String,
    pub(super) queue: String,
    pub(super) heartbeat: u64,
    pub(super) prefetch: u16,
}

impl Order {
    pub(super) async fn of(scene: &Scene, heartbeat: u64, prefetch: u16) -> Result<Order, Finding> {
        let (url, queue) = (scene.rabbit().await?.url().to_owned(), scene.queue(0));
        let exchange = scene.topology.exchange.clone();
        Ok(Order { url, exchange, queue, heartbeat, prefetch })
    }

    /// A courier in the second process, of the same topology.
    pub(super) fn courier<S: Courier>(&self) -> S {
        let queue = Queue { deliveries: 50, ..Queue::new(&self.queue, &["order.*.v1"]) };
        let topology = Topology { exchange: self.exchange.clone(), queues: vec![queue] };
        let heartbeat = Duration::from_secs(self.heartbeat);
        let options = Options { heartbeat, ..scene::options(PATIENT) };
        S::open(&self.url, topology, options).expect("the parent's URL can be read")
    }
}

/// Begins whatever it gets, says so, and ends nothing.
pub(super) async fn worker<S: Courier>(child: Child) {
    let order: Order = child.arguments();
    let courier = order.courier::<S>();
    let work = |delivered: Delivered| async move {
        Child::say(&delivered.message.id);
        std::future::pending().await
    };
    let never = std::future::pending();
    let over = courier.consume(&order.queue, order.prefetch, work, never).await;
    Child::say(&format!("returned: {over:?}"));
}

pub(super) async fn killed_consumer<S: Courier>(world: World) -> Result<(), Finding> {
    const PREFETCH: u16 = 3;
    let scene = Scene::set(world).await?;
    let messages = scene.messages(5);
    scene.put(&messages).await?;
    let order = Order::of(&scene, 10, PREFETCH).await?;
    let mut process = scene.world.process(&order)?;
    for _ in 0..PREFETCH {
        let said = process.expect("work that begins", A_WHILE).await?;
        if said.starts_with("returned") {
            return Err(Evidence::new("a consumer that goes on", said).into());
        }
        scene.world.history().note("process", format!("begins {said}"));
    }
    process.kill().await?;
    scene.world.history().note("process", "(is killed: kill -9)");
    let client = scene.client::<S>("other", PATIENT).await?;
    let works = Works::well(&scene, "other");
    let running = client.starts(&scene, 0, PREFETCH, &works);
    works.done(&messages).await?;
    // What nobody had before comes for the first time, and what the dead one had does not.
    let seen = works.seen();
    let again = seen.done.iter().filter(|(_, attempt)| *attempt > 1).count();
    if again < usize::from(PREFETCH) {
        let expected =
            format!("{PREFETCH} messages with an attempt above 1: the dead one had them");
        return Err(Evidence::new(expected, again.to_string()).into());
    }
    scene.is_empty(SOON).await?;
    running.goes_on()
}

pub(super) async fn failed_work<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let messages = scene.messages(4);
    let (fails, panics) = (messages[0].id.clone(), messages[1].id.clone());
    let works = Works::new(&scene, "client", move |delivered| {
        match (&delivered.message.id, delivered.attempt) {
            (id, 1 | 2) if *id == fails => How::Fails,
            (id, 1) if *id == panics => How::PanicsAtOnce,
            (id, 2) if *id == panics => How::Panics,
            _ => How::Well,
        }
    });
    scene.put(&messages).await?;
    let running = client.starts(&scene, 0, 2, &works);
    running.meanwhile(works.done(&messages)).await?;
    running.meanwhile(scene.is_empty(SOON)).await?;
    let seen = works.seen();
    for (message, times) in messages.iter().zip([3, 3, 1, 1]) {
        let begun = seen.begun.iter().filter(|(id, _)| *id == message.id).count();
        if begun != times {
            let expected = format!("{} begun {times} times", message.id);
            return Err(Evidence::new(expected, begun.to_string()).into());
        }
    }
    running.tell();
    let drained = running.ends().await?;
    if drained != (Drained { done: 4, failed: 4 }) {
        let expected = "what it did: 4 done, 4 failed";
        return Err(Evidence::new(expected, format!("{drained:?}")).into());
    }
    Ok(())
}

pub(super) async fn late_acknowledgement<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let (first, second) = (Gate::shut(), Gate::shut());
    let (old, new) = (How::At(first.clone()), How::FailsAt(second.clone()));
    let works = Works::new(&scene, "client", move |delivered| match delivered.attempt {
        1 => old.clone(),
        2 => new.clone(),
        _ => How::Well,
    });
    let message = scene.messages(1);
    scene.put(&message).await?;
    let running = client.starts(&scene, 0, 1, &works);
    works.begun(1).await?;
    let cut = scene.world.fault("the connection is lost in the middle of the work");
    landed(scene.rabbit().await?.kill_connections().await?, "there was no connection")?;
    drop(cut);
    let again = |seen: &works::Seen| seen.begun.iter().any(|(_, attempt)| *attempt == 2);
    let what = "attempt 2 at work, while the first still is";
    running.meanwhile(works.come_to(what, A_WHILE, again)).await?;
    // The first is done now. What it has to say is of a channel that is gone; on the new one its
    // number is the second's.
    first.open();
    works.come_to("the first attempt done", SOON, |seen| !seen.done.is_empty()).await.or_else(
        // Who breaks it off when its connection is lost has nothing to say.
        |_| Ok::<_, Finding>(works.seen()),
    )?;
    let expected = "1 unacked: its second attempt is under way";
    scene.queue_never(expected, |queue| queue.unacked == 0).await?;
    second.open();
    let third = |seen: &works::Seen| seen.done.iter().any(|(_, attempt)| *attempt >= 3);
    works.come_to("attempt 3, as the second has failed", A_WHILE, third).await?;
    scene.is_empty(SOON).await?;
    let more = scene.messages(1);
    scene.put(&more).await?;
    works.done(&more).await?;
    running.goes_on()
}
