//! Where a test's database is.

use tempfile::TempDir;
use testbed::postgres::Postgres;

/// A place for one test's database, with what keeps it there.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Place {
    pub(crate) async fn sqlite() -> Place {
        Place::Sqlite(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) async fn postgres() -> Place {
        match testbed::postgres::private().await {
            Ok(postgres) => Place::Postgres(postgres),
            Err(missing) => panic!("{missing}"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Place::Sqlite(folder) => format!("sqlite://{}", folder.path().display()),
            Place::Postgres(postgres) => postgres.url().to_owned(),
        }
    }

    /// Who waits for a lock, where the database tells: `pg_locks`.
    pub(crate) async fn waiting(&self) -> Option<usize> {
        match self {
            Place::Sqlite(_) => None,
            Place::Postgres(postgres) => Some(postgres.waiting().await.expect("pg_locks")),
        }
    }
}

/// Writes each test once for each database.
macro_rules! sides {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::place::Place::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::place::Place::postgres().await).await;
            })*
        }
    };
}
pub(crate) use sides;
