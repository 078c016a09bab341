//! What it hears from the bus.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Embedded, Rabbitmq, Subscription};
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

/// The synchronous checkout tells by both ways. It is one mail, whichever comes first, and with the
/// inbox switched off as well: an event that follows a request is no second copy of anything.
async fn asked_and_heard(bus: &Arc<dyn Bus>) {
    for inbox in ["on", "off"] {
        let world = World::new(Duration::from_millis(5)).await;
        let switched = json!({"flags": {"pattern.inbox": {"defaultVariant": inbox}}});
        world.flags.merge(switched.to_string()).expect("known");
        let (client, hearing) = world.both(bus).await;
        let wanted = confirmation(world.ada);
        let mut orders = Vec::new();
        for first in ["request", "event", "both"].into_iter().cycle().take(30) {
            let order = OrderId::new();
            orders.push(order);
            let event = confirmed(order, &wanted);
            match first {
                "request" => {
                    client.confirm(order, &wanted).await.expect("told");
                    bus.publish(&event).await.expect("published");
                }
                "event" => {
                    bus.publish(&event).await.expect("published");
                    world.until(order, State::Sent).await;
                    client.confirm(order, &wanted).await.expect("told");
                }
                _ => {
                    let (published, told) =
                        tokio::join!(bus.publish(&event), client.confirm(order, &wanted));
                    published.expect("published");
                    told.expect("told");
                }
            }
        }
        // Each event is heard of at last, and whoever hears asks for the customer: so often, and
        // once more for each mail that was claimed by a request.
        let asked = async {
            while world.users.asked() < orders.len() {
                sleep(Duration::from_millis(5)).await;
            }
            // Behind all of them, and empty when they are answered.
            let last = OrderId::new();
            bus.publish(&confirmed(last, &wanted)).await.expect("published");
            world.until(last, State::Sent).await;
            sleep(Duration::from_millis(200)).await;
        };
        timeout(LONG, asked).await.expect("all are heard");
        for order in orders {
            // It waits for its turn, which whoever hears has until the end.
            let told = client.confirm(order, &wanted).await.expect("told");
            assert_eq!(told.state, State::Sent);
            let mails = world.mail.sent().into_iter().filter(|mail| mail.key == order.0).count();
            assert_eq!(mails, 1, "inbox {inbox}");
            let said = client.events(order).await.expect("events");
            assert_eq!(said.len(), 1, "{said:?}");
        }
        hearing.abort();
        let _ = hearing.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_and_heard_it_is_one_mail() {
    let (_folder, bus) = bus().await;
    asked_and_heard(&bus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_and_heard_over_rabbitmq_it_is_one_mail() {
    let rabbit = testbed::rabbitmq::private().await.expect("a broker");
    let bus = Rabbitmq::open(rabbit.url(), "a test").await.expect("a bus");
    let bus: Arc<dyn Bus> = Arc::new(bus);
    asked_and_heard(&bus).await;
}
