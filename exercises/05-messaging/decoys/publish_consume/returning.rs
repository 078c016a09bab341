//! Those who do not come back, or all too fast.

use super::usual::{Over, Part};
use lapin::Channel;
use messaging::Topology;
use messaging::publish_consume::{Options, Pause};
use std::time::Duration;
use tokio::task::JoinSet;

/// `while let Some(delivery) = deliveries.next().await`, and then the function is over. The process
/// lives, and consumes nothing: check `comes_back`.
pub struct EndsWithItsConnection;

impl Part for EndsWithItsConnection {
    fn again(over: &Over) -> bool {
        *over == Over::Cancelled
    }
}

/// Comes back from every error, and takes a stream that ends without one for the end: check
/// `queue_is_gone`.
pub struct CancelIsTheEnd;

impl Part for CancelIsTheEnd {
    fn again(over: &Over) -> bool {
        *over == Over::Lost
    }
}

/// Declares when it starts, and never again. After that it subscribes to what is not there: check
/// `queue_is_gone`.
pub struct OnceDeclared;

impl Part for OnceDeclared {
    async fn declare_again(_: &Topology, _: &Channel) -> lapin::Result<()> {
        Ok(())
    }
}

/// Finds a minute more economical than a second. For so long a dead consumer keeps its messages:
/// check `stopped_consumer`.
pub struct NoHeartbeat;

impl Part for NoHeartbeat {
    fn options(options: Options) -> Options {
        Options { heartbeat: Duration::from_secs(60), ..options }
    }
}

/// Tries again at once, and is one more reason why the broker does not get up: check `pauses`.
pub struct NoPause;

impl Part for NoPause {
    async fn rest(_: &mut JoinSet<bool>, _: &mut Pause) {
        tokio::task::yield_now().await;
    }
}

/// Waits for the work that is under way before it connects again. Work that hangs ends the consumer
/// when its connection is lost: check `late_acknowledgement`.
pub struct OldWorkFirst;

impl Part for OldWorkFirst {
    async fn rest(crew: &mut JoinSet<bool>, pause: &mut Pause) {
        while crew.join_next().await.is_some() {}
        pause.next().await;
    }
}
