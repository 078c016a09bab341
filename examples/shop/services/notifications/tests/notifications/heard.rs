//! What it hears from the bus.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Embedded, Subscription};
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_contracts::notifications::{Confirmation, State};
use tokio::time::{sleep, timeout};

use crate::world::{World, confirmation};

const LONG: Duration = Duration::from_secs(60);

fn confirmed(order: OrderId, confirmation: &Confirmation) -> Event {
    let data = serde_json::to_value(confirmation).expect("JSON");
    Event::new("/orders", Type::OrderConfirmed, order, order, data)
}

async fn bus() -> (tempfile::TempDir, Arc<dyn Bus>) {
    let folder = tempfile::tempdir().expect("room");
    let bus = Embedded::open(folder.path()).await.expect("a bus");
    (folder, Arc::new(bus))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_is_one_mail_and_is_said_once() {
    let (_folder, bus) = bus().await;
    let world = World::new(Duration::from_millis(20)).await;
    let mut audit =
        bus.subscribe(Subscription::new("audit", &["notification.#"])).await.expect("a queue");
    let hearing = [world.hearing(&bus).await, world.hearing(&bus).await];
    let order = OrderId::new();
    let event = confirmed(order, &confirmation(world.ada));
    for _ in 0..8 {
        bus.publish(&event).await.expect("published");
    }
    world.until(order, State::Sent).await;
    let said = timeout(LONG, audit.next()).await.expect("soon").expect("a delivery");
    assert_eq!((said.event.correlation, said.event.known()), (order, Ok(Type::NotificationSent)));
    said.ack().await.expect("answered");
    // Another one, behind all of them.
    let last = OrderId::new();
    bus.publish(&confirmed(last, &confirmation(world.ada))).await.expect("published");
    world.until(last, State::Sent).await;
    let said = timeout(LONG, audit.next()).await.expect("soon").expect("a delivery");
    assert_eq!(said.event.correlation, last);
    assert_eq!(world.mail.sent().len(), 2, "one for each order");
    hearing.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_inbox_each_copy_is_a_mail() {
    let (_folder, bus) = bus().await;
    let world = World::new(Duration::from_millis(5)).await;
    let off = json!({"flags": {"pattern.inbox": {"defaultVariant": "off"}}});
    world.flags.merge(off.to_string()).expect("known");
    let hearing = world.hearing(&bus).await;
    let event = confirmed(OrderId::new(), &confirmation(world.ada));
    for _ in 0..3 {
        bus.publish(&event).await.expect("published");
    }
    timeout(LONG, async {
        while world.mail.sent().len() < 3 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("as many mails as events");
    hearing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_such_event_lies_with_the_dead_letters() {
    let (_folder, bus) = bus().await;
    let world = World::new(Duration::from_millis(5)).await;
    let hearing = world.hearing(&bus).await;
    let order = OrderId::new();
    let strange = Event::new("/orders", Type::OrderConfirmed, order, order, json!({"total": 7}));
    bus.publish(&strange).await.expect("published");
    timeout(LONG, async {
        while bus.dead_letters("notifications").await.expect("letters").is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("rejected");
    assert!(world.mail.sent().is_empty());
    hearing.abort();
}
