//! F9: what passes a proxy, and what it does to that.

use super::Request;

/// What an observer is told, in the order in which it happens on this client's connections.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The client sent a request.
    Request {
        /// Names the request in later observations; no other of this process has it.
        id: u64,
        /// The request itself.
        request: Request,
    },
    /// The server answered.
    Reply {
        /// The request's id.
        id: u64,
        /// The reply in short: `nil`, `OK`, the string.
        reply: String,
    },
    /// The request is held at a gate.
    Held {
        /// The request's id.
        id: u64,
    },
    /// The gate let it pass.
    Released {
        /// The request's id.
        id: u64,
    },
    /// The server answered, and the reply is held at a gate.
    ReplyHeld {
        /// The request's id.
        id: u64,
        /// The reply that the client will get.
        reply: String,
    },
    /// The gate let the reply pass.
    ReplyReleased {
        /// The request's id.
        id: u64,
    },
    /// The request was dropped and its connection closed; the server never saw it.
    RequestCut {
        /// The request's id.
        id: u64,
    },
    /// The server carried it out; the reply was dropped and the connection closed.
    ReplyCut {
        /// The request's id.
        id: u64,
        /// The reply that the client never got.
        reply: String,
    },
    /// The connection ended before the server's reply had come through.
    Lost {
        /// The request's id.
        id: u64,
    },
    /// The server said something that answers no request: RabbitMQ delivers, returns, or closes.
    FromServer {
        /// Names it in later observations; no other of this process, nor a request, has it.
        id: u64,
        /// What it said.
        said: Request,
    },
    /// It is held at a gate on its way to the client.
    FromServerHeld {
        /// Its id.
        id: u64,
    },
    /// The gate let it pass.
    FromServerReleased {
        /// Its id.
        id: u64,
    },
    /// It was dropped and the connection closed: the client never heard it.
    FromServerCut {
        /// Its id.
        id: u64,
    },
}
