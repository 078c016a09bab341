//! Bringing a database up to date, by sqlx's own bookkeeping: each migration runs once, in order,
//! and one that was changed after it ran is noticed by its checksum.

use std::borrow::Cow;
use std::path::PathBuf;

use sqlx::AnyPool;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};

use crate::Error;
use crate::open::take;

/// A change of the schema. Never edit one that has landed; add the next.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: i64,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Statements, separated by `;`, that both sides understand.
    pub sql: &'static str,
}

pub(crate) async fn run(
    pool: &AnyPool,
    name: &str,
    migrations: &[Migration],
    lock: Option<PathBuf>,
) -> Result<(), Error> {
    let migrations: Vec<_> = migrations
        .iter()
        .map(|migration| {
            sqlx::migrate::Migration::new(
                migration.version,
                Cow::Borrowed(migration.description),
                MigrationType::Simple,
                Cow::Borrowed(migration.sql),
                false,
            )
        })
        .collect();
    let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
    let failed = |cause| Error::Migration { name: name.to_owned(), cause };
    // PostgreSQL has an advisory lock for this, which the migrator takes. On a thread: another
    // process may hold the file's lock for as long as it migrates.
    let waited = tokio::task::spawn_blocking(move || lock.map(|lock| take(&lock)).transpose());
    let _lock = match waited.await {
        Ok(Ok(lock)) => lock,
        Ok(Err(error)) => return Err(failed(MigrateError::Execute(sqlx::Error::Io(error)))),
        Err(lost) => {
            let lost = std::io::Error::other(lost);
            return Err(failed(MigrateError::Execute(sqlx::Error::Io(lost))));
        }
    };
    migrator.run(pool).await.map_err(failed)
}
