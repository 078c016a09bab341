//! The shop's switches, in all services at once.
//!
//! Each service evaluates its own, in its own memory. `PUT` at the gateway sets them here and asks
//! each of the others to do the same; where all run in one process they share them, and the
//! second time changes nothing. A service that starts later begins with the defaults.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::Method;
use serde_json::Value;
use shop_contracts::{Kind, Problem};
use shop_service::Document;

use crate::Gateway;

pub(crate) fn routes() -> Router<Arc<Gateway>> {
    Router::new().route("/flags", get(show).put(set))
}

async fn show(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    Json(gateway.flags.to_json())
}

async fn set(
    State(gateway): State<Arc<Gateway>>,
    Document(body): Document,
) -> Result<Json<Value>, Problem> {
    // Here first: what is wrong with it is wrong everywhere.
    let before = gateway.flags.to_json().to_string();
    let refused = |invalid: shop_flags::Invalid| Problem::new(Kind::Invalid, invalid.to_string());
    gateway.flags.merge(&body).map_err(refused)?;
    if let Err(problem) = tell(&gateway, &body).await {
        // A service may lack what a variant needs. All of it is taken or nothing.
        gateway.flags.merge(&before).map_err(refused)?;
        let _ = tell(&gateway, &Bytes::from(before)).await;
        return Err(problem);
    }
    Ok(Json(gateway.flags.to_json()))
}

/// Asks each of the others to do the same.
async fn tell(gateway: &Gateway, body: &Bytes) -> Result<(), Problem> {
    for peer in gateway.bare.all() {
        let answer = peer.forward(Method::PUT, "/flags", body.clone(), &[]).await?;
        if !answer.status().is_success() {
            let why = serde_json::from_slice::<Problem>(answer.body()).ok();
            let why = why.filter(|problem| problem.is(Kind::Invalid));
            return Err(why.unwrap_or_else(|| {
                let detail = format!("the service `{}` did not take the switches", peer.name());
                Problem::new(Kind::Unavailable, detail)
            }));
        }
    }
    Ok(())
}
