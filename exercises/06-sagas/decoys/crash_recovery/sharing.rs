//! Mistakes in being one of several.

use super::*;

/// There is one orchestrator, so there is nobody to be kept out. Then it is deployed, and for a
/// minute there are two. Rejected by `one_driver`.
pub struct NoLease;

impl Way for NoLease {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        _: &Plain,
        _: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        work(1).await
    }
}

/// Reads each saga with its entries when it lists them, and then asks for the lease. By then another
/// has driven it to its end. Rejected by `listed_twice`.
pub struct ListedWithEntries;

impl Way for ListedWithEntries {
    async fn take_over<C: Context>(plain: &Plain, saga: &Saga<C>) -> Result<TakenOver, Error> {
        let list = "SELECT id, context, claims FROM saga WHERE name = $1 AND outcome IS NULL";
        let mut found = Vec::new();
        for row in plain.tables.rows(list, &[&saga.name]).await? {
            let (id, context): (String, String) = (row.get(0), row.get(1));
            let at = Place { saga: saga.name, id: &id, token: 0 };
            let entries = plain.entries(at).await?;
            found.push((id, context, entries, row.get::<_, i32>(2) > 0));
        }
        let mut taken = TakenOver::default();
        for (id, context, entries, begun) in found {
            let Ok(context) = read(&context) else {
                taken.failed += 1;
                continue;
            };
            let lease = lease_of(saga.name, &id);
            let driven = plain.held(&lease, |token| {
                let at = Place { saga: saga.name, id: &id, token };
                plain.drive::<Self, C>(saga, at, Arc::new(context), entries, begun)
            });
            match driven.await {
                Ok(Outcome::Parked) => taken.parked += 1,
                Ok(_) => taken.ended += 1,
                Err(Error::Driven) => taken.elsewhere += 1,
                Err(_) => taken.failed += 1,
            }
        }
        Ok(taken)
    }
}

/// A lease for as long as a saga takes, as measured: not extended. Rejected by `long_step`.
pub struct LeaseNotExtended;

impl Way for LeaseNotExtended {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let lease = plain.leases.acquire(name, Duration::ZERO).await.map_err(no_lease)?;
        tokio::select! {
            () = lease.lost() => Err(Error::Lost),
            done = work(lease.token() as i64) => done,
        }
    }
}

/// Extends the lease between two steps, and finds out there that it is lost. A step that hangs hears
/// nothing. Rejected by `lease_lost`.
pub struct DeafToLoss;

impl Way for DeafToLoss {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let lease = plain.leases.acquire(name, Duration::ZERO).await.map_err(no_lease)?;
        let extending = async {
            loop {
                tokio::time::sleep(plain.options.ttl / 3).await;
                let _ = lease.extend().await;
            }
        };
        tokio::select! {
            () = extending => Err(Error::Lost),
            done = work(lease.token() as i64) => done,
        }
    }
}

/// Has got the lease, so nobody else writes, so the journal need not compare anything: the next free
/// position is counted. It was stopped, and its successor has undone what it goes on with. Rejected
/// by `stopped_driver`.
pub struct BelievesItsLease;

impl Way for BelievesItsLease {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        _: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let append = "WITH one AS (
                        UPDATE saga SET entries = entries + 1, outcome = $5
                        WHERE name = $1 AND id = $2 RETURNING entries)
                      INSERT INTO saga_entry (name, id, position, token, entry)
                      SELECT $1, $2, entries - 1, $3, $4 FROM one";
        let (text, word) = (text(entry), stands.map(Outcome::word));
        plain.tables.rows(append, &[&at.saga, &at.id, &at.token, &text, &word]).await?;
        Ok(())
    }

    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        DeafToLoss::held(plain, name, work).await
    }
}

/// Compares tokens when it writes, and raises nothing when it takes over. Until it has written, the
/// one before it may. Rejected by `late_refusal`.
pub struct ClaimsWithoutToken;

impl Way for ClaimsWithoutToken {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let look = "SELECT token FROM saga WHERE name = $1 AND id = $2";
        let row = plain.tables.row(look, &[&at.saga, &at.id]).await?;
        let token = row.map_or(0, |row| row.get(0));
        plain.claim(Place { token, ..at }).await
    }
}

/// Looks whether it is still the one who drives, and then writes. Rejected by `late_refusal`.
pub struct LooksThenAppends;

impl Way for LooksThenAppends {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let look = "SELECT token FROM saga WHERE name = $1 AND id = $2";
        let row = plain.tables.row(look, &[&at.saga, &at.id]).await?;
        let newest = row.map_or(0, |row| row.get(0));
        if newest > at.token {
            return Err(fenced(at));
        }
        let append = "WITH one AS (
                        UPDATE saga SET entries = $3 + 1, outcome = $6
                        WHERE name = $1 AND id = $2 AND entries = $3 RETURNING 1)
                      INSERT INTO saga_entry (name, id, position, token, entry)
                      SELECT $1, $2, $3, $4, $5 FROM one RETURNING position";
        let (position, text) = (position as i32, text(entry));
        let word = stands.map(Outcome::word);
        let parameters: [&(dyn deadpool_postgres::tokio_postgres::types::ToSql + Sync); 6] =
            [&at.saga, &at.id, &position, &at.token, &text, &word];
        let row = plain.tables.row(append, &parameters).await?;
        row.map(drop).ok_or_else(|| fenced(at))
    }
}

/// Writes with the token that is the highest by now: a refusal is a race that was lost, and is tried
/// again. Rejected by `late_refusal`.
pub struct NewLeaseNewToken;

impl Way for NewLeaseNewToken {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        match plain.append(at, position, entry, stands).await {
            Err(Error::Journal(journal::Error::Fenced { .. })) => {
                let look = "SELECT token FROM saga WHERE name = $1 AND id = $2";
                let row = plain.tables.row(look, &[&at.saga, &at.id]).await?;
                let token = row.map_or(0, |row| row.get(0));
                plain.append(Place { token, ..at }, position, entry, stands).await
            }
            answer => answer,
        }
    }
}
