//! What the proxy has to know of a protocol: where a request ends, and which frames answer it.

use super::rule::Request;
use std::io;

/// How one connection's bytes are read. The proxy forwards them as they came.
pub(super) trait Wire {
    /// What the client says.
    type Client: Client;
    /// What the server says.
    type Server: Server;

    /// A connection that has just been made.
    fn fresh() -> (Self::Client, Self::Server);
}

/// Reads what the client sends.
pub(super) trait Client {
    /// Takes the first complete request out of `buffer`, or `None` while there is none.
    fn request(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>>;
}

/// Reads what the server sends.
pub(super) trait Server {
    /// Takes the first complete frame out of `buffer`, or `None` while there is none.
    fn frame(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Answer>>;
}

/// Bytes that go to the server together.
pub(super) struct Asked {
    pub(super) bytes: Vec<u8>,
    /// What they ask. `None` if no reply will come that ends as others do.
    pub(super) request: Option<Request>,
    /// The client library's own business, and not the learner's: neither counted nor cut.
    pub(super) silent: bool,
}

/// A frame from the server.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) place: Place,
}

/// Where a frame stands.
pub(super) enum Place {
    /// Between replies: the server sends these when it likes.
    Aside,
    /// In a reply that goes on.
    Within,
    /// It ends a reply, of which this is what a person would want to see.
    End(String),
}
