//! From requests to the store, and from what is there to answers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use shop_contracts::Kind;
use shop_contracts::id::CustomerId;
use shop_contracts::users::{Customer, Login, NewCustomer, Token};
use shop_service::token::LIFE;
use shop_service::{Answer, Body, Failure, Path};
use shop_storage::Error;

use crate::Users;

pub(crate) fn routes(users: Users) -> Router {
    Router::new()
        .route("/customers", post(register))
        .route("/customers/{id}", get(customer))
        .route("/tokens", post(token))
        .with_state(users)
}

async fn register(
    State(users): State<Users>,
    Body(NewCustomer { registration, role }): Body<NewCustomer>,
) -> Result<(StatusCode, Json<Customer>), Failure> {
    let kept = users.passwords.hash(&registration.password).await;
    let (email, name) = (registration.email, registration.name);
    let customer = Customer { id: CustomerId::new(), email, name, role };
    match users.insert(&customer, &kept).await {
        Ok(()) => Ok((StatusCode::CREATED, Json(customer))),
        Err(Error::Taken(_)) => {
            let detail = format!("{} has an account: log in", customer.email.as_str());
            Err(Failure::new(Kind::Taken, detail))
        }
        Err(error) => Err(error.into()),
    }
}

async fn token(State(users): State<Users>, Body(login): Body<Login>) -> Answer<Token> {
    let (who, kept) = users.account(&login.email).await?.unzip();
    // Not `if let Some(..)` first: the hash is computed for nobody as well, and takes as long.
    let fits = users.passwords.fits(&login.password, kept).await;
    let Some((id, role)) = who.filter(|_| fits) else {
        return Err(Failure::new(Kind::Unauthorized, "the address or the password is wrong"));
    };
    Ok(Json(Token {
        access_token: users.tokens.issue(id, role, LIFE),
        token_type: "Bearer".to_owned(),
        expires_in: LIFE.as_secs(),
    }))
}

async fn customer(State(users): State<Users>, Path(id): Path<CustomerId>) -> Answer<Customer> {
    let customer = users.customer(id).await?;
    let unknown = || Failure::new(Kind::NotFound, format!("there is no customer {id}"));
    Ok(Json(customer.ok_or_else(unknown)?))
}
