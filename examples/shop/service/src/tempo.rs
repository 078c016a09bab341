//! How fast a service is: as ever, or, by the fault `fault.service`, slow.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use shop_flags::{FaultService, Flags, Switch};

/// What the fault adds to each request.
pub const SLOW: Duration = Duration::from_millis(300);

/// Which service this is, and the flags that say whether it is slow at the moment.
#[derive(Clone, Debug)]
pub struct Tempo {
    of: Option<FaultService>,
    flags: Flags,
}

impl Tempo {
    /// Of the service of this name.
    pub fn of(service: &str, flags: Flags) -> Tempo {
        Tempo { of: FaultService::named(service), flags }
    }
}

/// To be the innermost layer of all, beside the handler: whoever measures the service, and whoever
/// waits for it, sees what a slow handler looks like.
pub async fn tempo(State(tempo): State<Tempo>, request: Request, next: Next) -> Response {
    if tempo.of == Some(tempo.flags.get()) {
        tokio::time::sleep(SLOW).await;
    }
    next.run(request).await
}
