//! Hearing that an order is confirmed, from the bus.
//!
//! An event may come twice. Its id is remembered in the transaction in which the mail is claimed, and
//! whoever has committed that sends. What a crash between the two means stands above: the mail of an
//! order may stay away, and is never sent twice. With `pattern.inbox` off nothing is remembered, and
//! whatever comes is sent, unless a request has claimed the mail: the synchronous checkout tells by
//! both ways, and that is no copy.
//!
//! That the customer was told goes into the outbox, in the transaction that writes down that it was,
//! by whichever way.

use std::sync::Arc;
use std::time::Duration;

use observability::propagation::Propagation;
use serde_json::json;
use shop_bus::{Bus, Delivery, Subscription};
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_contracts::notifications::{Confirmation, State};
use shop_flags::PatternInbox;
use shop_service::Failure;
use tokio::time::sleep;

use crate::Notifications;
use crate::store::By;
use crate::tell::letter;

/// A message is given up after so many deliveries, and lies with the dead letters. A service that is
/// away for some minutes is no reason: the pause before a message goes back grows.
const DELIVERIES: u32 = 20;

/// The longest such pause.
const LONGEST: Duration = Duration::from_secs(20);

/// A mail server that said no is asked so often.
const ATTEMPTS: u32 = 3;

/// The queue, and what goes into it.
pub fn subscription() -> Subscription<'static> {
    Subscription::new("notifications", &["order.confirmed.v1"]).deliveries(DELIVERIES)
}

impl Notifications {
    /// Hears of confirmed orders, tells their customers, and says that it did; until it is dropped.
    /// Without a bus it ends.
    pub fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        let this = self.clone();
        async move {
            let Some(bus) = this.bus.clone() else { return };
            tokio::join!(this.outbox.relay(), this.listen(&bus));
        }
    }

    async fn listen(&self, bus: &Arc<dyn Bus>) {
        loop {
            match bus.subscribe(subscription()).await {
                Ok(mut consumer) => loop {
                    match consumer.next().await {
                        // At the same time as others: most of it is waiting. The prefetch says how
                        // many.
                        Ok(delivery) => {
                            let this = self.clone();
                            let come = [shop_outbox::delivery(
                                &delivery.event.trace,
                                delivery.redelivered(),
                            )];
                            let work = async move { this.work(delivery).await };
                            tokio::spawn(self.traces.receive("notifications", &come, work));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the bus is not to be heard");
                            break;
                        }
                    }
                },
                Err(error) => tracing::warn!(%error, "there is no queue to hear from"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn work(&self, delivery: Delivery) {
        let (order, attempt) = (delivery.event.correlation, delivery.attempt);
        let answered = match self.hear(&delivery.event).await {
            Ok(()) => delivery.ack().await,
            Err(Unheard::Unreadable(why)) => {
                tracing::error!(%order, %why, "an event that cannot be read");
                delivery.reject().await
            }
            Err(Unheard::Later(failure)) => {
                tracing::warn!(%order, %failure, "the customer is told later");
                sleep((Duration::from_millis(250) * attempt.min(100)).min(LONGEST)).await;
                delivery.requeue().await
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%order, %error, "what was heard comes again");
        }
    }

    async fn hear(&self, event: &Event) -> Result<(), Unheard> {
        let order = event.correlation;
        let confirmation: Confirmation =
            serde_json::from_value(event.data.clone()).map_err(Unheard::Unreadable)?;
        // Who asks for the same mail meanwhile waits here, and then finds what came of it.
        let _turn = self.turns.take(order).await;
        let customer = self.users.customer(confirmation.customer).await?;
        let mut change = self.database.begin().await?;
        if !self.inbox.is_new(&mut change, event).await? {
            return Ok(());
        }
        let ours = Notifications::claim_in(&mut change, order, &confirmation, By::Event).await?;
        let asked = !ours && Notifications::was_asked_in(&mut change, order).await?;
        change.commit().await?;
        // Another was faster: the order has its mail. Without an inbox, only one who was asked can be
        // told from an earlier copy of this event.
        if asked || (!ours && self.flags.get::<PatternInbox>() == PatternInbox::On) {
            return Ok(());
        }
        let mut state = State::Failed;
        for attempt in 0..ATTEMPTS {
            sleep(Duration::from_millis(500) * attempt).await;
            state = self.send(letter(order, &customer, confirmation.total)).await;
            if state != State::Failed {
                break;
            }
        }
        if state != State::Pending {
            self.recorded(order, state).await?;
        }
        Ok(())
    }

    /// Writes down the outcome, and says it.
    pub(crate) async fn recorded(
        &self,
        order: OrderId,
        state: State,
    ) -> Result<(), shop_storage::Error> {
        let mut change = self.database.begin().await?;
        Notifications::record_in(&mut change, order, state).await?;
        let after = match state {
            State::Sent => {
                let event = Event::new(
                    "/notifications",
                    Type::NotificationSent,
                    order,
                    order,
                    json!({"to": "the customer"}),
                );
                self.outbox.add(&mut change, event).await?
            }
            _ => shop_outbox::After::default(),
        };
        change.commit().await?;
        after.committed().await;
        Ok(())
    }
}

/// Why the customer is not told now.
enum Unheard {
    /// It is no such event.
    Unreadable(serde_json::Error),
    /// Somebody who is needed is away.
    Later(Failure),
}

impl<E: Into<Failure>> From<E> for Unheard {
    fn from(error: E) -> Unheard {
        Unheard::Later(error.into())
    }
}
