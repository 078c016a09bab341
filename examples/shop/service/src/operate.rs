//! The routes that all services have, for those who run them.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | 200 where the service can work, 503 where its database does not answer |

use axum::Router;
use axum::routing::get;
use shop_contracts::{Kind, Problem};
use shop_storage::Database;

/// The routes for the service that keeps its data in `database`.
pub fn routes(database: Database) -> Router {
    let health = move || {
        let database = database.clone();
        async move {
            match database.ping().await {
                Ok(()) => Ok("up\n"),
                Err(error) => Err(Problem::new(Kind::Unavailable, error.to_string())),
            }
        }
    };
    Router::new().route("/health", get(health))
}
