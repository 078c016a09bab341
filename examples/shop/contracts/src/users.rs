//! Who is who.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /customers` | 201 and the [`Customer`]; `taken` if the address has an account |
//! | `POST /tokens` | a [`Token`] for the right [`Login`], `unauthorized` for any other |
//! | `GET /customers/{id}` | the [`Customer`] |

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Peer;
use crate::id::CustomerId;
use crate::problem::Problem;
use crate::text::{Email, Name, Password};

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys.
    #[default]
    Customer,
    /// Sets prices, too.
    Staff,
}

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Customer {
    /// Their id.
    pub id: CustomerId,
    /// Where mail reaches them.
    pub email: Email,
    /// How they want to be called.
    pub name: Name,
    /// What they may do.
    pub role: Role,
}

/// A wish for an account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Where mail reaches them.
    pub email: Email,
    /// At least eight characters.
    pub password: Password,
    /// How they want to be called.
    pub name: Name,
}

/// A new account, with what it may do. The public way in knows customers only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCustomer {
    /// Who.
    pub registration: Registration,
    /// What they may do.
    pub role: Role,
}

/// A proof of who one is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account.
    pub email: Email,
    /// Its password.
    pub password: Password,
}

/// What to send as `Authorization: Bearer …`, RFC 6750.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// A JSON web token, RFC 7519.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// In how many seconds it ends.
    pub expires_in: u64,
}

/// Whoever reads the token is the customer, so a log does not get it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Asks the users service.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn register(&self, who: &NewCustomer) -> Result<Customer, Problem> {
        self.0.call(Method::POST, "/customers", Some(who)).await
    }

    pub async fn token(&self, login: &Login) -> Result<Token, Problem> {
        self.0.call(Method::POST, "/tokens", Some(login)).await
    }

    pub async fn customer(&self, id: CustomerId) -> Result<Customer, Problem> {
        self.0.get(&format!("/customers/{id}")).await
    }
}
