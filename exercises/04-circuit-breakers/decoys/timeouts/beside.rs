//! Those who are wrong about a task beside.

use super::right::right;
use circuit_breakers::timeouts::{Deadline, Deadlines, Late};
use tokio::task::JoinHandle;

/// A decoy, by how it spawns. It serves and asks as it should.
macro_rules! spawning {
    ($decoy:ident: |$deadline:ident, $work:ident| $body:expr) => {
        impl Deadlines for $decoy {
            right!(serve);
            right!(ask);

            fn spawn<T: Send + 'static>(
                $deadline: Deadline,
                $work: impl Future<Output = T> + Send + 'static,
            ) -> impl Future<Output = Result<T, Late>> + Send {
                $body
            }
        }
    };
}

/// What most of them do right: a task that is aborted with its owner.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a task has come to.
async fn joined<T>(task: &mut JoinHandle<T>) -> Result<T, Late> {
    task.await.map_err(|stopped| match stopped.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Late,
    })
}

/// A timeout around the handle. It ends, and the task does not. Rejected by `task_ends`.
pub struct BareSpawn;

spawning!(BareSpawn: |deadline, work| {
    let mut task = tokio::spawn(work);
    async move { deadline.within(joined(&mut task)).await? }
});

/// Aborts the task with its owner, and counts on the owner to look at the clock. That one is waiting
/// for something else. Rejected by `task_ends`.
pub struct NoClockOfItsOwn;

spawning!(NoClockOfItsOwn: |deadline, work| {
    let task = Aborted(tokio::spawn(work));
    async move {
        let mut task = task;
        deadline.within(joined(&mut task.0)).await?
    }
});

/// Tokio's timeout inside of the task. It polls the work before it looks at the clock, so a machine
/// that is late takes one more step for nobody. Rejected by `busy_machine`.
pub struct StepsAndThenLooks;

spawning!(StepsAndThenLooks: |deadline, work| {
    let task = Aborted(tokio::spawn(async move {
        if deadline.is_over() {
            return Err(Late);
        }
        tokio::time::timeout_at(deadline.instant(), work).await.map_err(|_| Late)
    }));
    async move {
        let mut task = task;
        joined(&mut task.0).await?
    }
});

/// A future is all that was asked for. It begins when somebody waits for it, so nothing ever goes on
/// beside anything. Rejected by `task_ends`.
pub struct NotATask;

spawning!(NotATask: |deadline, work| deadline.within(work));

/// Ends in time. But who drops a `JoinHandle` lets the task go on: the caller has hung up, and there
/// is still a minute left. Rejected by `task_is_taken_along`.
pub struct DropsTheHandle;

spawning!(DropsTheHandle: |deadline, work| {
    let mut task = tokio::spawn(deadline.within(work));
    async move { joined(&mut task).await? }
});

/// The guard is made inside of the future. One that is dropped before anybody has polled it holds a
/// bare handle, and no guard. Rejected by `task_is_taken_along`.
pub struct GuardedWhenPolled;

spawning!(GuardedWhenPolled: |deadline, work| {
    let task = tokio::spawn(deadline.within(work));
    async move {
        let mut task = Aborted(task);
        joined(&mut task.0).await?
    }
});

/// Whatever is wrong with the task, there is no answer, so it is late. A bug then looks like a slow
/// dependency for as long as nobody reads the log. Rejected by `task_answers`.
pub struct BugsAreLate;

spawning!(BugsAreLate: |deadline, work| {
    let task = Aborted(tokio::spawn(deadline.within(work)));
    async move {
        let mut task = task;
        (&mut task.0).await.unwrap_or(Err(Late))
    }
});
