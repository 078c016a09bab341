//! Each test on each database.

use testbed::place::Place;

/// Who waits for a lock, where the database tells: `pg_locks`.
pub(crate) async fn waiting(place: &Place) -> Option<usize> {
    match place.server() {
        None => None,
        Some(postgres) => Some(postgres.waiting().await.expect("pg_locks")),
    }
}

/// Writes each test once for each database.
macro_rules! sides {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(testbed::place::Place::folder()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(testbed::place::Place::postgres().await).await;
            })*
        }
    };
}
pub(crate) use sides;
