//! Who somebody is: accounts and tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use shop_contracts::Problem;
use shop_contracts::users::{Customer, Login, NewCustomer, Registration, Role, Token};
use shop_service::Body;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::docs::Refused;
use crate::identity::Who;

pub(crate) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login)).routes(routes!(me))
}

/// Open an account
#[utoipa::path(post, path = "/api/customers", tag = "account", request_body = Registration,
    responses((status = 201, description = "The new account", body = Customer), Refused),
)]
async fn register(
    State(gateway): State<Arc<Gateway>>,
    Body(registration): Body<Registration>,
) -> Result<(StatusCode, Json<Customer>), Problem> {
    // Nobody becomes staff by asking for it.
    let new = NewCustomer { registration, role: Role::Customer };
    Ok((StatusCode::CREATED, Json(gateway.peers.users.register(&new).await?)))
}

/// Log in: a token for a password
#[utoipa::path(post, path = "/api/tokens", tag = "account", request_body = Login,
    responses((status = 200, description = "Send it as Authorization: Bearer …", body = Token), Refused),
)]
async fn login(
    State(gateway): State<Arc<Gateway>>,
    Body(login): Body<Login>,
) -> Result<Json<Token>, Problem> {
    gateway.peers.users.token(&login).await.map(Json)
}

/// One's own account
#[utoipa::path(get, path = "/api/me", tag = "account",
    responses((status = 200, description = "The account", body = Customer), Refused),
    security(("bearer" = [])),
)]
async fn me(State(gateway): State<Arc<Gateway>>, Who(who): Who) -> Result<Json<Customer>, Problem> {
    gateway.peers.users.customer(who).await.map(Json)
}
