//! What several services have of the same kind, and what is read of it when somebody asks.
//!
//! What is away leaves the last figures: `/health/ready` tells of it.

use std::sync::Arc;

use observability::metrics::Counters;
use shop_bus::Bus;
use shop_storage::Database;

use super::Meters;

impl Meters {
    /// Events that a service has written down and not said yet, as `unsaid` counts them.
    pub(crate) fn of_an_outbox<F>(&self, unsaid: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<i64>> + Send + 'static,
    {
        let help = "Events that are not on the bus yet";
        let waiting = self.registry().gauges("outbox_waiting", help, []);
        self.looking(move || {
            let (waiting, unsaid) = (waiting.clone(), unsaid());
            async move {
                if let Some(many) = unsaid.await {
                    waiting.with([]).set(many);
                }
            }
        });
    }

    /// What waits in a queue for its consumers, and what they have given up.
    pub(crate) fn of_a_queue(&self, bus: &Arc<dyn Bus>, queue: &'static str) {
        let gauges = |name, help| self.registry().gauges(name, help, ["queue"]);
        let waiting = gauges("queue_depth", "Messages that no consumer has in hand");
        let dead = gauges("queue_dead", "Messages that were given up");
        let bus = Arc::clone(bus);
        self.looking(move || {
            let (bus, gauges) = (Arc::clone(&bus), [waiting.clone(), dead.clone()]);
            async move {
                let dead = format!("{queue}.dlq");
                for (gauge, name) in gauges.iter().zip([queue, dead.as_str()]) {
                    if let Ok(depth) = bus.depth(name).await {
                        gauge.with([queue]).set(i64::try_from(depth).unwrap_or(i64::MAX));
                    }
                }
            }
        });
    }

    /// How full the pools of a database are.
    pub(crate) fn of_a_database(&self, database: &Database) {
        let gauges = |name, help| self.registry().gauges(name, help, ["pool"]);
        let size = gauges("database_connections_most", "Connections that there may be");
        let in_use = gauges("database_connections_in_use", "Connections that somebody works on");
        let help = "Changes that wait for their turn, or for a connection";
        let waiting = self.registry().gauges("database_waiting", help, []);
        let database = database.clone();
        self.looking_first(move || {
            let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            for full in database.full() {
                size.with([full.pool]).set(whole(full.most));
                in_use.with([full.pool]).set(whole(full.in_use));
            }
            waiting.with([]).set(whole(database.waiting()));
        });
    }

    /// The attempts of a saga's steps.
    pub(crate) fn saga_steps(&self) -> Counters<3> {
        let help = "Attempts of a saga's steps, by what came of them";
        self.registry().counters("saga_steps_total", help, ["step", "what", "outcome"])
    }
}
