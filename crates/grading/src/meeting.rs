//! Two steps that must meet, and what it means if one does not come.

use crate::verdict::Finding;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::task::JoinHandle;

/// How soon has to happen what happens "by itself". Nothing waits so long for a right answer, and
/// a busy machine is not taken for a wrong one.
pub const SOON: Duration = Duration::from_secs(3);

/// Waits until a task has come to the gate.
///
/// # Errors
/// Inconclusive if nobody comes, or if the task ends without coming: it has answered without doing
/// what was to be held, so nothing was proved. A task that panicked is the subject's fault.
pub async fn comes_to<T>(gate: &Gate, task: &mut JoinHandle<T>) -> Result<(), Finding> {
    tokio::select! {
        came = gate.arrived(1, SOON) => Ok(came?),
        ended = task => {
            ended?;
            Err(Finding::inconclusive("the call ended before the step that was to be held"))
        }
    }
}
