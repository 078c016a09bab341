//! From a producer through the exchange to those who want it.

use super::scene::own;
use super::*;
use messaging::lapin::options::BasicGetOptions;
use rand::RngExt;
use std::collections::BTreeMap;

pub(super) async fn unchanged<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let mut random = scene.world.random();
    // Bytes that are no text, in more than one of AMQP's frames.
    let body: Vec<u8> = std::iter::repeat_with(|| random.random()).take(200_000).collect();
    let whole = Message {
        key: "order.paid.v1".to_owned(),
        correlation: Some(format!("order-{}", random.random_range(10..100))),
        content_type: Some("application/octet-stream".to_owned()),
        headers: BTreeMap::from([("traceparent".to_owned(), "00-4bf92f35-00f0-01".to_owned())]),
        body,
        ..scene.message()
    };
    let empty = Message { body: Vec::new(), ..scene.message() };
    let works = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 4, &works);
    for message in [whole, empty] {
        client.sends(std::slice::from_ref(&message)).await?;
        let seen = works.done(std::slice::from_ref(&message)).await?;
        let arrived = seen.messages.iter().find(|arrived| arrived.id == message.id);
        let parts = |message: &Message| {
            let Message { key, correlation, content_type, headers, body, .. } = message;
            let body = body.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
            let length = message.body.len();
            format!("{key} {correlation:?} {content_type:?} {headers:?}, {length} bytes ({body:x})")
        };
        let arrived = arrived.map(parts).unwrap_or_default();
        if arrived != parts(&message) {
            return Err(Evidence::new(parts(&message), arrived).into());
        }
    }
    running.goes_on()
}

pub(super) async fn before_any_consumer<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let producer = scene.client::<S>("producer", PATIENT).await?;
    let messages = scene.messages(2);
    producer.sends(&messages).await?;
    let consumer = scene.client::<S>("consumer", PATIENT).await?;
    let works = Works::well(&scene, "consumer");
    let running = consumer.starts(&scene, 0, 4, &works);
    works.done(&messages).await?;
    running.goes_on()
}

pub(super) async fn each_queue_a_copy<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?.and_queue("audit", &["order.#", "payment.failed.v1"]);
    let client = scene.client::<S>("client", PATIENT).await?;
    let [mailer, audit] = ["mailer", "audit"].map(|lane| Works::well(&scene, lane));
    let running = [client.starts(&scene, 0, 4, &mailer), client.starts(&scene, 1, 4, &audit)];
    let keyed = |key: &str| Message { key: key.to_owned(), ..scene.message() };
    let (placed, failed) = (keyed("order.placed.v1"), keyed("payment.failed.v1"));
    let (deep, nobodys) = (keyed("order.line.added.v1"), keyed("stock.low.v1"));
    // Whether that is an error is the courier's business; it must not stay in the way.
    let _ = client.publish(&nobodys).await;
    let wanted = [placed.clone(), deep.clone(), failed.clone(), scene.message()];
    client.sends(&wanted).await?;
    let [_, _, _, last] = &wanted;
    for (works, mut expected) in [(&mailer, vec![&placed, last]), (&audit, wanted.iter().collect())]
    {
        works.done(&expected.iter().map(|&message| message.clone()).collect::<Vec<_>>()).await?;
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        let expected = works::listed(expected.iter().map(|message| &message.id));
        let seen = works.seen();
        let found = works::listed(works::distinct(&seen.begun).into_iter());
        if found != expected {
            return Err(Evidence::new(format!("the queue to get {expected}"), found).into());
        }
    }
    running.iter().try_for_each(Running::goes_on)
}

pub(super) async fn one_queue_is_shared<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let gate = Gate::shut();
    let mut running = Vec::new();
    let mut shared = Vec::new();
    for lane in ["one", "other"] {
        let client = scene.client::<S>(lane, PATIENT).await?;
        let waits = How::At(gate.clone());
        let works = Works::new(&scene, lane, move |_| waits.clone());
        running.push(client.starts(&scene, 0, 2, &works));
        shared.push((client, works));
    }
    scene.queue_comes_to("two consumers at one queue", SOON, |queue| queue.consumers == 2).await?;
    let messages = scene.messages(4);
    let (first, _) = &shared[0];
    first.sends(&messages).await?;
    // None of them ends before all are at work, so each consumer must have been given its two.
    for (_, works) in &shared {
        works.begun(2).await?;
    }
    gate.open();
    scene.is_empty(SOON).await?;
    for message in &messages {
        let times: usize =
            shared.iter().map(|(_, works)| works.seen().times_done(&message.id)).sum();
        if times != 1 {
            let saw = format!("{} done {times} times", message.id);
            return Err(Evidence::new("each message done by one of the two", saw).into());
        }
    }
    running.iter().try_for_each(Running::goes_on)
}

pub(super) async fn as_declared<S: Courier>(world: World) -> Result<(), Finding> {
    // Once for who publishes, and once for who consumes and comes first.
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    client.sends(&scene.messages(1)).await?;
    same(&scene).await?;
    let (broker, channel) = scene.look().await?;
    let queue = scene.queue(0);
    let got = broker.answer(channel.basic_get(queue.as_str().into(), BasicGetOptions::default()));
    let Some(got) = got.await.map_err(own)? else {
        return Err(Evidence::new("the message in its queue", "an empty queue").into());
    };
    let mode = *got.delivery.properties.delivery_mode();
    if mode != Some(2) {
        let saw = format!("delivery-mode {}", mode.map_or("not set".to_owned(), |m| m.to_string()));
        return Err(Evidence::new("a persistent message: delivery-mode 2", saw).into());
    }
    broker.close().await;

    let mut other = scene;
    other.topology.exchange += "-too";
    other.topology.queues[0].name += "-too";
    let client = other.client::<S>("client", PATIENT).await?;
    let works = Works::well(&other, "client");
    let running = client.starts(&other, 0, 2, &works);
    other.queue_comes_to("a consumer at its queue", SOON, |queue| queue.consumers == 1).await?;
    same(&other).await?;
    running.goes_on()
}

/// The topology is there, and as it should be: to declare it once more changes nothing.
async fn same(scene: &Scene) -> Result<(), Finding> {
    let (broker, channel) = scene.look().await?;
    match broker.answer(scene.topology.declare(&channel)).await {
        Ok(()) => {}
        Err(Error::Broker(error)) if error.is_amqp_error() => {
            let step = scene.world.history().note("broker", "refuses the same declaration");
            let expected = "exchange and queue as the topology has them, durable";
            return Err(Evidence::new(expected, error.to_string()).at(step).into());
        }
        Err(error) => return Err(own(error)),
    }
    broker.close().await;
    Ok(())
}
