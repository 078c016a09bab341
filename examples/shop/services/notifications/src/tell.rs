//! Telling a customer that an order is confirmed, once.

use std::time::Duration;

use shop_contracts::id::OrderId;
use shop_contracts::notifications::{Confirmation, State};
use shop_contracts::users::Customer;
use shop_contracts::{Kind, Money};
use shop_flags::FaultEmail;
use shop_outside::Weather;
use shop_outside::mail::Mail;
use shop_service::Failure;
use tokio::time::timeout;

use crate::Notifications;

/// How much longer the mail server takes where `fault.email` is `slow`.
const SLOWER: Duration = Duration::from_secs(2);

impl Notifications {
    /// What has become of the mail about `order`; it is sent if it was not.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where this order's mail says something else; the problem of the users
    /// service; the storage's.
    pub(crate) async fn tell(
        &self,
        order: OrderId,
        confirmation: &Confirmation,
    ) -> Result<State, Failure> {
        // Who comes while another sends waits here, and then finds what came of it.
        let _turn = self.turns.take(order).await;
        if let Some(state) = self.told(order, confirmation).await?
            && state != State::Failed
        {
            return Ok(state);
        }
        let customer = self.users.customer(confirmation.customer).await?;
        if !self.claim(order, confirmation).await? {
            // Another process was faster, and sends.
            return Ok(self.told(order, confirmation).await?.unwrap_or(State::Pending));
        }
        let state = self.send(letter(order, &customer, confirmation.total)).await;
        if state != State::Pending {
            self.recorded(order, state).await?;
        }
        Ok(state)
    }

    async fn told(
        &self,
        order: OrderId,
        confirmation: &Confirmation,
    ) -> Result<Option<State>, Failure> {
        match self.find(order).await? {
            Some((told, _)) if told != *confirmation => {
                let detail = format!("the mail about order {order} says something else");
                Err(Failure::new(Kind::Conflict, detail))
            }
            found => Ok(found.map(|(_, state)| state)),
        }
    }

    pub(crate) async fn send(&self, mail: Mail) -> State {
        let key = mail.key;
        let weather = match self.flags.get_for(key) {
            FaultEmail::Off => Weather::Fine,
            FaultEmail::Slow => Weather::Slow(SLOWER),
            FaultEmail::Error => Weather::Errors,
            FaultEmail::Hang => Weather::Hangs,
            FaultEmail::Flaky => Weather::Flaky,
        };
        match timeout(self.patience, self.mail.send(mail, weather)).await {
            Ok(Ok(())) => State::Sent,
            Ok(Err(undelivered)) => {
                tracing::warn!(order = %key, %undelivered, "a customer was not told");
                State::Failed
            }
            Err(_) => {
                tracing::warn!(order = %key, "the mail server did not answer: nobody knows");
                State::Pending
            }
        }
    }
}

pub(crate) fn letter(order: OrderId, customer: &Customer, total: Money) -> Mail {
    Mail {
        key: order.0,
        to: customer.email.as_str().to_owned(),
        subject: "Your order is confirmed".to_owned(),
        body: format!(
            "Dear {},\n\nthank you. Your order {order} is confirmed.\nIt comes to {total}.\n\n\
             The shop\n",
            customer.name.as_str(),
        ),
    }
}
