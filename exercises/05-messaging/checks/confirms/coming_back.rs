//! What no queue wants, or none has room for.

use super::scene::tally;
use super::*;
use lapin::types::AMQPValue;
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use testbed::proxy::Request;

pub(super) async fn unroutable_alone<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    for nth in 0..4 {
        let key = format!("nobody.wants.{nth}");
        match client.publish(&scene.keyed(nth, &key)).await? {
            Err(NotConfirmed::Unroutable { key: named }) if named == key => {}
            Err(NotConfirmed::Unroutable { key: named }) => {
                return Err(client.not(format!("`{key}` named"), format!("`{named}`")));
            }
            Err(error) => {
                return Err(client.not("unroutable: no queue wants it", error.to_string()));
            }
            Ok(()) => return Err(client.not("unroutable: no queue wants it", "ok")),
        }
        client.arrives(&scene.message(10 + nth)).await?;
    }
    scene.holds(&scene.queue, 4).await?;
    // What nobody wanted a moment ago is wanted now, and then is not again: another message of its
    // key, and the very same.
    let key = "nobody.wants.0";
    scene.bind(&scene.queue, key, true, &[]).await?;
    scene.world.history().note("client", format!("(a queue is bound for {key})"));
    let both = [scene.keyed(20, key), scene.keyed(0, key)];
    for message in &both {
        client.arrives(message).await?;
    }
    scene.unbind(&scene.queue, key).await?;
    scene.world.history().note("client", "(and is not any more)");
    for message in &both {
        match client.publish(message).await? {
            Err(NotConfirmed::Unroutable { .. }) => {}
            other => return Err(client.not("unroutable: no queue wants it any more", word(&other))),
        }
    }
    scene.holds(&scene.queue, 6).await?;
    match client.on_the_wire() {
        12 => Ok(()),
        seen => Err(client.not("12 publishes on the wire: each once", seen.to_string())),
    }
}

const ROUNDS: usize = 12;
const BATCH: usize = 60;

pub(super) async fn which_came_back<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    let mut random = scene.world.random();
    // One that has nothing to write to a disk confirms at once, and many with one frame.
    let fast = format!("{}.fast", scene.queue);
    scene.bind(&fast, "fast.#", false, &[]).await?;
    client.arrives(&scene.message(0)).await?;
    let of_many = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        scene.world.history().turn_page();
        client.proxy.clear_rules();
        let keys = ["fast.sale", "nobody.wants", "order.placed"];
        // A durable queue confirms late, so there are rounds with and without it.
        let kinds = 2 + round % 2;
        let drawn: Vec<usize> = (0..BATCH).map(|_| random.random_range(0..kinds)).collect();
        let messages: Vec<Message> =
            drawn.iter().enumerate().map(|(nth, kind)| scene.keyed(nth, keys[*kind])).collect();
        // The first is held, so that the broker gets many at once and answers many at once.
        let first = AtomicBool::new(true);
        let is_first = move |request: &Request| {
            request.is("basic.publish") && first.swap(false, Ordering::SeqCst)
        };
        let start = client.proxy.hold(is_first);
        let counted = Arc::clone(&of_many);
        // Holds nothing, and looks at all that passes.
        client.proxy.hold_from_server(move |said| {
            counted.fetch_add(usize::from(said.has("multiple")), Ordering::SeqCst);
            false
        });
        let calling = match round % 4 < 2 {
            true => client.start(messages.clone()),
            false => client.start_each(messages.clone()),
        };
        meets(&start, &calling).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        start.open();
        let outcomes = calling.await??;
        for (message, outcome) in messages.iter().zip(&outcomes) {
            let expected = match message.key == keys[1] {
                true => "unroutable",
                false => "ok",
            };
            let key_is_its_own = match outcome {
                Err(NotConfirmed::Unroutable { key }) => *key == message.key,
                _ => true,
            };
            if word(outcome) != expected || !key_is_its_own {
                let is = format!("{} ({}) to be {expected}", message.id, message.key);
                let saw = format!("{}; of all: {}", word(outcome), tally(&outcomes));
                return Err(client.not(is, saw));
            }
        }
        let wanted = drawn.iter().filter(|kind| **kind == 0).count();
        scene.holds(&fast, wanted).await?;
        scene.take(&fast).await?;
    }
    landed(of_many.load(Ordering::SeqCst), "no confirm was for many messages")
}

/// One in two comes back. All have the same id and the same body. They differ in their keys, in one
/// batch and in two; then in nothing but the exchange; and at last in nothing but a header.
pub(super) async fn alike<S: Publisher>(world: World) -> Result<(), Finding> {
    const PAIRS: usize = 12;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    let deserted = scene.deserted().await?;
    let by_headers = scene.by_headers("kind", "gift").await?;
    client.arrives(&scene.message(0)).await?;
    let keyed = |key: &str| Message { body: b"the same".to_vec(), ..scene.keyed(1, key) };
    let (wanted, unwanted) = (keyed("order.placed"), keyed("nobody.wants"));
    let of_one = |message: &Message| vec![message.clone(); PAIRS];
    let in_turn = |pair: [&Message; 2]| (0..PAIRS).flat_map(|_| pair.map(Message::clone)).collect();
    let of_kind = |kind: &str| Message {
        headers: [("kind".to_owned(), kind.to_owned())].into(),
        ..wanted.clone()
    };
    let shop = &scene.exchange;
    let rounds = [
        vec![(shop, in_turn([&wanted, &unwanted]), vec!["ok", "unroutable"])],
        vec![(shop, of_one(&wanted), vec!["ok"]), (shop, of_one(&unwanted), vec!["unroutable"])],
        vec![(shop, of_one(&wanted), vec!["ok"]), (&deserted, of_one(&wanted), vec!["unroutable"])],
        vec![(
            &by_headers,
            in_turn([&of_kind("gift"), &of_kind("parcel")]),
            vec!["ok", "unroutable"],
        )],
    ];
    let in_each = 2 * PAIRS;
    for batches in rounds {
        scene.world.history().turn_page();
        client.proxy.clear_rules();
        client.proxy.reset_count();
        // All are on their way before the publisher hears of the first.
        let gate = client.proxy.hold_from_server(|_| true);
        let (mut calling, mut expected) = (Vec::new(), Vec::new());
        for (exchange, messages, words) in batches {
            expected.push((exchange, messages.len(), words));
            calling.push(client.start_to(exchange, messages));
        }
        let seen = client.comes_to_wire(in_each, &calling).await;
        client.let_go(&gate);
        if seen < in_each {
            return Err(client.not(format!("{in_each} on the wire"), seen.to_string()));
        }
        for (calling, (exchange, count, words)) in calling.into_iter().zip(expected) {
            let outcomes = calling.await??;
            if outcomes.iter().zip(words.iter().cycle()).any(|(outcome, is)| word(outcome) != *is) {
                let expected = format!("{count} to `{exchange}`, in turn {}", words.join(", "));
                return Err(client.not(expected, tally(&outcomes)));
            }
        }
    }
    scene.holds(&scene.queue, 1 + 4 * PAIRS).await
}

pub(super) async fn refused<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // As many are refused as there is room for: whoever does not give it back has none at the end.
    let client = scene.client::<S>(Options { window: 4, ..PATIENT }).await?;
    let small = format!("{}.small", scene.queue);
    let full = [
        ("x-max-length", AMQPValue::LongInt(1)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ];
    scene.bind(&small, "small.#", true, &full).await?;
    // This one has room, and what the other refuses lies here all the same.
    let large = format!("{}.large", scene.queue);
    scene.bind(&large, "small.#", true, &[]).await?;
    let one = |nth| scene.keyed(nth, "small.parcel");
    client.arrives(&one(0)).await?;
    scene.holds(&small, 1).await?;
    match client.publish(&one(1)).await? {
        Err(NotConfirmed::Refused) => {}
        other => return Err(client.not("refused: the queue is full", word(&other))),
    }
    scene.holds(&large, 2).await?;
    client.arrives(&scene.message(2)).await?;
    let batch = [one(3), scene.message(4), one(5), scene.keyed(6, "nobody.wants"), one(7)];
    let outcomes = client.publish_all(&batch).await?;
    let saw: Vec<&str> = outcomes.iter().map(word).collect();
    let expected = ["refused", "ok", "refused", "unroutable", "refused"];
    if saw != expected {
        return Err(client.not(expected.join(", "), saw.join(", ")));
    }
    scene.holds(&small, 1).await?;
    scene.take(&small).await?;
    client.arrives(&one(8)).await?;
    scene.holds(&small, 1).await?;
    scene.holds(&large, 6).await?;
    scene.holds(&scene.queue, 2).await
}
