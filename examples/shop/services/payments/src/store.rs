//! The rows. Every change of a state names the states that it may come from, so that of two who
//! change it at once one finds that it was too late.

use shop_contracts::Money;
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_contracts::payments::{Books, Charge, Payment, State};
use shop_outbox::{After, Outbox};
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Any, FromRow, Row, Transaction};
use shop_storage::{Database, Error, now};

use crate::says;

/// The payments that this service knows.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
}

/// A transaction.
type Change = Transaction<'static, Any>;

/// A payment, and what only this service needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) payment: Payment,
    pub(crate) over: bool,
}

const STATES: [(State, &str); 5] = [
    (State::Pending, "pending"),
    (State::Charged, "charged"),
    (State::Declined, "declined"),
    (State::Refunded, "refunded"),
    (State::Void, "void"),
];

impl FromRow<'_, AnyRow> for Entry {
    fn from_row(row: &AnyRow) -> Result<Entry, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let known = STATES.iter().find(|(_, name)| *name == state);
        let order: String = row.try_get("order_id")?;
        let customer: Option<String> = row.try_get("customer")?;
        let over: Option<i64> = row.try_get("over_since")?;
        Ok(Entry {
            payment: Payment {
                order: order.parse().map_err(garbled)?,
                customer: customer.map(|id| id.parse()).transpose().map_err(garbled)?,
                amount: row.try_get::<Option<i64>, _>("amount")?.map(Money::euros),
                state: known.ok_or_else(|| garbled(format!("`{state}` is no state")))?.0,
                reference: row.try_get("reference")?,
            },
            over: over.is_some(),
        })
    }
}

fn garbled(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

impl Store {
    pub(crate) async fn find(&self, order: OrderId) -> Result<Option<Entry>, Error> {
        let found = sqlx::query_as("SELECT * FROM payments WHERE order_id = $1")
            .bind(order.to_string())
            .fetch_optional(self.database.reader())
            .await?;
        Ok(found)
    }

    /// A payment that is about to be asked for, unless there is one for this order.
    pub(crate) async fn insert(&self, order: OrderId, charge: &Charge) -> Result<(), Error> {
        let insert = "INSERT INTO payments (order_id, customer, amount, state, asked_at) \
                      VALUES ($1, $2, $3, 'pending', $4) ON CONFLICT (order_id) DO NOTHING";
        let mut change = self.database.begin().await?;
        sqlx::query(insert)
            .bind(order.to_string())
            .bind(charge.customer.to_string())
            .bind(charge.amount.money().amount)
            .bind(now())
            .execute(&mut *change)
            .await?;
        Ok(change.commit().await?)
    }

    /// Another attempt after the provider said no. Whether it was possible.
    pub(crate) async fn reopen(&self, order: OrderId) -> Result<bool, Error> {
        let update = "UPDATE payments SET state = 'pending', reason = NULL, asked_at = $2 \
                      WHERE order_id = $1 AND state = 'declined' AND over_since IS NULL";
        let mut change = self.database.begin().await?;
        let done =
            sqlx::query(update).bind(order.to_string()).bind(now()).execute(&mut *change).await?;
        change.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// From now on nothing may be charged for this order, whether it was asked for or not. Where
    /// there was nothing to give back, that is all; else the provider must be asked.
    pub(crate) async fn end(&self, order: OrderId) -> Result<(), Error> {
        let upsert = "INSERT INTO payments (order_id, state, asked_at, over_since) \
                      VALUES ($1, 'void', $2, $2) ON CONFLICT (order_id) DO UPDATE SET \
                      over_since = COALESCE(payments.over_since, excluded.over_since), \
                      state = CASE payments.state WHEN 'declined' THEN 'void' \
                              ELSE payments.state END";
        let mut change = self.database.begin().await?;
        sqlx::query(upsert).bind(order.to_string()).bind(now()).execute(&mut *change).await?;
        Ok(change.commit().await?)
    }

    /// The provider booked it. This is so whatever stands here, but for a refund that came later.
    pub(crate) async fn charged(&self, payment: &Payment, reference: &str) -> Result<(), Error> {
        let update = "UPDATE payments SET state = 'charged', reference = $2, reason = NULL \
                      WHERE order_id = $1 AND state IN ('pending', 'declined', 'void')";
        let event = says::booked(Type::PaymentAuthorized, payment, reference);
        self.learn(update, payment.order, reference, event).await
    }

    /// The provider gave it back, and does so only once.
    pub(crate) async fn refunded(&self, payment: &Payment, reference: &str) -> Result<(), Error> {
        let update = "UPDATE payments SET state = 'refunded', reference = $2 \
                      WHERE order_id = $1 AND state <> 'refunded'";
        let event = says::booked(Type::PaymentRefunded, payment, reference);
        self.learn(update, payment.order, reference, event).await
    }

    /// The provider said no, for the attempt that is pending.
    pub(crate) async fn declined(&self, payment: &Payment, reason: &str) -> Result<(), Error> {
        let told = "UPDATE payments SET told = $2 \
                    WHERE order_id = $1 AND state = 'declined' AND COALESCE(told, '') <> $2";
        let mut change = self.database.begin().await?;
        let mut after = After::default();
        if no(&mut change, payment.order, reason).await?
            && set(&mut change, told, payment.order, reason).await?
        {
            after = self.outbox.add(&mut change, says::declined(payment, reason)).await?;
        }
        change.commit().await?;
        after.committed().await;
        Ok(())
    }

    /// The provider was out of order, for the attempt that is pending: nothing is booked, and nobody
    /// has said no.
    pub(crate) async fn failed(&self, order: OrderId, reason: &str) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        no(&mut change, order, reason).await?;
        Ok(change.commit().await?)
    }

    /// The provider has booked nothing, and it is over.
    pub(crate) async fn void(&self, order: OrderId) -> Result<(), Error> {
        let update = "UPDATE payments SET state = 'void', reason = $2 \
                      WHERE order_id = $1 AND state = 'pending' AND over_since IS NOT NULL";
        let mut change = self.database.begin().await?;
        set(&mut change, update, order, "nothing was booked").await?;
        Ok(change.commit().await?)
    }

    /// Writes down what was learned, and says so where it was news.
    async fn learn(
        &self,
        update: &str,
        order: OrderId,
        what: &str,
        event: Event,
    ) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        let after = match set(&mut change, update, order, what).await? {
            true => self.outbox.add(&mut change, event).await?,
            false => After::default(),
        };
        change.commit().await?;
        after.committed().await;
        Ok(())
    }

    /// Our side of the books, and what the provider's say.
    pub(crate) async fn books(&self, at_provider: i64) -> Result<Books, Error> {
        let sums = "SELECT CAST(COALESCE(SUM(CASE state WHEN 'charged' THEN 1 ELSE 0 END), 0) \
                      AS BIGINT) AS payments, \
                    CAST(COALESCE(SUM(CASE state WHEN 'charged' THEN amount ELSE 0 END), 0) \
                      AS BIGINT) AS charged, \
                    CAST(COALESCE(SUM(CASE state WHEN 'refunded' THEN amount ELSE 0 END), 0) \
                      AS BIGINT) AS refunded, \
                    CAST(COALESCE(SUM(CASE state WHEN 'pending' THEN 1 ELSE 0 END), 0) \
                      AS BIGINT) AS pending \
                    FROM payments";
        let row = sqlx::query(sums).fetch_one(self.database.reader()).await?;
        Ok(Books {
            payments: row.try_get("payments")?,
            charged: row.try_get("charged")?,
            refunded: row.try_get("refunded")?,
            pending: row.try_get("pending")?,
            at_provider,
        })
    }
}

/// Nothing is booked for the attempt that is pending, if one is.
async fn no(change: &mut Change, order: OrderId, reason: &str) -> sqlx::Result<bool> {
    let update = "UPDATE payments SET reason = $2, \
                  state = CASE WHEN over_since IS NULL THEN 'declined' ELSE 'void' END \
                  WHERE order_id = $1 AND state = 'pending'";
    set(change, update, order, reason).await
}

/// Whether `update` changed the order's row.
async fn set(change: &mut Change, update: &str, order: OrderId, what: &str) -> sqlx::Result<bool> {
    let done =
        sqlx::query(update).bind(order.to_string()).bind(what).execute(&mut **change).await?;
    Ok(done.rows_affected() == 1)
}
