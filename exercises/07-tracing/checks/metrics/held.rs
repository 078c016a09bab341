//! Between two steps of an observation.

use super::scene::{Ask, Later, Shop, when_asked};
use grading::{Finding, SOON};
use http::StatusCode;
use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A request that is held where the subject asks whose work it is: while it observes.
pub(super) struct Held {
    goes_on: mpsc::Sender<()>,
    ends: JoinHandle<StatusCode>,
}

impl Held {
    pub(super) async fn when_it_asks(served: Later<StatusCode>) -> Result<Held, Finding> {
        let (comes, came) = oneshot::channel();
        let (goes_on, waits) = mpsc::channel::<()>();
        let runtime = Handle::current();
        let ends = tokio::task::spawn_blocking(move || {
            when_asked(move || {
                let _ = comes.send(());
                let _ = waits.recv();
            });
            runtime.block_on(served)
        });
        match tokio::time::timeout(SOON, came).await {
            Ok(Ok(())) => Ok(Held { goes_on, ends }),
            _ => Err(Finding::inconclusive("nobody asked whose work it is")),
        }
    }

    pub(super) async fn goes_on(self) -> Result<(), Finding> {
        let _ = self.goes_on.send(());
        self.ends.await?;
        Ok(())
    }

    /// Serves another one meanwhile, and then goes on.
    pub(super) async fn overtaken_by(self, shop: &Shop, by: &Ask) -> Result<(), Finding> {
        let (served, runtime) = (shop.serves(by), Handle::current());
        let mut other = tokio::task::spawn_blocking(move || runtime.block_on(served));
        // Who locks before it asks makes the other one wait. That is slow, and not wrong.
        let early = tokio::time::timeout(SOON, &mut other).await;
        shop.note("another one is served");
        self.goes_on().await?;
        shop.note("the first goes on");
        match early {
            Ok(served) => served?,
            Err(_) => other.await?,
        };
        Ok(())
    }
}
