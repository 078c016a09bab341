//! Sums over the whole database, for those who check that they add up.

use shop_storage::{Error, sqlx};

use crate::Monolith;

/// What the database knows of itself, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// How many orders there are.
    pub orders: i64,
    /// What they come to, in cents.
    pub revenue: i64,
    /// How many things were sold in them.
    pub units: i64,
    /// How many payments there are.
    pub payments: i64,
    /// What they come to, in cents. Compare it with `revenue`, and both with the provider's own
    /// [books](shop_outside::payment::Provider::books).
    pub paid: i64,
    /// How many customers were told of their order.
    pub notifications: i64,
    /// The smallest number in stock of any product.
    pub lowest: i64,
    /// All that is in stock.
    pub stock: i64,
}

impl Monolith {
    /// The sums as they stand.
    ///
    /// # Errors
    /// As for any question to the database.
    pub async fn books(&self) -> Result<Books, Error> {
        // One statement, so that all sums are of the same moment.
        let sums: (i64, i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT
               (SELECT COUNT(*) FROM orders),
               (SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) FROM orders),
               (SELECT CAST(COALESCE(SUM(quantity), 0) AS BIGINT) FROM order_lines),
               (SELECT COUNT(*) FROM payments),
               (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM payments),
               (SELECT COUNT(*) FROM notifications),
               (SELECT COALESCE(MIN(available), 0) FROM inventory),
               (SELECT CAST(COALESCE(SUM(available), 0) AS BIGINT) FROM inventory)",
        )
        .fetch_one(self.database.reader())
        .await?;
        let (orders, revenue, units, payments, paid, notifications, lowest, stock) = sums;
        Ok(Books { orders, revenue, units, payments, paid, notifications, lowest, stock })
    }
}
