//! What comes in is checked before a handler sees it. What the types of the contracts refuse
//! becomes a problem that says where it is wrong and what would be right.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use shop_contracts::{Kind, Problem};

/// The longest body that a customer may send, in bytes. The longest that makes sense is shorter
/// than a tenth of it.
pub const LONGEST_BODY: usize = 16 << 10;

/// The JSON in the request's body.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send JSON, and say so: Content-Type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        read(&bytes).map(Body)
    }
}

/// The request's body as it came, whatever it calls itself.
#[derive(Clone, Debug)]
pub struct Document(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Document, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Document).map_err(|rejection| unreadable(&rejection))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = told.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(Kind::TooLarge, "the body is longer than what is read here")
        }
        _ => Problem::new(Kind::Malformed, "the body broke off"),
    }
}

/// Reads `json` as a `T`.
///
/// # Errors
/// [`Kind::Malformed`] for what is not JSON; [`Kind::Invalid`] for JSON that is not a `T`, with
/// the place where it is not.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let said = inner.to_string();
        // serde_json adds where in the text it was; the path says it better.
        let detail = said.split(" at line ").next().unwrap_or(&said);
        if inner.is_data() {
            let at = if path == "." { "body".into() } else { format!("body.{path}") };
            Problem::new(Kind::Invalid, format!("{at}: {detail}")).at(at, detail)
        } else {
            Problem::new(Kind::Malformed, format!("the body is not JSON: {said}"))
        }
    })?;
    reader.end().map_err(|_| Problem::new(Kind::Malformed, "the body goes on after its JSON"))?;
    Ok(value)
}

/// What stands in the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(rejection) => {
                let detail = rejection.body_text();
                Err(Problem::new(Kind::Invalid, detail.clone()).at("path", detail))
            }
        }
    }
}

/// What stands behind the `?`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(rejection) => {
                let detail = rejection.body_text();
                Err(Problem::new(Kind::Invalid, detail.clone()).at("query", detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use shop_contracts::carts::Put;
    use shop_contracts::{Kind, Problem, Quantity};

    fn refused(json: &str) -> Problem {
        read::<Put>(json.as_bytes()).expect_err(json)
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for json in ["", "{", "{\"quantity\": 1} 2", "{\"quantity\": 1", "\u{0}", "{'quantity': 1}"]
        {
            assert!(refused(json).is(Kind::Malformed), "{json}");
        }
    }

    #[test]
    fn what_is_not_allowed_says_where_and_why() {
        for json in [
            "{\"quantity\": 0}",
            "{\"quantity\": -1}",
            "{\"quantity\": 100}",
            "{\"quantity\": \"1\"}",
            "{\"quantity\": 1.5}",
            "{\"quantity\": 1, \"price\": 0}",
            "{}",
            "null",
            "[1]]",
        ] {
            let problem = refused(json);
            assert!(problem.is(Kind::Invalid) || json == "[1]]", "{json}: {problem}");
        }
        let problem = refused("{\"quantity\": 0}");
        assert_eq!(problem.errors[0].at, "body.quantity");
        assert_eq!(problem.errors[0].detail, "a quantity is between 1 and 99, not 0");
        let two = Quantity::try_from(2u32).expect("a quantity");
        assert_eq!(read::<Put>(b"{\"quantity\": 2}").expect("a body").quantity, two);
    }
}
