//! Passing a request on, and its answer back, without looking into either.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, header};
use shop_contracts::{Peer, Problem};

/// Asks `peer` for `path`, and gives back its status, its kind of content, when to come again, and
/// its bytes. Nothing else that it sends is for the customer.
pub(crate) async fn get(peer: &Peer, path: &str) -> Result<Response, Problem> {
    let answer = peer.forward(Method::GET, path, Bytes::new(), &[]).await?;
    let (head, body) = answer.into_parts();
    let mut response = (head.status, body).into_response();
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}
