//! Who hears all that the services tell each other, and sees all that they record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shop_bus::{Bus, Event, Subscription};
use shop_contracts::id::OrderId;
use tokio::time::sleep;

use crate::collector::{Collector, Taken};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Witness {
    collector: Collector,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl Witness {
    pub(crate) async fn hears(bus: &Arc<dyn Bus>, collector: Collector) -> Witness {
        let mut queue = bus.subscribe(Subscription::new("witness", &["#"])).await.expect("a queue");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok(delivery) = queue.next().await {
                let event = delivery.event.clone();
                hearing.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                let _ = delivery.ack().await;
            }
        });
        Witness { collector, heard }
    }

    fn about(&self, order: OrderId) -> Vec<Event> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|event| event.correlation == order).cloned().collect()
    }

    /// Waits for all of these, and finds them, and whatever else was told of the order but what is
    /// `ours`, in the trace `placed`.
    pub(crate) async fn all_in(
        &self,
        placed: &str,
        order: OrderId,
        kinds: &[&str],
        ours: Option<&str>,
        point: &str,
    ) {
        let begun = Instant::now();
        let told =
            |kind: &str| self.about(order).iter().any(|event| event.kind == format!("{kind}.v1"));
        while let Some(missing) = kinds.iter().find(|kind| !told(kind)) {
            let heard: Vec<_> = self.about(order).into_iter().map(|event| event.kind).collect();
            assert!(begun.elapsed() < PATIENCE, "{point}: no {missing} among {heard:?}");
            sleep(Duration::from_millis(10)).await;
        }
        let heard = self.about(order).into_iter();
        for event in heard.filter(|event| ours != Some(event.kind.as_str())) {
            let parent = event.trace.parent.unwrap_or_default();
            let trace = parent.split('-').nth(1).unwrap_or_default();
            assert_eq!(trace, placed, "{point}: {} was told in another trace", event.kind);
        }
    }

    /// Waits for the span of whoever went on with the order.
    pub(crate) async fn was_taken_up_in(&self, placed: &str, point: &str) {
        let is_it = |taken: &Taken| {
            taken.trace() == placed
                && (taken.service.as_str(), taken.span.name.as_str())
                    == ("orders", "process checkout")
        };
        let spans = self.collector.until(PATIENCE, |spans| spans.iter().any(is_it)).await;
        let found: Vec<_> = spans.iter().filter(|taken| is_it(taken)).collect();
        assert!(!found.is_empty(), "{point}: nobody went on with it in {placed}");
        for taken in found {
            let again = taken.attribute("messaging.redelivered");
            assert_eq!(again.as_deref(), Some("true"), "{point}: {:?}", taken.span);
        }
    }
}
