//! The one shape of every refusal: problem details, <https://www.rfc-editor.org/rfc/rfc9457>.

use std::fmt;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a refusal is about. A program reads this; its name is the last part of
/// [`Problem::type`](Problem::kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Kind {
    Malformed,
    Invalid,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Taken,
    OutOfStock,
    EmptyCart,
    PaymentDeclined,
    TooLarge,
    UnsupportedMediaType,
    Conflict,
    Internal,
    Unavailable,
    TimedOut,
}

impl Kind {
    /// Its status, its name in [`Problem::kind`], and its title.
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Malformed => (StatusCode::BAD_REQUEST, "malformed", "This cannot be read"),
            Kind::Invalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value is not allowed")
            }
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This is not for you"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not in this way")
            }
            Kind::Taken => (StatusCode::CONFLICT, "taken", "This is taken"),
            Kind::OutOfStock => (StatusCode::CONFLICT, "out-of-stock", "Not enough in stock"),
            Kind::EmptyCart => (StatusCode::CONFLICT, "empty-cart", "The cart is empty"),
            Kind::PaymentDeclined => {
                (StatusCode::PAYMENT_REQUIRED, "payment-declined", "The payment was declined")
            }
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "This is too much"),
            Kind::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "JSON is expected")
            }
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "This does not fit what is there"),
            Kind::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here")
            }
            Kind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not at the moment")
            }
            Kind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "It took too long"),
        }
    }

    /// With which status it is answered.
    pub fn status(self) -> StatusCode {
        self.facts().0
    }
}

/// A refusal, for people and for programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Problem details (RFC 9457)")]
pub struct Problem {
    /// Which kind, as an address relative to the gateway's: `/problems/out-of-stock`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for each of its kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it happened to, as an address relative to the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Where in the request it is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Wrong>,
    /// In how many seconds to try again, where that is known: the header `Retry-After` says it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether this is certain: the other side was never asked, and has done nothing. Known on this
    /// side of a call alone, so it does not travel.
    #[serde(skip)]
    pub unsent: bool,
}

/// One thing that is wrong in a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wrong {
    /// Where: `body.quantity`, `path.id`, `query.page`, `header.idempotency-key`.
    pub at: String,
    /// What.
    pub detail: String,
}

impl Problem {
    /// Of this kind, and what happened.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        let (status, name, title) = kind.facts();
        Problem {
            kind: format!("/problems/{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: Some(detail.into()),
            instance: None,
            errors: Vec::new(),
            retry_after: None,
            unsent: false,
        }
    }

    /// Where the request is wrong.
    pub fn at(mut self, at: impl Into<String>, detail: impl Into<String>) -> Problem {
        self.errors.push(Wrong { at: at.into(), detail: detail.into() });
        self
    }

    /// What it happened to.
    pub fn about(mut self, instance: impl Into<String>) -> Problem {
        self.instance = Some(instance.into());
        self
    }

    /// In how many seconds to try again.
    pub fn after(mut self, seconds: Option<u64>) -> Problem {
        self.retry_after = seconds;
        self
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind.strip_prefix("/problems/") == Some(kind.facts().1)
    }

    /// A defect or a loss on our side: the log gets the cause, who asked does not.
    pub fn internal() -> Problem {
        Problem::new(Kind::Internal, "this was not your fault; it has been noted")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail.as_deref().unwrap_or(&self.title), self.status)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body).into());
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 requires it of every 401.
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
