//! Who is who, and who is asking.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use shop_contracts::id::CustomerId;
use shop_contracts::users::{Customer, Login, Registration, Role, Token};
use shop_contracts::{Kind, Problem};
use shop_service::token::LIFE;
use shop_service::{Answer, Body, Failure};
use shop_storage::{Error, now, sqlx};

use crate::Monolith;

/// `POST /api/register`: an account, and the empty cart that belongs to it.
pub(crate) async fn register(
    State(shop): State<Monolith>,
    Body(Registration { email, password, name }): Body<Registration>,
) -> Result<(StatusCode, Json<Customer>), Failure> {
    // Before the transaction: a hash takes tens of milliseconds, and others want to write.
    let kept = shop.passwords.hash(&password).await;
    let customer = Customer { id: CustomerId::new(), email, name, role: Role::Customer };
    let mut change = shop.database.begin().await?;
    let insert = "INSERT INTO users (id, email, name, password, joined_at)
                  VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(insert)
        .bind(customer.id.to_string())
        .bind(customer.email.as_str())
        .bind(customer.name.as_str())
        .bind(kept)
        .bind(now())
        .execute(&mut *change)
        .await
        .map_err(|error| match Error::from(error) {
            Error::Taken(_) => {
                Failure::new(Kind::Taken, "this address has an account already: log in")
            }
            other => other.into(),
        })?;
    sqlx::query("INSERT INTO carts (customer) VALUES ($1)")
        .bind(customer.id.to_string())
        .execute(&mut *change)
        .await?;
    change.commit().await?;
    Ok((StatusCode::CREATED, Json(customer)))
}

/// `POST /api/login`: a token for whoever knows the password.
pub(crate) async fn login(
    State(shop): State<Monolith>,
    Body(Login { email, password }): Body<Login>,
) -> Answer<Token> {
    let account: Option<(String, String)> =
        sqlx::query_as("SELECT id, password FROM users WHERE email = $1")
            .bind(email.as_str())
            .fetch_optional(shop.database.reader())
            .await?;
    let (id, kept) = account.unzip();
    let fits = shop.passwords.fits(&password, kept).await;
    let customer = id.and_then(|id| id.parse().ok()).filter(|_| fits).ok_or_else(|| {
        // The same for both: which addresses have an account is nobody's business.
        Failure::new(Kind::Unauthorized, "there is no account with this address and password")
    })?;
    Ok(Json(Token {
        access_token: shop.tokens.issue(customer, Role::Customer, LIFE),
        token_type: "Bearer".to_owned(),
        expires_in: LIFE.as_secs(),
    }))
}

/// Who is asking, by the token that came with the request. A handler that takes one is for
/// customers only.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub CustomerId);

impl FromRequestParts<Monolith> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shop: &Monolith) -> Result<Caller, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        // RFC 9110: the scheme's name is in any case.
        let token = header
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(token) = token else {
            let detail = "log in, and send the token: Authorization: Bearer …";
            return Err(Problem::new(Kind::Unauthorized, detail).at("header.authorization", detail));
        };
        Ok(Caller(shop.tokens.read(token)?.sub))
    }
}

/// For a token that is good and names nobody: the database is another than when it was issued.
pub(crate) fn gone() -> Failure {
    Failure::new(Kind::Unauthorized, "this account is no longer there: register again")
}
