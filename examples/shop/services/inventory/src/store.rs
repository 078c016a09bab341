//! The warehouse in SQL.

use std::collections::BTreeMap;

use shop_contracts::Quantity;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Books, Delivery, State, Stock};
use shop_storage::sqlx::{self, AnyConnection};
use shop_storage::{Error, now};

use crate::Inventory;

/// Rows of one statement. A statement a row is a round trip a row, and thousands of those take
/// longer than callers wait.
const AT_ONCE: usize = 250;

/// How a wish for a reservation ended.
pub(crate) enum Reserved {
    /// It stands, from now or from earlier on.
    As(State),
    /// There is less of this than wanted; nothing is held.
    TooFew { product: ProductId, available: i64 },
    /// There never was any of this; nothing is held.
    Unknown(ProductId),
    /// This order holds something else.
    Otherwise,
    /// This order was released.
    Over,
}

/// How a wish to commit ended.
pub(crate) enum Ended {
    /// It is sold, from now or from earlier on.
    Done,
    /// It was released.
    Otherwise,
    /// There is no such reservation.
    Unknown,
}

impl Inventory {
    pub(crate) async fn stock(&self, product: ProductId) -> Result<Option<Stock>, Error> {
        let row: Option<(i64, i64, i64)> =
            sqlx::query_as("SELECT available, reserved, sold FROM stock WHERE product = $1")
                .bind(product.to_string())
                .fetch_optional(self.database.reader())
                .await?;
        Ok(row.map(|(available, reserved, sold)| Stock { product, available, reserved, sold }))
    }

    pub(crate) async fn deliver(&self, mut deliveries: Vec<Delivery>) -> Result<(), Error> {
        // In one order, like the rows of reservations: an insert waits for another's of the same
        // key.
        deliveries.sort_by_key(|delivery| delivery.product);
        let mut change = self.database.begin().await?;
        for some in deliveries.chunks(AT_ONCE) {
            let rows: Vec<_> = (0..some.len())
                .map(|at| format!("(${0}, ${1}, ${1}, 0, 0)", 2 * at + 1, 2 * at + 2))
                .collect();
            let sql = format!(
                "INSERT INTO stock (product, delivered, available, reserved, sold)
                 VALUES {} ON CONFLICT (product) DO NOTHING",
                rows.join(", "),
            );
            let mut insert = sqlx::query(&sql);
            for Delivery { product, first_stock } in some {
                insert = insert.bind(product.to_string()).bind(i64::from(*first_stock));
            }
            insert.execute(&mut *change).await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Holds all of `lines` or none of them. Where it does not end in [`Reserved::As`] the
    /// transaction is dropped, and with it all that it did.
    pub(crate) async fn reserve(
        &self,
        order: OrderId,
        lines: &BTreeMap<ProductId, Quantity>,
    ) -> Result<Reserved, Error> {
        let mut change = self.database.begin().await?;
        // The order's own row first. Whoever comes second with the same order waits here until
        // the first is done, and then finds what came of it.
        if !open(&mut change, order, State::Held).await? {
            return Ok(match state(&mut change, order).await? {
                Some(State::Released) => Reserved::Over,
                Some(state) if &held(&mut change, order).await? == lines => Reserved::As(state),
                _ => Reserved::Otherwise,
            });
        }
        for (&product, &quantity) in lines {
            let taken = sqlx::query(
                "UPDATE stock SET available = available - $2, reserved = reserved + $2
                 WHERE product = $1 AND available >= $2",
            )
            .bind(product.to_string())
            .bind(i64::from(quantity))
            .execute(&mut *change)
            .await?;
            if taken.rows_affected() == 0 {
                let left = sqlx::query_scalar("SELECT available FROM stock WHERE product = $1")
                    .bind(product.to_string())
                    .fetch_optional(&mut *change)
                    .await?;
                return Ok(match left {
                    Some(available) => Reserved::TooFew { product, available },
                    None => Reserved::Unknown(product),
                });
            }
            sqlx::query("INSERT INTO reserved (order_id, product, quantity) VALUES ($1, $2, $3)")
                .bind(order.to_string())
                .bind(product.to_string())
                .bind(i64::from(quantity))
                .execute(&mut *change)
                .await?;
        }
        change.commit().await?;
        Ok(Reserved::As(State::Held))
    }

    pub(crate) async fn commit(&self, order: OrderId) -> Result<Ended, Error> {
        let mut change = self.database.begin().await?;
        if !end(&mut change, order, State::Sold).await? {
            return Ok(match state(&mut change, order).await? {
                Some(State::Sold) => Ended::Done,
                Some(_) => Ended::Otherwise,
                None => Ended::Unknown,
            });
        }
        for (product, quantity) in held(&mut change, order).await? {
            sqlx::query(
                "UPDATE stock SET reserved = reserved - $2, sold = sold + $2 WHERE product = $1",
            )
            .bind(product.to_string())
            .bind(i64::from(quantity))
            .execute(&mut *change)
            .await?;
        }
        change.commit().await?;
        Ok(Ended::Done)
    }

    /// Whether nothing is held for the order any more, and never will be; false where it is sold.
    pub(crate) async fn release(&self, order: OrderId) -> Result<bool, Error> {
        let mut change = self.database.begin().await?;
        if open(&mut change, order, State::Released).await? {
            change.commit().await?;
            return Ok(true);
        }
        if !end(&mut change, order, State::Released).await? {
            return Ok(state(&mut change, order).await? == Some(State::Released));
        }
        for (product, quantity) in held(&mut change, order).await? {
            sqlx::query(
                "UPDATE stock SET reserved = reserved - $2, available = available + $2
                 WHERE product = $1",
            )
            .bind(product.to_string())
            .bind(i64::from(quantity))
            .execute(&mut *change)
            .await?;
        }
        change.commit().await?;
        Ok(true)
    }

    /// One statement, so that all sums are of one moment.
    pub(crate) async fn books(&self) -> Result<Books, Error> {
        let (products, lowest, available, reserved, sold, delivered) = sqlx::query_as(
            "SELECT COUNT(*), COALESCE(MIN(available), 0),
                    CAST(COALESCE(SUM(available), 0) AS BIGINT),
                    CAST(COALESCE(SUM(reserved), 0) AS BIGINT),
                    CAST(COALESCE(SUM(sold), 0) AS BIGINT),
                    CAST(COALESCE(SUM(delivered), 0) AS BIGINT)
             FROM stock",
        )
        .fetch_one(self.database.reader())
        .await?;
        Ok(Books { products, lowest, available, reserved, sold, delivered })
    }
}

/// Writes the order's row; false where there is one.
async fn open(change: &mut AnyConnection, order: OrderId, state: State) -> sqlx::Result<bool> {
    let made = sqlx::query(
        "INSERT INTO reservations (order_id, state, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(order.to_string())
    .bind(word(state))
    .bind(now())
    .execute(change)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Takes the order's row from `held` to an end; false where it is not held.
async fn end(change: &mut AnyConnection, order: OrderId, state: State) -> sqlx::Result<bool> {
    let ended = sqlx::query(
        "UPDATE reservations SET state = $2, changed_at = $3
         WHERE order_id = $1 AND state = 'held'",
    )
    .bind(order.to_string())
    .bind(word(state))
    .bind(now())
    .execute(change)
    .await?;
    Ok(ended.rows_affected() == 1)
}

async fn state(change: &mut AnyConnection, order: OrderId) -> sqlx::Result<Option<State>> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT state FROM reservations WHERE order_id = $1")
            .bind(order.to_string())
            .fetch_optional(change)
            .await?;
    found.map(|word| read(&word)).transpose()
}

/// The order's lines, in the order in which rows are taken.
async fn held(
    change: &mut AnyConnection,
    order: OrderId,
) -> sqlx::Result<BTreeMap<ProductId, Quantity>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT product, quantity FROM reserved WHERE order_id = $1")
            .bind(order.to_string())
            .fetch_all(change)
            .await?;
    rows.into_iter()
        .map(|(product, quantity)| {
            let product = product.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let quantity =
                quantity.try_into().map_err(|error: String| sqlx::Error::Decode(error.into()))?;
            Ok((product, quantity))
        })
        .collect()
}

fn word(state: State) -> &'static str {
    match state {
        State::Held => "held",
        State::Sold => "sold",
        State::Released => "released",
    }
}

fn read(word: &str) -> sqlx::Result<State> {
    let of = [State::Held, State::Sold, State::Released]
        .into_iter()
        .find(|&state| self::word(state) == word);
    of.ok_or_else(|| sqlx::Error::Decode(format!("`{word}` is no state").into()))
}
