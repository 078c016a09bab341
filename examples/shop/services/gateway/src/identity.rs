//! Who asks: `Authorization: Bearer TOKEN`, RFC 6750.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use shop_contracts::id::CustomerId;
use shop_contracts::users::Role;
use shop_contracts::{Kind, Problem};
use shop_service::token::{Claims, Tokens};

use crate::Gateway;

/// Somebody with a token of ours that has not ended.
pub(crate) struct Who(pub(crate) CustomerId);

/// The same, and one of the staff.
pub(crate) struct Staff;

impl FromRequestParts<Arc<Gateway>> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Who, Problem> {
        Ok(Who(claims(parts, &gateway.tokens)?.sub))
    }
}

impl FromRequestParts<Arc<Gateway>> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Staff, Problem> {
        match claims(parts, &gateway.tokens)?.role {
            Role::Staff => Ok(Staff),
            Role::Customer => Err(Problem::new(Kind::Forbidden, "only staff may do this")),
        }
    }
}

/// What the token of a request says, if it is one of ours.
pub(crate) fn claims(parts: &Parts, tokens: &Tokens) -> Result<Claims, Problem> {
    let header = parts.headers.get(AUTHORIZATION).ok_or_else(|| {
        Problem::new(Kind::Unauthorized, "log in: POST /api/tokens gives a token to send along")
    })?;
    // The scheme's name is not case-sensitive: RFC 9110, section 11.1.
    let token =
        header.to_str().ok().and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
    let token = token
        .ok_or_else(|| Problem::new(Kind::Unauthorized, "expected: Authorization: Bearer TOKEN"))?;
    tokens.read(token)
}
