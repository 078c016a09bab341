//! Mistakes about what may be forgotten.

use super::usual::Usual;
use deadpool_postgres::tokio_postgres::Client;
use deadpool_postgres::tokio_postgres::types::Type;
use messaging::idempotent_consumer::{BATCH, Error};
use std::time::Duration;

/// All at once. After a month without a sweep this is one statement of an hour, or one that is given
/// up each time. Rejected by `old_rows_go`.
pub(super) struct SweepsAllAtOnce;

impl Usual for SweepsAllAtOnce {
    async fn sweep(client: &Client, consumer: &str, keep: Duration) -> Result<u64, Error> {
        let sweep = "DELETE FROM inbox
                     WHERE consumer = $1 AND seen_at < now() - make_interval(secs => $2)";
        let keep = keep.as_secs_f64();
        Ok(client.execute_typed(sweep, &[(&consumer, Type::TEXT), (&keep, Type::FLOAT8)]).await?)
    }
}

/// Whoever sweeps sweeps for all. The other consumer keeps its messages for a year, for it is the one
/// that is redriven. Rejected by `old_rows_go`.
pub(super) struct SweepsForEverybody;

impl Usual for SweepsForEverybody {
    async fn sweep(client: &Client, _: &str, keep: Duration) -> Result<u64, Error> {
        let sweep = "DELETE FROM inbox WHERE ctid IN (
                         SELECT ctid FROM inbox
                         WHERE seen_at < now() - make_interval(secs => $1)
                         ORDER BY seen_at DESC LIMIT $2)";
        let (keep, batch) = (keep.as_secs_f64(), i64::from(BATCH));
        Ok(client.execute_typed(sweep, &[(&keep, Type::FLOAT8), (&batch, Type::INT8)]).await?)
    }
}

/// So many of the latest, as a ring in memory would have them. On a busy day that is a minute.
/// Rejected by `old_rows_go`.
pub(super) struct KeepsTheLatest;

impl Usual for KeepsTheLatest {
    async fn sweep(client: &Client, consumer: &str, _: Duration) -> Result<u64, Error> {
        let sweep = "DELETE FROM inbox WHERE ctid IN (
                         SELECT ctid FROM inbox WHERE consumer = $1
                         ORDER BY seen_at DESC LIMIT $2 OFFSET 10)";
        let batch = i64::from(BATCH);
        Ok(client.execute_typed(sweep, &[(&consumer, Type::TEXT), (&batch, Type::INT8)]).await?)
    }
}

/// An hour, as it stood in the first version, and nobody has looked at the option since. Rejected by
/// `old_rows_go`.
pub(super) struct KeepsAnHour;

impl Usual for KeepsAnHour {
    async fn sweep(client: &Client, consumer: &str, _: Duration) -> Result<u64, Error> {
        let sweep = "DELETE FROM inbox WHERE ctid IN (
                         SELECT ctid FROM inbox
                         WHERE consumer = $1 AND seen_at < now() - interval '1 hour'
                         ORDER BY seen_at LIMIT $2)";
        let batch = i64::from(BATCH);
        Ok(client.execute_typed(sweep, &[(&consumer, Type::TEXT), (&batch, Type::INT8)]).await?)
    }
}
