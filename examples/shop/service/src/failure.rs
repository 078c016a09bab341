//! What goes wrong in a handler, on its way out.

use axum::Json;
use axum::response::{IntoResponse, Response};
use shop_contracts::{Kind, Problem};
use shop_storage::sqlx;

/// What a handler returns.
pub type Answer<T> = Result<Json<T>, Failure>;

/// A refusal. Made from a [`Problem`], which the customer may read, or from an error of the
/// storage, which goes into the log while the customer reads only that it was not their fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] pub Problem);

impl Failure {
    /// Of this kind, and what happened.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Failure {
        Failure(Problem::new(kind, detail))
    }
}

impl From<shop_storage::Error> for Failure {
    fn from(error: shop_storage::Error) -> Failure {
        use shop_storage::Error;
        let kind = match &error {
            // The database's lock or its server: the same request may succeed in a moment.
            Error::Busy(_) | Error::Unavailable(_) => Kind::Unavailable,
            _ => Kind::Internal,
        };
        tracing::error!(%error, "the storage failed");
        Failure(match kind {
            Kind::Unavailable => Problem::new(kind, "the database does not answer; try again"),
            _ => Problem::internal(),
        })
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        shop_storage::Error::from(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
