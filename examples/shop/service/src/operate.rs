//! The routes that all services have, for those who run them.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | 200 where its database answers, 503 where not; for people. See [`health`](crate::health) |
//! | `GET /flags` | every switch, and what it evaluates to now |
//! | `PUT /flags` | changes those switches that the body names; all or nothing |

use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use shop_contracts::{Kind, Problem};
use shop_flags::Flags;
use shop_storage::Database;

use crate::input::Document;
use crate::serve;

/// The API of the service that keeps its data in `database`, with the routes that all have, and an
/// answer to what it does not know.
pub fn complete(routes: Router, database: Database) -> Router {
    let health = move || {
        let database = database.clone();
        async move {
            match database.ping().await {
                Ok(()) => Ok("up\n"),
                Err(error) => Err(Problem::new(Kind::Unavailable, error.to_string())),
            }
        }
    };
    serve::complete(routes.route("/health", get(health)))
}

/// The routes by which switches are read and set, while the service runs.
pub fn switches(flags: &Flags) -> Router {
    let (read, write) = (flags.clone(), flags.clone());
    let show = async move || Json(read.to_json());
    let set = async move |Document(body): Document| -> Result<Json<Value>, Problem> {
        write.merge(&body).map_err(|invalid| Problem::new(Kind::Invalid, invalid.to_string()))?;
        Ok(Json(write.to_json()))
    };
    Router::new().route("/flags", get(show).put(set))
}
