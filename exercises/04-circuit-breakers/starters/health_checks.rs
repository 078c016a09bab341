//! 04.9 · Health checks
//!
//! Your service runs in many copies. Somebody outside asks each of them two things, again and
//! again: are you alive, are you ready? Who is not alive is killed. Who is not ready gets no
//! requests. Write the answers, and the way out.
//!
//! What you build has to keep five promises, and the checks will try to break each of them, two of
//! them with a real Redis that is stopped or killed:
//!
//! 1. Nobody is restarted for the fault of another: liveness asks no dependency.
//! 2. A probe is always answered, and soon: all dependencies are asked at once, each has a
//!    timeout, and one that panics has failed.
//! 3. Probes are no load: many at once share one round, and its report for `config.fresh_for`, but
//!    not for longer. Who hangs up takes nothing from the others.
//! 4. What only helps takes nobody out, and no report shows a password.
//! 5. Who leaves is not ready at once, and loses nothing that is under way without saying so.
//!
//! The contract with all its details is the trait `Health`:
//! sandbox/04-circuit-breakers/src/health_checks.rs. `Report` and `masked` are done for you.
//!
//! A first step: `live`, `started`, and a `ready` that asks one dependency after the other. Then run
//! the checks and read the first timeline.

use circuit_breakers::health_checks::{Config, Dependency, Drained, Health, Report};
use http::Response;
use std::time::Duration;

/// Your health.
#[allow(dead_code)] // until ready uses the fields
pub struct MyHealth {
    config: Config,
    dependencies: Vec<Dependency>,
}

/// A request under way: counted until it is dropped. It needs a way back to the count.
pub struct UnderWay;

impl Health for MyHealth {
    type UnderWay = UnderWay;

    fn new(config: Config, dependencies: Vec<Dependency>) -> MyHealth {
        MyHealth { config, dependencies }
    }

    fn started(&self) {
        todo!("ready may pass from now on")
    }

    fn live(&self) -> Report {
        todo!("what can this say without asking anybody?")
    }

    async fn ready(&self) -> Report {
        todo!("ask all dependencies at once, once for all who want to know")
    }

    fn answer(_report: &Report) -> Response<String> {
        todo!("200 or 503, and report.json() as application/health+json")
    }

    fn enter(&self) -> UnderWay {
        todo!("one more under way")
    }

    fn drain(&self) {
        todo!("not ready from now on, whatever happens")
    }

    async fn drained(&self, _within: Duration) -> Drained {
        todo!("wait until nothing is under way, or time is up")
    }
}
