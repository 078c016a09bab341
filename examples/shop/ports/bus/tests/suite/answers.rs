//! What becomes of a message by what its consumer says.

use std::sync::Arc;
use std::time::Duration;

use shop_bus::{Bus, Reason, Subscription};
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Place, assert_empty, dead_letters, finish, next, publish};

const KIND: &str = "order.placed.v1";

pub(crate) async fn an_acknowledged_message_is_gone(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let events = publish(&bus, KIND, 2).await;
    for event in &events {
        finish(&mut consumer, event).await;
    }
    assert_empty(&bus, &mut consumer, KIND).await;
    // Neither for one who comes later.
    drop((consumer, bus));
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    assert_empty(&bus, &mut consumer, KIND).await;
    assert_eq!(bus.dead_letters("audit").await.unwrap(), []);
}

pub(crate) async fn a_requeued_message_comes_again_and_counts(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]).prefetch(1);
    let mut consumer = bus.subscribe(wants).await.unwrap();
    let events = publish(&bus, KIND, 1).await;
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await;
        assert_eq!((&delivery.event, delivery.attempt), (&events[0], attempt));
        assert_eq!(delivery.redelivered(), attempt > 1);
        delivery.requeue().await.unwrap();
    }
    next(&mut consumer).await.ack().await.unwrap();
    assert_empty(&bus, &mut consumer, KIND).await;
}

pub(crate) async fn a_delivery_that_is_dropped_comes_again_and_counts(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"]).prefetch(1)).await.unwrap();
    let events = publish(&bus, KIND, 1).await;
    drop(next(&mut consumer).await);
    // Work that panics lets go in the same way.
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.attempt, 2);
    let work = tokio::spawn(async move {
        let _delivery = delivery;
        std::panic::resume_unwind(Box::new("the work went wrong"));
    });
    work.await.unwrap_err();
    let delivery = next(&mut consumer).await;
    assert_eq!((&delivery.event, delivery.attempt), (&events[0], 3));
}

pub(crate) async fn the_last_delivery_leads_to_the_dead_letters(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]).prefetch(1).deliveries(3);
    let mut consumer = bus.subscribe(wants).await.unwrap();
    let poison = publish(&bus, KIND, 1).await;
    // However its consumer failed: by saying so, by letting go, by going away.
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await;
        assert_eq!((&delivery.event, delivery.attempt), (&poison[0], attempt));
        match attempt {
            1 => delivery.requeue().await.unwrap(),
            2 => drop(delivery),
            _ => {
                drop((delivery, consumer));
                consumer = bus.subscribe(wants).await.unwrap();
            }
        }
    }
    let dead = dead_letters(&bus, 1).await;
    assert_eq!(dead[0].event().unwrap(), poison[0]);
    assert_eq!(dead[0].reason, Reason::DeliveryLimit);
    assert!(matches!(dead[0].attempts, None | Some(3)), "{dead:?}");
    // A side may note the second alone.
    assert!(dead[0].at + 1_000_000 > poison[0].time, "{dead:?}");
    assert_empty(&bus, &mut consumer, KIND).await;
}

pub(crate) async fn a_rejected_message_is_a_dead_letter_at_once(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let mut other = bus.subscribe(Subscription::new("other", &["#"])).await.unwrap();
    let events = publish(&bus, KIND, 2).await;
    next(&mut consumer).await.reject().await.unwrap();
    finish(&mut consumer, &events[1]).await;
    let dead = dead_letters(&bus, 1).await;
    assert_eq!(dead[0].event().unwrap(), events[0]);
    assert_eq!(dead[0].reason, Reason::Rejected);
    assert!(matches!(dead[0].attempts, None | Some(1)), "{dead:?}");
    // It is one queue's message that died, and not the event.
    assert_eq!(bus.dead_letters("other").await.unwrap(), []);
    finish(&mut other, &events[0]).await;
}

pub(crate) async fn dead_letters_stay_until_they_are_redriven(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let events = publish(&bus, KIND, 3).await;
    for _ in &events {
        next(&mut consumer).await.reject().await.unwrap();
    }
    drop((consumer, bus));
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    for _look in 0..2 {
        let dead = dead_letters(&bus, 3).await;
        let dead: Vec<_> = dead.iter().map(|letter| letter.event().unwrap()).collect();
        assert_eq!(dead, events);
    }
    assert_eq!(bus.redrive("audit").await.unwrap(), 3);
    for event in &events {
        // As if it had never been delivered: it may fail as often again.
        finish(&mut consumer, event).await;
    }
    assert_eq!(bus.dead_letters("audit").await.unwrap(), []);
    assert_eq!(bus.redrive("audit").await.unwrap(), 0);
}

pub(crate) async fn a_queue_is_as_deep_as_what_nobody_has(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]).prefetch(1);
    let mut consumer = bus.subscribe(wants).await.unwrap();
    deep(&bus, "audit", 0).await;
    publish(&bus, KIND, 4).await;
    // One is in its hands, and is not what waits.
    let held = next(&mut consumer).await;
    deep(&bus, "audit", 3).await;
    // The queue of nobody is no error: it is asked for before anybody has declared it.
    deep(&bus, "nobodys", 0).await;
    held.reject().await.unwrap();
    deep(&bus, "audit.dlq", 1).await;
    // Without a consumer all that is left waits, for whoever looks.
    drop(consumer);
    deep(&place.here().await, "audit", 3).await;
    bus.redrive("audit").await.unwrap();
    deep(&bus, "audit", 4).await;
    deep(&bus, "audit.dlq", 0).await;
}

/// Waits until a queue is so deep: RabbitMQ hands a message out, and takes it back, in its own time.
async fn deep(bus: &Arc<dyn Bus>, queue: &str, expected: u64) {
    let mut last = 0;
    let there = timeout(PATIENCE, async {
        loop {
            last = bus.depth(queue).await.expect("a bus");
            if last == expected {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    let there = there.await;
    assert!(there.is_ok(), "{queue} is {last} deep, and should be {expected}");
}
