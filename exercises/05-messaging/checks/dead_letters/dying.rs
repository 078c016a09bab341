//! Consumers, connections and queues that end in the middle.

use super::verdicts::is_dead;
use super::*;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the second process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    url: String,
    exchange: String,
    queue: String,
    deliveries: u32,
}

/// Says what it begins, and ends nothing.
pub(super) async fn doomed<S: Ward>(child: Child) {
    let Order { url, exchange, queue, deliveries } = child.arguments();
    let queue = Queue { deliveries, ..Queue::new(queue, &["order.*.v1"]) };
    let options =
        Options { name: "doomed".to_owned(), timeout: PATIENT, prefetch: 1, pause: SHORT };
    let ward = S::open(&url, &exchange, queue, options).expect("the parent's URL can be read");
    let work = |delivered: Delivered| async move {
        Child::say(&format!("{} {}", delivered.message.id, delivered.attempt));
        std::future::pending().await
    };
    let over = ward.consume(work, std::future::pending()).await;
    Child::say(&format!("returned: {over:?}"));
}

pub(super) async fn killed<S: Ward>(world: World) -> Result<(), Finding> {
    const DELIVERIES: u32 = 3;
    let scene = Scene::set(world, DELIVERIES).await?;
    let order = Order {
        url: scene.rabbit().await?.url().to_owned(),
        exchange: scene.exchange.clone(),
        queue: scene.queue.name.clone(),
        deliveries: DELIVERIES,
    };
    let (poison, others) = (scene.message(), scene.messages(3));
    for nth in 1..=DELIVERIES {
        let mut process = scene.world.process(&order)?;
        if nth == 1 {
            scene.has_consumer().await?;
            scene.put(std::slice::from_ref(&poison)).await?;
            scene.put(&others).await?;
        }
        let said = process.expect("work that begins", A_WHILE).await?;
        let step = scene.world.history().note("process", format!("begins {said}"));
        let expected = format!("{} {nth}", poison.id);
        if said != expected {
            return Err(Evidence::new(format!("{expected}: message and attempt"), said)
                .at(step)
                .into());
        }
        process.kill().await?;
        scene.world.history().note("process", "(is killed: kill -9)");
    }
    scene.comes_to(&scene.queue.dead(), 1).await?;
    let client = scene.client::<S>("next", 4, PATIENT, SHORT).await?;
    let works = Works::new(&scene, "next", |_| How::done());
    let mut running = client.starts(&works);
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    works.were(&poison, &[])?;
    for other in &others {
        works.were(other, &[1])?;
    }
    let letter = client.letter().await?;
    is_dead(&client, &letter, &poison, &Reason::DeliveryLimit, None)
}

pub(super) async fn cut_anywhere<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 20).await?;
    let mut cuts = 0;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            scene.world.history().turn_page();
            let client = scene.client::<S>("consumer", 2, CUT, SHORT).await?;
            let works = Works::new(&scene, "consumer", |_| How::never("no such order"));
            let mut running = client.starts(&works);
            running.meanwhile(scene.has_consumer()).await?;
            // All that has to be opened first is open after one.
            scene.put(&[scene.message()]).await?;
            running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
            running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
            scene.take(&scene.queue.dead()).await?;

            scene.world.history().turn_page();
            let poison = scene.message();
            let cut = cut_nth(&client.proxy, step, reply);
            scene.put(std::slice::from_ref(&poison)).await?;
            let dead = scene.queue.dead();
            let some = |queue: &testbed::rabbitmq::Queue| queue.ready > 0;
            running.meanwhile(scene.comes(&dead, "the message", some)).await?;
            running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
            running.ends().await?;
            client.proxy.clear_rules();
            for letter in client.letters().await? {
                is_dead(&client, &letter, &poison, &Reason::Rejected, Some("no such order"))?;
            }
            scene.take(&dead).await?;
            if cut.count() == 0 && !reply {
                break 'steps;
            }
            cuts += cut.count();
        }
    }
    landed(cuts, "a dead letter was made without a word to the broker")
}

/// More steps than anybody takes.
pub(super) const STEPS: usize = 14;

/// Cuts the `step`th request that moves messages, or the reply to it.
pub(super) fn cut_nth(
    proxy: &testbed::proxy::Proxy,
    step: usize,
    reply: bool,
) -> testbed::proxy::Landed {
    let seen = AtomicUsize::new(0);
    let matches = move |request: &testbed::proxy::Request| {
        let moves = ["basic.publish", "basic.get", "basic.ack", "basic.nack", "basic.reject"];
        moves.iter().any(|moves| request.is(moves))
            && seen.fetch_add(1, Ordering::SeqCst) + 1 == step
    };
    match reply {
        false => proxy.cut_request(matches),
        true => proxy.cut_reply(matches),
    }
}

pub(super) async fn dead_queue_is_gone<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", 2, PATIENT, SHORT).await?;
    let works = Works::new(&scene, "consumer", |_| How::never("no such order"));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(&[scene.message()]).await?;
    let dead = scene.queue.dead();
    running.meanwhile(scene.comes_to(&dead, 1)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    scene.delete(&dead).await?;
    let poison = scene.message();
    scene.put(std::slice::from_ref(&poison)).await?;
    running.meanwhile(scene.comes_to(&dead, 1)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    let letter = client.letter().await?;
    is_dead(&client, &letter, &poison, &Reason::Rejected, Some("no such order"))
}
