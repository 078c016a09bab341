//! Channels that are opened too often, or not again.

use super::usual::{Opens, Usual};

/// Opens a channel for each message, and so never shares one. Each is three round trips, and a process
/// in the broker. Rejected by `one_channel`.
pub(super) struct ChannelForEach;

impl Usual for ChannelForEach {
    const OPENS: Opens = Opens::ForEach;
}

/// Opens its channel at the first call. It is there for as long as the connection is, and after that
/// every call fails until the next deploy. Rejected by `killed_between`.
pub(super) struct OpensOnce;

impl Usual for OpensOnce {
    const OPENS: Opens = Opens::Once;
}

/// Knows that connections are lost. A channel is lost by itself when an exchange is not there.
/// Rejected by `missing_exchange`.
pub(super) struct KeepsAClosedChannel;

impl Usual for KeepsAClosedChannel {
    const OPENS: Opens = Opens::WhenDisconnected;
}

/// Gives a channel up when it is closed, and only then. A connection on which nothing arrives any more
/// is open for as long as nobody looks at heartbeats, and every publish on it times out. Rejected by
/// `never_confirmed`.
pub(super) struct TrustsASilentLine;

impl Usual for TrustsASilentLine {
    const GIVES_UP: bool = false;
}

/// Makes sure at its start that the broker is there. So the shop does not start without it, though it
/// could sell. Rejected by `starts_alone`.
pub(super) struct OpensInOpen;

impl Usual for OpensInOpen {
    const OPENS_IN_OPEN: bool = true;
}
