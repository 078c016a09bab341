//! From the table to the bus.

use std::sync::Arc;
use std::time::Duration;

use observability::propagation::Propagation;
use shop_bus::Bus;
use shop_contracts::event::Event;
use shop_storage::sqlx;
use shop_storage::{Error, now};
use tokio::time::{sleep, timeout};

use crate::traces::carrier;
use crate::{Outbox, garbled};

/// How often a relay looks, for what another process of the service has added.
const POLL: Duration = Duration::from_millis(200);

/// The longest pause while the bus or the database is away.
const LONGEST: Duration = Duration::from_secs(5);

/// Read at a time.
const BATCH: i64 = 100;

/// How long an event is kept that was sent, for who wants to know what happened: a week.
const KEPT: i64 = 7 * 24 * 60 * 60 * 1_000_000;

/// How often the older ones go.
const SWEEP: Duration = Duration::from_secs(60);

impl Outbox {
    /// Carries what was said to the bus, until it is dropped. One in each process of the service.
    /// Without a bus there is nothing to do, and it ends.
    pub fn relay(&self) -> impl Future<Output = ()> + Send + 'static {
        let this = self.clone();
        async move {
            let Some(bus) = this.bus.clone() else { return };
            tokio::join!(this.carry(&bus), this.sweep());
        }
    }

    async fn carry(&self, bus: &Arc<dyn Bus>) {
        let mut pause = POLL;
        loop {
            match self.forward(bus).await {
                Ok(0) => {
                    // Whoever has added something since we looked has left a permit.
                    let _ = timeout(POLL, self.added.notified()).await;
                    pause = POLL;
                }
                Ok(_) => pause = POLL,
                Err(why) => {
                    tracing::warn!(%why, "what was said waits in the outbox");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    /// Carries what waits, at most [`BATCH`], and says how many events are on the bus now.
    async fn forward(&self, bus: &Arc<dyn Bus>) -> Result<usize, String> {
        let told = |error: Error| error.to_string();
        let waiting = self.waiting().await.map_err(told)?;
        let (mut sent, mut stopped) = (Vec::new(), None);
        for (id, text) in &waiting {
            let event = serde_json::from_str(text).map_err(garbled).map_err(|e| e.to_string());
            let published = match event {
                Ok(event) => self.send(bus, event).await,
                Err(why) => Err(why),
            };
            if let Err(why) = published {
                // In doubt it goes out again, with its id. Nothing behind it does before it.
                stopped = Some(why);
                break;
            }
            sent.push(id.as_str());
        }
        self.mark(&sent).await.map_err(told)?;
        stopped.map_or(Ok(sent.len()), Err)
    }

    /// In a span of the relay's own, which has a link to what it carries: that belongs to others.
    async fn send(&self, bus: &Arc<dyn Bus>, event: Event) -> Result<(), String> {
        let (bus, kind, carrier) = (Arc::clone(bus), event.kind.clone(), carrier(&event.trace));
        let publish =
            move |_| async move { bus.publish(&event).await.map_err(|error| error.to_string()) };
        self.traces.send(&kind, carrier, publish).await
    }

    async fn waiting(&self) -> Result<Vec<(String, String)>, Error> {
        let waiting = "SELECT id, event FROM outbox WHERE sent_at IS NULL \
                       ORDER BY added_at, id LIMIT $1";
        let waiting = sqlx::query_as(waiting).bind(BATCH);
        Ok(waiting.fetch_all(self.database.reader()).await?)
    }

    /// Marks all of them at once: one after the other they would take as many turns from those who
    /// write what the service is there for.
    async fn mark(&self, sent: &[&str]) -> Result<(), Error> {
        if sent.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = (2..).take(sent.len()).map(|at| format!("${at}")).collect();
        let mark = format!(
            "UPDATE outbox SET sent_at = $1 WHERE id IN ({}) AND sent_at IS NULL",
            ids.join(", ")
        );
        let mark = sent.iter().fold(sqlx::query(&mark).bind(now()), |mark, id| mark.bind(*id));
        let mut change = self.database.begin().await?;
        mark.execute(&mut *change).await?;
        Ok(change.commit().await?)
    }

    async fn sweep(&self) {
        loop {
            let swept = async {
                let mut change = self.database.begin().await?;
                sqlx::query("DELETE FROM outbox WHERE sent_at < $1")
                    .bind(now() - KEPT)
                    .execute(&mut *change)
                    .await?;
                Ok::<_, Error>(change.commit().await?)
            };
            if let Err(error) = swept.await {
                tracing::debug!(%error, "the outbox is swept later");
            }
            sleep(SWEEP).await;
        }
    }
}
