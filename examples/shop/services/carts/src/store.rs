//! The carts in SQL.

use std::collections::BTreeMap;

use shop_contracts::Quantity;
use shop_contracts::carts::MOST_LINES;
use shop_contracts::id::{CustomerId, ProductId};
use shop_storage::sqlx;
use shop_storage::{Error, now};

use crate::Carts;

impl Carts {
    pub(crate) async fn lines(
        &self,
        customer: CustomerId,
    ) -> Result<BTreeMap<ProductId, Quantity>, Error> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT product, quantity FROM lines WHERE customer = $1")
                .bind(customer.to_string())
                .fetch_all(self.database.reader())
                .await?;
        let lines = rows.into_iter().map(|(product, quantity)| {
            let product = product.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let quantity =
                quantity.try_into().map_err(|error: String| sqlx::Error::Decode(error.into()))?;
            Ok((product, quantity))
        });
        Ok(lines.collect::<sqlx::Result<_>>()?)
    }

    /// False where the cart is full; then nothing has changed.
    pub(crate) async fn put(
        &self,
        customer: CustomerId,
        product: ProductId,
        quantity: Quantity,
    ) -> Result<bool, Error> {
        let mut change = self.database.begin().await?;
        // Makes the cart's row or takes it: until the commit, nobody else adds to this cart.
        sqlx::query(
            "INSERT INTO carts (customer, changed_at) VALUES ($1, $2)
             ON CONFLICT (customer) DO UPDATE SET changed_at = excluded.changed_at",
        )
        .bind(customer.to_string())
        .bind(now())
        .execute(&mut *change)
        .await?;
        sqlx::query(
            "INSERT INTO lines (customer, product, quantity) VALUES ($1, $2, $3)
             ON CONFLICT (customer, product) DO UPDATE SET quantity = excluded.quantity",
        )
        .bind(customer.to_string())
        .bind(product.to_string())
        .bind(i64::from(quantity))
        .execute(&mut *change)
        .await?;
        let lines: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM lines WHERE customer = $1")
            .bind(customer.to_string())
            .fetch_one(&mut *change)
            .await?;
        if usize::try_from(lines).is_ok_and(|lines| lines > MOST_LINES) {
            // The line goes with the transaction.
            return Ok(false);
        }
        change.commit().await?;
        Ok(true)
    }

    pub(crate) async fn remove(
        &self,
        customer: CustomerId,
        product: ProductId,
    ) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        sqlx::query("DELETE FROM lines WHERE customer = $1 AND product = $2")
            .bind(customer.to_string())
            .bind(product.to_string())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(())
    }

    /// The cart's row takes its lines with it.
    pub(crate) async fn clear(&self, customer: CustomerId) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        sqlx::query("DELETE FROM carts WHERE customer = $1")
            .bind(customer.to_string())
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(())
    }
}
