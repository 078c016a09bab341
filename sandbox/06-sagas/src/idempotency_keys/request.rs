//! A request that may come again, and what it is answered.

use sha2::{Digest, Sha256};

/// A request with a key.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks: the user or the account, as whoever has checked it says. Never the client's own word.
    pub caller: &'a str,
    /// What the client calls the request: see [`key`](super::key). Two are the same if each letter is.
    pub key: &'a str,
    /// `POST`.
    pub method: &'a str,
    /// `/payments`.
    pub path: &'a str,
    /// As it came.
    pub body: &'a [u8],
}

/// What is answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `201`.
    pub status: u16,
    /// Names and values, as they were given.
    pub headers: Vec<(String, String)>,
    /// Whatever bytes.
    pub body: Vec<u8>,
}

/// A response, and whether it is the one of an earlier time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The same for each attempt, to the byte.
    pub response: Response,
    /// It was given before.
    pub replayed: bool,
}

impl Request<'_> {
    /// What tells this request from another that comes under the same key. Only this is kept of it,
    /// however long its body is.
    pub fn fingerprint(&self) -> Vec<u8> {
        digest([self.method.as_bytes(), self.path.as_bytes(), self.body]).to_vec()
    }

    /// What tells this caller's key from any other's, in 32 bytes.
    pub fn name(&self) -> [u8; 32] {
        digest([self.caller.as_bytes(), self.key.as_bytes()])
    }
}

impl Response {
    /// A response without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }
    }

    /// Whether the same request would be answered the same an hour later. What says "not now" is not
    /// kept: the client is to try again with the same key, and 503 for ever would be no answer.
    ///
    /// Stripe keeps every answer, a 500 included, as there the effect may have happened. Here it was
    /// rolled back.
    pub fn is_final(&self) -> bool {
        // Request Timeout, Conflict, Too Early, Too Many Requests.
        !matches!(self.status, 408 | 409 | 425 | 429 | 500..)
    }
}

/// Each part after its length: without it, `/a` and `bc` would be `/ab` and `c`.
fn digest<const N: usize>(parts: [&[u8]; N]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYMENT: Request<'_> =
        Request { caller: "ann", key: "1", method: "POST", path: "/pay", body: b"ments" };

    #[test]
    fn what_says_not_now_is_not_final() {
        for status in [200, 201, 204, 303, 400, 402, 404, 410, 422] {
            assert!(Response::new(status, "").is_final(), "{status}");
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504, 599] {
            assert!(!Response::new(status, "").is_final(), "{status}");
        }
    }

    #[test]
    fn each_part_of_a_request_counts_and_so_do_their_seams() {
        let others = [
            Request { method: "PUT", ..PAYMENT },
            Request { path: "/pa", body: b"yments", ..PAYMENT },
            Request { method: "POS", path: "T/pay", ..PAYMENT },
            Request { body: b"", ..PAYMENT },
        ];
        for other in others {
            assert_ne!(other.fingerprint(), PAYMENT.fingerprint(), "{other:?}");
        }
        // Who asks, and under which key, is another question.
        let same = Request { caller: "bob", key: "2", ..PAYMENT };
        assert_eq!(same.fingerprint(), PAYMENT.fingerprint());
    }

    #[test]
    fn a_name_is_of_one_caller_and_one_key() {
        let glued = Request { caller: "ann1", key: "", ..PAYMENT };
        assert_ne!(glued.name(), PAYMENT.name());
        assert_eq!(Request { body: b"", ..PAYMENT }.name(), PAYMENT.name());
    }
}
