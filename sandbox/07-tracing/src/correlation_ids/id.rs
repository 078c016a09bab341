//! What an id is, and which from outside is believed.

use super::{LONGEST, REQUEST_ID};
use http::{HeaderMap, HeaderValue};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// An id that may stand in any line and any header as it is. A clone is the same, and costs no
/// allocation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId {
    text: Arc<str>,
    value: HeaderValue,
}

impl RequestId {
    /// A new one: a UUID of version 7. Those sort by time, which is how somebody reads them.
    #[allow(clippy::new_without_default)] // a default that is another each time would surprise
    pub fn new() -> RequestId {
        let text = Uuid::now_v7().to_string();
        let value = HeaderValue::from_str(&text).expect("hexadecimal digits and hyphens");
        RequestId { text: text.into(), value }
    }

    // ANCHOR: believe
    /// What a request says of itself, if there is one such line and it is plain.
    ///
    /// Not mended, as Rails does, which leaves out what is odd and cuts off what is too long: ids
    /// that differ could become one, and no longer be found by the words that the client knows.
    pub fn believe(headers: &HeaderMap) -> Option<RequestId> {
        let mut lines = headers.get_all(REQUEST_ID).iter();
        // Of two, this service would believe the first, and the next one the last.
        let (Some(value), None) = (lines.next(), lines.next()) else {
            return None;
        };
        // Bytes, since only ASCII is plain. A header may hold all of Unicode: the line separator
        // U+2028, at which some readers of logs begin a new line, and letters that look like others.
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let bytes = value.as_bytes();
        if !(1..=LONGEST).contains(&bytes.len()) || !bytes.iter().all(plain) {
            return None;
        }
        Some(RequestId { text: value.to_str().ok()?.into(), value: value.clone() })
    }

    /// Writes it into `headers`, in the place of whatever stands there.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.value.clone());
    }
    // ANCHOR_END: believe

    /// Its characters.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
