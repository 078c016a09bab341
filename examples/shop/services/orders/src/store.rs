//! The rows.

use sagas::Entry;
use shop_contracts::Money;
use shop_contracts::carts::Line;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::orders::{Books, Happened, Order, State, Took};
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Any, Row, Transaction};
use shop_storage::{Database, Error};

use crate::refusal::Refusal;
use crate::state;

/// The orders that this service knows.
#[derive(Clone, Debug)]
pub(crate) struct Store(pub(crate) Database);

/// A transaction.
pub(crate) type Change = Transaction<'static, Any>;

/// An order, and what only this service needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) order: Order,
    pub(crate) refusal: Option<Refusal>,
}

/// What is learned of an order with a change of its state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learned {
    pub(crate) refusal: Option<(Refusal, String)>,
    pub(crate) took: Took,
}

/// What was tried for an order, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) step: String,
    /// `do`, `ask` or `undo`.
    pub(crate) what: String,
    /// From 1.
    pub(crate) number: u32,
    pub(crate) began_at: i64,
    pub(crate) ended_at: i64,
    pub(crate) said: String,
}

/// Of the orders of a customer, the latest so many.
const MOST: i64 = 1000;

/// Orders with their lines, one row for each line, those of an order one after the other. One
/// statement sees one moment.
macro_rules! orders {
    ($which:literal) => {
        concat!(
            "SELECT o.*, l.product, l.name, l.quantity, l.price FROM orders o \
             JOIN order_lines l ON l.order_id = o.id WHERE ",
            $which,
            " ORDER BY o.placed_at DESC, o.id DESC, l.product"
        )
    };
}

impl Store {
    /// Whether this is the first order for this wish. If it is not, nothing has happened.
    pub(crate) async fn insert_in(
        change: &mut Change,
        order: &Order,
        wish: &str,
    ) -> Result<bool, Error> {
        let insert = "INSERT INTO orders (id, customer, wish, state, total, placed_at) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (customer, wish) DO NOTHING";
        let line = "INSERT INTO order_lines (order_id, product, name, quantity, price) \
                    VALUES ($1, $2, $3, $4, $5)";
        let done = sqlx::query(insert)
            .bind(order.id.to_string())
            .bind(order.customer.to_string())
            .bind(wish)
            .bind(state::name(order.state))
            .bind(order.total.amount)
            .bind(order.placed_at)
            .execute(&mut **change)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for Line { product, name, quantity, price } in &order.lines {
            sqlx::query(line)
                .bind(order.id.to_string())
                .bind(product.to_string())
                .bind(name)
                .bind(i64::from(*quantity))
                .bind(price.amount)
                .execute(&mut **change)
                .await?;
        }
        Ok(true)
    }

    /// From the one state to the other. False where the order is not in the first: somebody else
    /// has moved it, and who finds that must leave it alone.
    ///
    /// # Panics
    /// If the other may not follow the first.
    pub(crate) async fn advance_in(
        change: &mut Change,
        order: OrderId,
        from: State,
        to: State,
        learned: Learned,
    ) -> Result<bool, Error> {
        assert!(state::may_follow(from, to), "{to:?} cannot follow {from:?}");
        let update = "UPDATE orders SET state = $3, refusal = COALESCE($4, refusal), \
                      reason = COALESCE($5, reason), reserving = COALESCE($6, reserving), \
                      paying = COALESCE($7, paying), confirmed = COALESCE($8, confirmed) \
                      WHERE id = $1 AND state = $2";
        let (refusal, reason) = learned.refusal.unzip();
        let done = sqlx::query(update)
            .bind(order.to_string())
            .bind(state::name(from))
            .bind(state::name(to))
            .bind(refusal.map(Refusal::name))
            .bind(reason)
            .bind(learned.took.reserving)
            .bind(learned.took.paying)
            .bind(learned.took.confirmed)
            .execute(&mut **change)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// How long it took to tell the customer.
    pub(crate) async fn notified(&self, order: OrderId, took: i64) -> Result<(), Error> {
        let mut change = self.0.begin().await?;
        sqlx::query("UPDATE orders SET notifying = $2 WHERE id = $1")
            .bind(order.to_string())
            .bind(took)
            .execute(&mut *change)
            .await?;
        Ok(change.commit().await?)
    }

    /// Writes down what was tried for an order.
    pub(crate) async fn attempted(&self, order: OrderId, attempt: &Attempt) -> Result<(), Error> {
        let insert = "INSERT INTO attempt (order_id, step, what, number, began_at, ended_at, said) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let mut change = self.0.begin().await?;
        sqlx::query(insert)
            .bind(order.to_string())
            .bind(&attempt.step)
            .bind(&attempt.what)
            .bind(i64::from(attempt.number))
            .bind(attempt.began_at)
            .bind(attempt.ended_at)
            .bind(&attempt.said)
            .execute(&mut *change)
            .await?;
        Ok(change.commit().await?)
    }

    /// The order that was placed last.
    pub(crate) async fn latest(&self) -> Result<Option<OrderId>, Error> {
        let latest = "SELECT id FROM orders ORDER BY placed_at DESC, id DESC LIMIT 1";
        let id: Option<String> = sqlx::query_scalar(latest).fetch_optional(self.0.reader()).await?;
        Ok(id.map(|id| id.parse().map_err(garbled)).transpose()?)
    }

    /// How an order's saga stands, if it has one, and what has happened in it: the journal's entries
    /// and the attempts.
    pub(crate) async fn happened(
        &self,
        order: OrderId,
    ) -> Result<(Option<String>, Vec<Happened>), Error> {
        let id = order.to_string();
        let stands: Option<(String,)> = sqlx::query_as(
            "SELECT COALESCE(outcome, 'under way') FROM saga WHERE name = 'checkout' AND id = $1",
        )
        .bind(&id)
        .fetch_optional(self.0.reader())
        .await?;
        let attempts: Vec<(String, String, i64, i64, i64, String)> = sqlx::query_as(
            "SELECT step, what, number, began_at, ended_at, said FROM attempt \
             WHERE order_id = $1 ORDER BY began_at",
        )
        .bind(&id)
        .fetch_all(self.0.reader())
        .await?;
        let entries: Vec<(String, i64)> = sqlx::query_as(
            "SELECT entry, at FROM saga_entry WHERE name = 'checkout' AND id = $1 \
             ORDER BY position",
        )
        .bind(&id)
        .fetch_all(self.0.reader())
        .await?;
        let mut happened = Vec::new();
        for (of, what, number, at, ended, said) in attempts {
            let what = if number > 1 { format!("{what} {number}") } else { what };
            happened.push(Happened { at, took: Some(ended - at), what, of, said });
        }
        for (entry, at) in entries {
            let (of, said) = match serde_json::from_str(&entry).map_err(garbled)? {
                Entry::Done { step } => (step, "done".to_owned()),
                Entry::Refused { step, reason } => (step, format!("refused: {reason}")),
                Entry::Unknown { step, reason } => (step, format!("unknown: {reason}")),
                Entry::Undone { step } => (step, "undone".to_owned()),
                Entry::Parked { step, reason } => (step, format!("parked: {reason}")),
                Entry::Resumed => (String::new(), "resumed".to_owned()),
            };
            happened.push(Happened { at, took: None, what: "journal".to_owned(), of, said });
        }
        Ok((stands.map(|(stands,)| stands), happened))
    }

    pub(crate) async fn order(&self, order: OrderId) -> Result<Option<Kept>, Error> {
        let found = sqlx::query(orders!("o.id = $1")).bind(order.to_string());
        Ok(read(&found.fetch_all(self.0.reader()).await?)?.pop())
    }

    /// The order to which a wish has led.
    pub(crate) async fn wish(
        &self,
        customer: CustomerId,
        wish: &str,
    ) -> Result<Option<Kept>, Error> {
        let found = sqlx::query(orders!("o.customer = $1 AND o.wish = $2"))
            .bind(customer.to_string())
            .bind(wish);
        Ok(read(&found.fetch_all(self.0.reader()).await?)?.pop())
    }

    /// A customer's orders, the latest first, and of very many the latest.
    pub(crate) async fn orders(&self, customer: CustomerId) -> Result<Vec<Kept>, Error> {
        let found = sqlx::query(orders!(
            "o.id IN (SELECT id FROM orders WHERE customer = $1 \
             ORDER BY placed_at DESC, id DESC LIMIT $2)"
        ))
        .bind(customer.to_string())
        .bind(MOST);
        Ok(read(&found.fetch_all(self.0.reader()).await?)?)
    }

    /// Those that are under way and were placed before, and of which no saga takes care.
    pub(crate) async fn open(&self, before: i64) -> Result<Vec<Kept>, Error> {
        let states: Vec<_> = state::open().map(state::name).collect();
        let found = sqlx::query(orders!(
            "o.state IN ($1, $2, $3, $4) AND o.placed_at < $5 \
             AND NOT EXISTS (SELECT 1 FROM saga s WHERE s.name = 'checkout' AND s.id = o.id)"
        ));
        let found = states.into_iter().fold(found, sqlx::query::Query::bind).bind(before);
        Ok(read(&found.fetch_all(self.0.reader()).await?)?)
    }

    pub(crate) async fn books(&self) -> Result<Books, Error> {
        let sums = "SELECT \
            (SELECT COUNT(*) FROM orders WHERE state = 'confirmed') AS confirmed, \
            (SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) FROM orders \
             WHERE state = 'confirmed') AS revenue, \
            (SELECT CAST(COALESCE(SUM(l.quantity), 0) AS BIGINT) FROM order_lines l \
             JOIN orders o ON o.id = l.order_id WHERE o.state = 'confirmed') AS units, \
            (SELECT COUNT(*) FROM orders WHERE state IN ('rejected', 'cancelled')) AS failed, \
            (SELECT COUNT(*) FROM orders) AS placed";
        let row = sqlx::query(sums).fetch_one(self.0.reader()).await?;
        let (confirmed, failed): (i64, i64) = (row.try_get("confirmed")?, row.try_get("failed")?);
        Ok(Books {
            confirmed,
            revenue: row.try_get("revenue")?,
            units: row.try_get("units")?,
            failed,
            open: row.try_get::<i64, _>("placed")? - confirmed - failed,
        })
    }
}

fn read(rows: &[AnyRow]) -> Result<Vec<Kept>, sqlx::Error> {
    let mut orders: Vec<Kept> = Vec::new();
    for row in rows {
        let id: OrderId = parse(row, "id")?;
        if orders.last().is_none_or(|last| last.order.id != id) {
            orders.push(head(row, id)?);
        }
        let quantity = row.try_get::<i64, _>("quantity")?.try_into().map_err(garbled)?;
        let line = Line {
            product: parse(row, "product")?,
            name: row.try_get("name")?,
            quantity,
            price: Money::euros(row.try_get("price")?),
        };
        orders.last_mut().expect("there is one by now").order.lines.push(line);
    }
    Ok(orders)
}

fn head(row: &AnyRow, id: OrderId) -> Result<Kept, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let refusal: Option<String> = row.try_get("refusal")?;
    let order = Order {
        id,
        customer: parse(row, "customer")?,
        state: state::named(&state).ok_or_else(|| garbled(format!("`{state}` is no state")))?,
        lines: Vec::new(),
        total: Money::euros(row.try_get("total")?),
        reason: row.try_get("reason")?,
        placed_at: row.try_get("placed_at")?,
        took: Took {
            reserving: row.try_get("reserving")?,
            paying: row.try_get("paying")?,
            confirmed: row.try_get("confirmed")?,
            notifying: row.try_get("notifying")?,
        },
    };
    Ok(Kept { order, refusal: refusal.as_deref().and_then(Refusal::named) })
}

fn parse<T: std::str::FromStr>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<String, _>(column)?.parse().map_err(garbled)
}

fn garbled(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
