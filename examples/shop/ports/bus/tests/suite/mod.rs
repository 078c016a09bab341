//! What a service may rely on, whichever bus it has: one suite for every side.
//!
//! That something does *not* come is shown by what comes instead: a message that should be gone
//! would be delivered before one that was published later. Nothing here waits a while and hopes.

#![allow(clippy::unwrap_used, reason = "all of it is tests, though not all of it is marked so")]

mod answers;
mod crashes;
mod delivery;
mod routing;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Consumer, DeadLetter, Delivery, Event};
use shop_contracts::event::Type;
use shop_contracts::id::OrderId;
use tokio::time::{sleep, timeout};

pub(crate) use answers::*;
pub(crate) use crashes::*;
pub(crate) use delivery::*;
pub(crate) use routing::*;

/// Where a bus keeps its messages, for one test.
pub(crate) trait Place: Send + Sync + 'static {
    fn new() -> impl Future<Output = Self> + Send;

    /// What another process needs to open the same bus.
    fn address(&self) -> String;

    /// Opens the bus as a process that starts now would.
    fn open(address: &str) -> impl Future<Output = Arc<dyn Bus>> + Send;

    fn here(&self) -> impl Future<Output = Arc<dyn Bus>> + Send {
        async move { Self::open(&self.address()).await }
    }
}

/// Writes the suite for one side. A second side is a second line, in a file of its own.
macro_rules! conformance {
    ($place:ty) => {
        $crate::suite::conformance!(@tests $place:
            an_event_comes_as_it_was_published
            every_queue_gets_a_copy
            bindings_match_by_words_and_overlapping_ones_give_one_copy
            what_no_queue_wants_is_gone
            declaring_again_keeps_messages_and_adds_bindings
            declaring_otherwise_is_refused
            what_was_published_is_there_after_a_restart
            other_handles_are_woken
            an_acknowledged_message_is_gone
            a_requeued_message_comes_again_and_counts
            a_delivery_that_is_dropped_comes_again_and_counts
            the_last_delivery_leads_to_the_dead_letters
            a_rejected_message_is_a_dead_letter_at_once
            dead_letters_stay_until_they_are_redriven
            a_dropped_consumers_messages_go_to_another
            a_delivery_outlives_its_consumer
            first_deliveries_are_in_the_order_of_publishing
            competing_consumers_share_and_nothing_comes_twice
            no_more_than_the_prefetch_is_out
            who_stops_waiting_loses_nothing
            a_publish_that_was_dropped_is_in_every_queue_or_in_none
            a_killed_consumers_message_goes_to_another
            a_killed_publisher_has_published_whole_events
            a_queue_is_as_deep_as_what_nobody_has
        );

        /// What the tests with a second process run in it. Does nothing by itself.
        #[tokio::test(flavor = "multi_thread")]
        async fn child() {
            $crate::suite::child::<$place>().await;
        }
    };
    (@tests $place:ty: $($test:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            $crate::suite::$test(<$place as $crate::suite::Place>::new().await).await;
        })*
    };
}
pub(crate) use conformance;

/// An event that is like no other.
pub(crate) fn event(kind: &str) -> Event {
    let order = OrderId::new();
    let mut event =
        Event::new("/orders", Type::OrderPlaced, order, order, json!({"lines": [1, 2]}));
    event.kind = kind.to_owned();
    event
}

/// Events of one kind, published one after the other.
pub(crate) async fn publish(bus: &Arc<dyn Bus>, kind: &str, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..count {
        let event = event(kind);
        bus.publish(&event).await.expect("published");
        events.push(event);
    }
    events
}

/// The next message; there must be one.
pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await;
    delivery.expect("a message in time").expect("a bus")
}

/// Takes a message, which must be this event at its first delivery, and acknowledges it.
pub(crate) async fn finish(consumer: &mut Box<dyn Consumer>, event: &Event) {
    let delivery = next(consumer).await;
    assert_eq!((&delivery.event, delivery.attempt), (event, 1));
    delivery.ack().await.expect("acknowledged");
}

/// Shows that nothing waits in a queue, by what comes instead.
pub(crate) async fn assert_empty(bus: &Arc<dyn Bus>, consumer: &mut Box<dyn Consumer>, kind: &str) {
    let last = event(kind);
    bus.publish(&last).await.expect("published");
    finish(consumer, &last).await;
}

/// The dead letters of the queue `audit`, once there are so many. What is let go or rejected arrives
/// there in its own time.
pub(crate) async fn dead_letters(bus: &Arc<dyn Bus>, count: usize) -> Vec<DeadLetter> {
    let there = timeout(PATIENCE, async {
        loop {
            let dead = bus.dead_letters("audit").await.expect("a bus");
            if dead.len() >= count {
                return dead;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    let there = there.await.expect("dead letters in time");
    assert_eq!(there.len(), count);
    there
}

/// How long a message may take before it is missing. Generous: two cores, many tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
