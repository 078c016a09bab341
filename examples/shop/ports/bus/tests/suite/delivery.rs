//! Who gets which message, and in which order.

use std::collections::HashSet;
use std::pin::pin;
use std::task::Poll;

use shop_bus::{Delivery, Subscription};
use tokio::time::timeout;
use uuid::Uuid;

use super::{PATIENCE, Place, assert_empty, event, finish, next, publish};

const KIND: &str = "order.placed.v1";

pub(crate) async fn other_handles_are_woken(place: impl Place) {
    let (here, there) = (place.here().await, place.here().await);
    let mut consumer = there.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let waiting = tokio::spawn(async move { next(&mut consumer).await });
    let events = publish(&here, KIND, 1).await;
    assert_eq!(waiting.await.unwrap().event, events[0]);
}

pub(crate) async fn a_dropped_consumers_messages_go_to_another(place: impl Place) {
    let (here, there) = (place.here().await, place.here().await);
    let wants = Subscription::new("audit", &["#"]);
    let mut leaving = here.subscribe(wants).await.unwrap();
    let events = publish(&here, KIND, 2).await;
    let held = [next(&mut leaving).await, next(&mut leaving).await];
    let mut staying = there.subscribe(wants).await.unwrap();
    drop((leaving, held));
    let mut come = HashSet::new();
    for _ in &events {
        let delivery = next(&mut staying).await;
        assert_eq!(delivery.attempt, 2);
        come.insert(delivery.event.id);
        delivery.ack().await.unwrap();
    }
    assert_eq!(come, events.iter().map(|event| event.id).collect());
}

pub(crate) async fn a_delivery_outlives_its_consumer(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]);
    let mut consumer = bus.subscribe(wants).await.unwrap();
    publish(&bus, KIND, 1).await;
    let delivery = next(&mut consumer).await;
    drop(consumer);
    let mut another = bus.subscribe(wants).await.unwrap();
    assert_empty(&bus, &mut another, KIND).await;
    delivery.ack().await.expect("still its own");
}

pub(crate) async fn first_deliveries_are_in_the_order_of_publishing(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let bus = bus.clone();
            tokio::spawn(async move { publish(&bus, KIND, 25).await })
        })
        .collect();
    let mut come = Vec::new();
    for _ in 0..100 {
        let delivery = next(&mut consumer).await;
        come.push(delivery.event.id);
        delivery.ack().await.unwrap();
    }
    for publisher in publishers {
        let places: Vec<_> = publisher
            .await
            .unwrap()
            .iter()
            .map(|event| come.iter().position(|id| *id == event.id).expect("it came"))
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}

pub(crate) async fn competing_consumers_share_and_nothing_comes_twice(place: impl Place) {
    // Two in one process, one as if in another.
    let (here, there) = (place.here().await, place.here().await);
    let wants = Subscription::new("audit", &["#"]).prefetch(1);
    let mut consumers = Vec::new();
    for bus in [&here, &here, &there] {
        consumers.push(bus.subscribe(wants).await.unwrap());
    }
    let events = publish(&here, KIND, 60).await;
    // Each has one before any has finished one: so they do share.
    let mut held: Vec<Delivery> = Vec::new();
    for consumer in &mut consumers {
        held.push(next(consumer).await);
    }
    let workers: Vec<_> = consumers
        .into_iter()
        .zip(held)
        .map(|(mut consumer, first)| {
            tokio::spawn(async move {
                let mut done = vec![(first.event.id, first.attempt)];
                first.ack().await.unwrap();
                loop {
                    let delivery = next(&mut consumer).await;
                    if delivery.event.kind == "the.end" {
                        delivery.ack().await.unwrap();
                        return done;
                    }
                    done.push((delivery.event.id, delivery.attempt));
                    delivery.ack().await.unwrap();
                }
            })
        })
        .collect();
    publish(&here, "the.end", workers.len()).await;
    let mut done: Vec<(Uuid, u32)> = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    assert!(done.iter().all(|(_, attempt)| *attempt == 1));
    assert_eq!(done.len(), events.len());
    let done: HashSet<_> = done.into_iter().map(|(id, _)| id).collect();
    assert_eq!(done, events.iter().map(|event| event.id).collect());
}

pub(crate) async fn no_more_than_the_prefetch_is_out(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]);
    let mut bounded = bus.subscribe(wants.prefetch(3)).await.unwrap();
    let events = publish(&bus, KIND, 5).await;
    let mut held = Vec::new();
    for event in &events[..3] {
        held.push(next(&mut bounded).await);
        assert_eq!(held.last().unwrap().event, *event);
    }
    // It asks for more, and is not given the fourth: another one is.
    let waiting = tokio::spawn(async move { (next(&mut bounded).await, bounded) });
    let mut other = bus.subscribe(wants.prefetch(10)).await.unwrap();
    for event in &events[3..] {
        finish(&mut other, event).await;
    }
    drop(other);
    let more = publish(&bus, KIND, 1).await;
    held.pop().unwrap().ack().await.unwrap();
    let (delivery, _bounded) = waiting.await.unwrap();
    assert_eq!(delivery.event, more[0]);
}

pub(crate) async fn who_stops_waiting_loses_nothing(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"]).prefetch(1)).await.unwrap();
    let events = publish(&bus, KIND, 40).await;
    for (number, event) in events.iter().enumerate() {
        // Looks once, twice, three times … and goes away; then waits for it.
        let delivery = match polled(number % 5, consumer.next()).await {
            Some(delivery) => delivery.unwrap(),
            None => next(&mut consumer).await,
        };
        assert_eq!((&delivery.event, delivery.attempt), (event, 1));
        delivery.ack().await.unwrap();
    }
}

pub(crate) async fn a_publish_that_was_dropped_is_in_every_queue_or_in_none(place: impl Place) {
    let bus = place.here().await;
    let mut one = bus.subscribe(Subscription::new("one", &["#"])).await.unwrap();
    let mut two = bus.subscribe(Subscription::new("two", &["#"])).await.unwrap();
    let mut finished = 0;
    for polls in (0..20).cycle().take(100) {
        finished += usize::from(polled(polls, bus.publish(&event(KIND))).await.is_some());
    }
    bus.publish(&event("the.end")).await.unwrap();
    let mut come = [Vec::new(), Vec::new()];
    for (consumer, come) in [&mut one, &mut two].into_iter().zip(&mut come) {
        loop {
            let delivery = next(consumer).await;
            let (id, end) = (delivery.event.id, delivery.event.kind == "the.end");
            delivery.ack().await.unwrap();
            if end {
                break;
            }
            come.push(id);
        }
    }
    assert_eq!(come[0], come[1]);
    assert!((finished..100).contains(&come[0].len()), "some were dropped before they had begun");
}

/// What a future comes to, if it does so before it has been polled so often. Then it is dropped.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    let limited = std::future::poll_fn(move |context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    });
    timeout(PATIENCE, limited).await.expect("woken in time")
}
