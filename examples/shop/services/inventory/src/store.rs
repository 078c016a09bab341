//! The warehouse in SQL.

use std::collections::BTreeMap;

use shop_contracts::Quantity;
use shop_contracts::event::Type;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Books, Delivery, State, Stock};
use shop_storage::sqlx::{self, AnyConnection};
use shop_storage::{Error, now};

use crate::Inventory;
use crate::says::of_lines;

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
    /// Somebody with a later lease was here; nothing is held.
    Late,
}

/// What was seen of each product, or with which token.
pub(crate) type Seen = BTreeMap<ProductId, i64>;

/// How the rows of the stock are taken.
#[derive(Clone, Copy)]
pub(crate) enum Take<'a> {
    /// If there is enough when the row is ours. Looking and taking are one statement.
    IfEnough,
    /// Down from what was seen earlier, whatever has happened since. Here to be seen failing.
    DownFrom(&'a Seen),
    /// The same, if nobody has looked since with a later token.
    Fenced { seen: &'a Seen, tokens: &'a Seen },
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

    /// Whether there is a reservation of this name, in whatever state.
    pub(crate) async fn is_known(&self, order: OrderId) -> Result<bool, Error> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT CAST(1 AS BIGINT) FROM reservations WHERE order_id = $1")
                .bind(order.to_string())
                .fetch_optional(self.database.reader())
                .await?;
        Ok(found.is_some())
    }

    /// How far the reservation of this name is, if there is one.
    pub(crate) async fn reservation(&self, order: OrderId) -> Result<Option<State>, Error> {
        let found: Option<String> =
            sqlx::query_scalar("SELECT state FROM reservations WHERE order_id = $1")
                .bind(order.to_string())
                .fetch_optional(self.database.reader())
                .await?;
        Ok(found.map(|word| read(&word)).transpose()?)
    }

    /// What is available, for the holder of the lease with this token. Whoever holds an earlier one
    /// cannot write from now on. `None` if a later one was here, or if there is no such product.
    pub(crate) async fn look_fenced(
        &self,
        product: ProductId,
        token: i64,
    ) -> Result<Option<i64>, Error> {
        let mut change = self.database.begin().await?;
        // A look that left no mark would let an earlier holder write behind it, and this one's
        // write would then undo that.
        let raised = sqlx::query("UPDATE stock SET fence = $2 WHERE product = $1 AND fence < $2")
            .bind(product.to_string())
            .bind(token)
            .execute(&mut *change)
            .await?;
        if raised.rows_affected() == 0 {
            return Ok(None);
        }
        let available = sqlx::query_scalar("SELECT available FROM stock WHERE product = $1")
            .bind(product.to_string())
            .fetch_one(&mut *change)
            .await?;
        change.commit().await?;
        Ok(Some(available))
    }

    /// Holds all of `lines` or none of them. Where it does not end in [`Reserved::As`] the
    /// transaction is dropped, and with it all that it did.
    pub(crate) async fn hold(
        &self,
        order: OrderId,
        lines: &BTreeMap<ProductId, Quantity>,
        take: Take<'_>,
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
            if !take_row(&mut change, product, quantity, take).await? {
                if matches!(take, Take::Fenced { .. }) {
                    return Ok(Reserved::Late);
                }
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
        let event = of_lines(Type::StockReserved, order, lines)?;
        let after = self.outbox.add(&mut change, event).await?;
        change.commit().await?;
        after.committed().await;
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

    /// What was held for the order and is for sale again, if anything was: nothing is held for it
    /// any more, and never will be. `None` where it is sold.
    pub(crate) async fn release(
        &self,
        order: OrderId,
    ) -> Result<Option<BTreeMap<ProductId, Quantity>>, Error> {
        let mut change = self.database.begin().await?;
        if open(&mut change, order, State::Released).await? {
            change.commit().await?;
            return Ok(Some(BTreeMap::new()));
        }
        if !end(&mut change, order, State::Released).await? {
            let over = state(&mut change, order).await? == Some(State::Released);
            return Ok(over.then(BTreeMap::new));
        }
        let lines = held(&mut change, order).await?;
        for (&product, &quantity) in &lines {
            sqlx::query(
                "UPDATE stock SET reserved = reserved - $2, available = available + $2
                 WHERE product = $1",
            )
            .bind(product.to_string())
            .bind(i64::from(quantity))
            .execute(&mut *change)
            .await?;
        }
        let event = of_lines(Type::StockReleased, order, &lines)?;
        let after = self.outbox.add(&mut change, event).await?;
        change.commit().await?;
        after.committed().await;
        Ok(Some(lines))
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

/// Takes so many of a product; false where they cannot be taken in this way.
async fn take_row(
    change: &mut AnyConnection,
    product: ProductId,
    quantity: Quantity,
    take: Take<'_>,
) -> sqlx::Result<bool> {
    let wanted = i64::from(quantity);
    let left = |seen: &Seen| seen.get(&product).map_or(0, |available| available - wanted);
    let query = match take {
        Take::IfEnough => sqlx::query(
            "UPDATE stock SET available = available - $2, reserved = reserved + $2
             WHERE product = $1 AND available >= $2",
        )
        .bind(product.to_string())
        .bind(wanted),
        Take::DownFrom(seen) => sqlx::query(
            "UPDATE stock SET available = $3, reserved = reserved + $2 WHERE product = $1",
        )
        .bind(product.to_string())
        .bind(wanted)
        .bind(left(seen)),
        Take::Fenced { seen, tokens } => sqlx::query(
            "UPDATE stock SET available = $3, reserved = reserved + $2
             WHERE product = $1 AND fence = $4",
        )
        .bind(product.to_string())
        .bind(wanted)
        .bind(left(seen))
        .bind(tokens.get(&product).copied().unwrap_or(0)),
    };
    Ok(query.execute(change).await?.rows_affected() == 1)
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
