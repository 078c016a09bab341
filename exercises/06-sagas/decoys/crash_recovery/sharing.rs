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

/// The id is the name: why should a checkout and a return have the same one? They have that of the
/// order. Rejected by `lease_by_name`.
pub struct LeaseByIdAlone;

impl Way for LeaseByIdAlone {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let id = name.rsplit(':').next().unwrap_or_default();
        plain.held(&format!("saga:{id}"), work).await
    }
}

/// Extends in a task of its own, which nobody ends when the caller is dropped. From then on nobody
/// drives the saga, and nobody can. Rejected by `dropped_caller`.
pub struct ExtendsInTheBackground;

impl Way for ExtendsInTheBackground {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let lease = plain.leases.acquire(name, Duration::ZERO).await.map_err(no_lease)?;
        let lease = Arc::new(lease);
        let (extended, third) = (Arc::clone(&lease), plain.options.ttl / 3);
        let extending = tokio::spawn(async move {
            loop {
                tokio::time::sleep(third).await;
                let _ = extended.extend().await;
            }
        });
        let done = tokio::select! {
            biased;
            () = lease.lost() => Err(Error::Lost),
            done = work(lease.token() as i64) => done,
        };
        extending.abort();
        done
    }
}

/// A lease four times as long need not be extended. Four times as long lies a saga whose driver is
/// dead. Rejected by `long_step`.
pub struct LongLease;

impl Way for LongLease {
    fn ttl(options: Options) -> Duration {
        options.ttl * 4
    }

    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        LeaseNotExtended::held(plain, name, work).await
    }
}

/// Draws a number of its own when it takes over, for that one is in the database anyway. It rises with
/// each that comes, also with one that comes too late. Rejected by `late_claim`.
pub struct DrawsItsOwnToken;

impl Way for DrawsItsOwnToken {
    async fn go_on<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> Result<(Outcome, bool), Error> {
        let draw = "UPDATE saga SET token = token + 1 WHERE name = $1 AND id = $2 RETURNING token";
        let row = plain.tables.row(draw, &[&at.saga, &at.id]).await?;
        let token = row.map_or(0, |row| row.get(0));
        plain.go_on::<Self, C>(saga, Place { token, ..at }).await
    }
}

/// Raises the fence and reads in one statement, which costs one round trip less. It waits for whoever
/// is just writing, and then sees what stood there before. Rejected by `claim_waits`.
pub struct RaisesAndReadsAtOnce;

impl Way for RaisesAndReadsAtOnce {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let claim = "WITH raised AS (
                       UPDATE saga SET token = $3, claims = claims + 1
                       WHERE name = $1 AND id = $2 AND token <= $3
                       RETURNING context, claims, outcome)
                     SELECT context, claims, outcome, ARRAY(
                       SELECT entry FROM saga_entry WHERE name = $1 AND id = $2 ORDER BY position)
                     FROM raised";
        let row = plain.tables.row(claim, &[&at.saga, &at.id, &at.token]).await?;
        let row = row.ok_or_else(|| fenced(at))?;
        let (outcome, entries): (Option<&str>, Vec<String>) = (row.get(2), row.get(3));
        Ok(Found {
            context: row.get(0),
            outcome: outcome.map(|word| read(&format!("\"{word}\""))).transpose()?,
            begun: row.get::<_, i32>(1) > 1,
            entries: entries.iter().map(|entry| read(entry)).collect::<Result<_, _>>()?,
        })
    }
}
