//! Taking in the supplier's list.

use shop_outside::supplier::Catalogue;
use shop_storage::{Error, sqlx};

use crate::Monolith;

impl Monolith {
    /// Whether there is nothing to sell.
    ///
    /// # Errors
    /// As for any question to the database.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        let any: Option<String> = sqlx::query_scalar("SELECT id FROM products LIMIT 1")
            .fetch_optional(self.database.reader())
            .await?;
        Ok(any.is_none())
    }

    /// Takes in a supplier's list, all of it or nothing. What is there already stays as it is, so
    /// that a second time changes neither prices nor stock.
    ///
    /// # Errors
    /// As for any change of the database.
    pub async fn seed(&self, list: &Catalogue) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        for category in &list.categories {
            sqlx::query(
                "INSERT INTO categories (slug, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(category.slug)
            .bind(category.name)
            .execute(&mut *change)
            .await?;
        }
        for listing in &list.products {
            let id = listing.id.to_string();
            let insert = "INSERT INTO products (id, category, name, sought, description, price)
                          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
            sqlx::query(insert)
                .bind(&id)
                .bind(listing.category)
                .bind(&listing.name)
                .bind(listing.name.to_lowercase())
                .bind(&listing.description)
                .bind(listing.price)
                .execute(&mut *change)
                .await?;
            let insert = "INSERT INTO inventory (product, available) VALUES ($1, $2)
                          ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(&id).bind(listing.stock).execute(&mut *change).await?;
        }
        change.commit().await?;
        Ok(())
    }
}
