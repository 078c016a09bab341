//! Working for as long as a lease is held.

use locks::lease::Held;
use std::future::Future;
use std::time::Duration;

// ANCHOR: while_held
/// Does `work` while the lease is held, and extends it meanwhile, thrice a TTL: two attempts may fail.
/// `None`: it was lost, and the work was dropped where it stood.
///
/// All in one task. A task of its own that extends would go on when the work hangs on a blocked
/// thread, and nobody could ever take over.
pub(super) async fn while_held<T>(
    lease: &impl Held,
    ttl: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let extending = async {
        loop {
            tokio::time::sleep(ttl / 3).await;
            // A lease that is not ours any more ends `lost` below; what Redis did not hear is said
            // again.
            let _ = lease.extend().await;
        }
    };
    tokio::select! {
        // Looked at first: who wakes from a long sleep has to hear of it before anything else.
        biased;
        () = lease.lost() => None,
        () = extending => None,
        done = work => Some(done),
    }
}
// ANCHOR_END: while_held
