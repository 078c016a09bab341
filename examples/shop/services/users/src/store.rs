//! The accounts in SQL.

use std::error::Error as StdError;

use shop_contracts::id::CustomerId;
use shop_contracts::text::Email;
use shop_contracts::users::{Customer, Role};
use shop_storage::sqlx;
use shop_storage::{Error, now};

use crate::Users;

impl Users {
    /// # Errors
    /// [`Error::Taken`] where the address has an account.
    pub(crate) async fn insert(&self, customer: &Customer, password: &str) -> Result<(), Error> {
        let mut change = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO customers (id, email, name, role, password, registered_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(customer.id.to_string())
        .bind(customer.email.as_str())
        .bind(customer.name.as_str())
        .bind(word(customer.role))
        .bind(password)
        .bind(now())
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        Ok(())
    }

    /// Whose account it is and what they may do; and what is kept of the password.
    pub(crate) async fn account(
        &self,
        email: &Email,
    ) -> Result<Option<((CustomerId, Role), String)>, Error> {
        let row: Option<(String, String, String)> =
            sqlx::query_as("SELECT id, role, password FROM customers WHERE email = $1")
                .bind(email.as_str())
                .fetch_optional(self.database.reader())
                .await?;
        let Some((id, role, password)) = row else { return Ok(None) };
        Ok(Some(((id.parse().map_err(garbled)?, read(&role)?), password)))
    }

    pub(crate) async fn customer(&self, id: CustomerId) -> Result<Option<Customer>, Error> {
        let row: Option<(String, String, String)> =
            sqlx::query_as("SELECT email, name, role FROM customers WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(self.database.reader())
                .await?;
        let Some((email, name, role)) = row else { return Ok(None) };
        let email = email.try_into().map_err(garbled)?;
        let name = name.try_into().map_err(garbled)?;
        Ok(Some(Customer { id, email, name, role: read(&role)? }))
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Staff => "staff",
    }
}

fn read(word: &str) -> sqlx::Result<Role> {
    let role = [Role::Customer, Role::Staff].into_iter().find(|&role| self::word(role) == word);
    role.ok_or_else(|| garbled(format!("`{word}` is no role")))
}

/// What is in a column is not what was put there.
fn garbled(error: impl Into<Box<dyn StdError + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
