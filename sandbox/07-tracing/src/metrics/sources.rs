//! What a registry asks the program that it is in.

use http::Extensions;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a registry finds what it does not know by itself. By default there is no trace and no route,
/// and the clock is the machine's:
///
/// ```
/// use observability::correlation_ids::{CorrelationIds, TaskIds};
/// use observability::metrics::{Registry, Sources};
///
/// let registry = Registry::new("orders", Sources { trace: TaskIds::current, ..Sources::default() });
/// ```
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whose work it is, for exemplars. Asked by whoever observes, when it observes.
    pub trace: fn() -> Option<Arc<str>>,
    /// The route of a request, by what its router has left in it. With axum:
    /// `|found| found.get::<MatchedPath>().map(MatchedPath::as_str)`.
    pub route: fn(&Extensions) -> Option<&str>,
    /// How late it is.
    pub clock: Clock,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { trace: || None, route: |_| None, clock: Clock::default() }
    }
}

/// A clock that is never set back. A clone is the same clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` says: the time since any moment that stays the same.
    pub fn by(now: impl Fn() -> Duration + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// How late it is.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Default for Clock {
    /// The machine's monotonic clock. Not the time of day: that is set back, and then a request ends
    /// before it began.
    fn default() -> Clock {
        let began = Instant::now();
        Clock::by(move || began.elapsed())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
