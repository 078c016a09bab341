//! The notifications in SQL.

use std::error::Error as StdError;

use shop_contracts::Money;
use shop_contracts::id::OrderId;
use shop_contracts::money::Currency;
use shop_contracts::notifications::{Confirmation, State};
use shop_storage::sqlx::{self, AnyConnection};
use shop_storage::{Error, now};

use crate::Notifications;

/// By which way a mail is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Request,
    Event,
}

impl Notifications {
    /// What an order's mail says, and what has become of it.
    pub(crate) async fn find(
        &self,
        order: OrderId,
    ) -> Result<Option<(Confirmation, State)>, Error> {
        let row: Option<(String, i64, String, String)> = sqlx::query_as(
            "SELECT customer, total, currency, state FROM notifications WHERE order_id = $1",
        )
        .bind(order.to_string())
        .fetch_optional(self.database.reader())
        .await?;
        let Some((customer, amount, code, state)) = row else { return Ok(None) };
        let customer = customer.parse().map_err(garbled)?;
        let total = Money { amount, currency: currency(&code)? };
        Ok(Some((Confirmation { customer, total }, read(&state)?)))
    }

    /// Whether the mail is the caller's to send: nobody else is at it or has been, unless it failed.
    pub(crate) async fn claim(
        &self,
        order: OrderId,
        confirmation: &Confirmation,
    ) -> Result<bool, Error> {
        let mut change = self.database.begin().await?;
        let claimed =
            Notifications::claim_in(&mut change, order, confirmation, By::Request).await?;
        change.commit().await?;
        Ok(claimed)
    }

    /// The same, as a part of `change`.
    pub(crate) async fn claim_in(
        change: &mut AnyConnection,
        order: OrderId,
        confirmation: &Confirmation,
        by: By,
    ) -> Result<bool, Error> {
        let claimed = sqlx::query(
            "INSERT INTO notifications
             (order_id, customer, total, currency, state, changed_at, asked)
             VALUES ($1, $2, $3, $4, 'pending', $5, $6)
             ON CONFLICT (order_id) DO UPDATE SET state = 'pending',
             changed_at = excluded.changed_at, asked = excluded.asked
             WHERE notifications.state = 'failed'",
        )
        .bind(order.to_string())
        .bind(confirmation.customer.to_string())
        .bind(confirmation.total.amount)
        .bind(code(confirmation.total.currency))
        .bind(now())
        .bind(i64::from(by == By::Request))
        .execute(change)
        .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// Whether it was a request by which this order's mail was claimed.
    pub(crate) async fn was_asked_in(
        change: &mut AnyConnection,
        order: OrderId,
    ) -> Result<bool, Error> {
        let asked: Option<i64> =
            sqlx::query_scalar("SELECT asked FROM notifications WHERE order_id = $1")
                .bind(order.to_string())
                .fetch_optional(change)
                .await?;
        Ok(asked == Some(1))
    }

    /// Writes down the outcome of a mail that was claimed.
    pub(crate) async fn record_in(
        change: &mut AnyConnection,
        order: OrderId,
        state: State,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE notifications SET state = $2, changed_at = $3
             WHERE order_id = $1 AND state = 'pending'",
        )
        .bind(order.to_string())
        .bind(word(state))
        .bind(now())
        .execute(change)
        .await?;
        Ok(())
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Sent => "sent",
        State::Failed => "failed",
    }
}

fn read(word: &str) -> sqlx::Result<State> {
    let states = [State::Pending, State::Sent, State::Failed];
    let state = states.into_iter().find(|&state| self::word(state) == word);
    state.ok_or_else(|| garbled(format!("`{word}` is no state")))
}

fn code(currency: Currency) -> &'static str {
    match currency {
        Currency::Eur => "EUR",
    }
}

fn currency(code: &str) -> sqlx::Result<Currency> {
    let known = [Currency::Eur].into_iter().find(|&currency| self::code(currency) == code);
    known.ok_or_else(|| garbled(format!("`{code}` is no currency of ours")))
}

/// What is in a column is not what was put there.
fn garbled(error: impl Into<Box<dyn StdError + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
