//! One suite, both sides: what a service may rely on, whichever database it has.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use shop_storage::sqlx::{self, Row};
use shop_storage::{Database, Error, Migration, Options};
use testbed::place::Place;
use testbed::together;

const STOCK: &[Migration] = &[Migration {
    version: 1,
    description: "stock",
    sql: "CREATE TABLE stock (
            product TEXT PRIMARY KEY,
            available BIGINT NOT NULL CHECK (available >= 0)
          );
          CREATE TABLE holds (
            product TEXT NOT NULL REFERENCES stock (product),
            held BIGINT NOT NULL
          )",
}];

async fn open(place: &Place) -> Database {
    open_with(place, Options::default()).await
}

async fn open_with(place: &Place, options: Options) -> Database {
    Database::open(place.url(), "inventory", STOCK, options).await.expect("a database")
}

/// Writes each test once for each side.
macro_rules! sides {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Place::folder()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Place::postgres().await).await;
            })*
        }
    };
}

sides! {
    a_change_is_there_after_its_commit
    a_change_that_is_dropped_did_not_happen
    a_begin_that_is_dropped_leaves_nothing_open
    a_name_that_is_taken_is_told_apart
    the_database_guards_its_own_rules
    migrations_run_once_also_when_many_open_at_once
    a_changed_migration_is_refused
    who_waits_for_a_lock_gets_an_end
    conditional_updates_of_one_row_never_oversell
    every_integer_and_every_text_comes_back_as_it_was
    sums_and_counts_are_integers
    two_services_in_one_place_do_not_meet
    reads_are_counted
    how_full_it_is_can_be_asked
    closing_waits_for_what_is_under_way
}

async fn put(database: &Database, product: &str, available: i64) -> Result<(), Error> {
    let mut change = database.begin().await?;
    sqlx::query("INSERT INTO stock (product, available) VALUES ($1, $2)")
        .bind(product)
        .bind(available)
        .execute(&mut *change)
        .await?;
    change.commit().await?;
    Ok(())
}

async fn available(database: &Database, product: &str) -> Option<i64> {
    sqlx::query_scalar("SELECT available FROM stock WHERE product = $1")
        .bind(product)
        .fetch_optional(database.reader())
        .await
        .expect("an answer")
}

async fn how_full_it_is_can_be_asked(place: Place) {
    let one = Options { connections: 1, ..Options::default() };
    let database = open_with(&place, one).await;
    let writing = |database: &Database| {
        let pools = database.full();
        let pool = pools.iter().find(|full| matches!(full.pool, "write" | "all")).expect("a pool");
        (pool.in_use, pool.most)
    };
    // A connection comes back to its pool in a task of sqlx's own.
    until("nobody works", || writing(&database) == (0, 1)).await;
    let change = database.begin().await.expect("a turn");
    assert_eq!((writing(&database), database.waiting()), ((1, 1), 0));
    let another = database.clone();
    let waits = tokio::spawn(async move { another.begin().await.map(drop) });
    until("the second one waits", || database.waiting() == 1).await;
    drop(change);
    waits.await.expect("no panic").expect("its turn");
    until("nobody works any more", || writing(&database) == (0, 1)).await;
    assert_eq!(database.waiting(), 0);
}

/// Waits until it holds, but not without end.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

async fn a_change_is_there_after_its_commit(place: Place) {
    let database = open(&place).await;
    put(&database, "tea", 7).await.expect("room for tea");
    assert_eq!(available(&database, "tea").await, Some(7));
    database.close().await;
    assert_eq!(available(&open(&place).await, "tea").await, Some(7), "after opening it again");
}

async fn a_change_that_is_dropped_did_not_happen(place: Place) {
    let database = open(&place).await;
    put(&database, "tea", 7).await.expect("room for tea");
    let mut change = database.begin().await.expect("a turn");
    sqlx::query("UPDATE stock SET available = 0").execute(&mut *change).await.expect("an update");
    drop(change);
    assert_eq!(available(&database, "tea").await, Some(7));
    put(&database, "milk", 1).await.expect("the turn is free again");
}

async fn a_begin_that_is_dropped_leaves_nothing_open(place: Place) {
    let one = Options { connections: 1, ..Options::default() };
    let database = open_with(&place, one).await;
    for polls in (0..10_usize).cycle().take(500) {
        let mut begin = pin!(database.begin());
        let mut left = polls;
        poll_fn(|context| match left.checked_sub(1) {
            None => Poll::Ready(()),
            Some(fewer) => {
                left = fewer;
                begin.as_mut().poll(context).map(drop)
            }
        })
        .await;
    }
    put(&database, "tea", 7).await.expect("the turn is free");
}

async fn a_name_that_is_taken_is_told_apart(place: Place) {
    let database = open(&place).await;
    put(&database, "tea", 7).await.expect("room for tea");
    let again = put(&database, "tea", 8).await.expect_err("tea is there");
    assert!(matches!(again, Error::Taken(_)), "{again:?}");
    assert_eq!(available(&database, "tea").await, Some(7));
}

async fn the_database_guards_its_own_rules(place: Place) {
    let database = open(&place).await;
    let negative = put(&database, "tea", -1).await.expect_err("a check");
    assert!(matches!(negative, Error::Rule(_)), "{negative:?}");
    let mut change = database.begin().await.expect("a turn");
    let orphan = sqlx::query("INSERT INTO holds (product, held) VALUES ('ghost', 1)")
        .execute(&mut *change)
        .await
        .map_err(Error::from)
        .expect_err("a foreign key");
    assert!(matches!(orphan, Error::Rule(_)), "{orphan:?}");
}

async fn migrations_run_once_also_when_many_open_at_once(place: Place) {
    let opening = (0..4).map(|_| {
        let url = place.url().to_owned();
        async move { Database::open(&url, "inventory", STOCK, Options::default()).await }
    });
    for (number, database) in together(opening).await.into_iter().enumerate() {
        let database = database.expect("a database");
        put(&database, &format!("tea {number}"), 1).await.expect("a table");
    }
}

async fn a_changed_migration_is_refused(place: Place) {
    open(&place).await.close().await;
    let changed = [Migration { sql: "CREATE TABLE other (a BIGINT)", ..STOCK[0] }];
    let refused = Database::open(place.url(), "inventory", &changed, Options::default())
        .await
        .expect_err("another schema");
    assert!(matches!(refused, Error::Migration { .. }), "{refused:?}");
}

async fn who_waits_for_a_lock_gets_an_end(place: Place) {
    let patience = Duration::from_millis(200);
    let database = open_with(&place, Options { patience, ..Options::default() }).await;
    put(&database, "tea", 7).await.expect("room for tea");
    let other = open_with(&place, Options { patience, ..Options::default() }).await;
    let mut holder = database.begin().await.expect("a turn");
    let lock =
        format!("SELECT available FROM stock WHERE product = 'tea'{}", database.for_update());
    sqlx::query(&lock).fetch_one(&mut *holder).await.expect("a row");
    // One in the same process, one as if in another.
    for waiting in [&database, &other] {
        let refused = async {
            let mut change = waiting.begin().await?;
            sqlx::query(&lock).fetch_one(&mut *change).await?;
            Ok::<_, Error>(())
        };
        let refused = refused.await.expect_err("the row is locked");
        assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
    }
    assert_eq!(available(&database, "tea").await, Some(7), "readers do not wait");
    holder.rollback().await.expect("an end");
    put(&other, "milk", 1).await.expect("the turn is free again");
}

async fn conditional_updates_of_one_row_never_oversell(place: Place) {
    let database = open(&place).await;
    put(&database, "tea", 20).await.expect("room for tea");
    let buying = (0..40).map(|_| {
        let database = database.clone();
        async move {
            let mut change = database.begin().await.expect("a turn");
            let sold = sqlx::query(
                "UPDATE stock SET available = available - 1
                 WHERE product = 'tea' AND available >= 1",
            )
            .execute(&mut *change)
            .await
            .expect("an update");
            change.commit().await.expect("a commit");
            sold.rows_affected()
        }
    });
    let sold: u64 = together(buying).await.into_iter().sum();
    assert_eq!((sold, available(&database, "tea").await), (20, Some(0)));
}

async fn every_integer_and_every_text_comes_back_as_it_was(place: Place) {
    let database = open(&place).await;
    for (text, number) in [("", 0), ("Käse 🧀 'quoted' \\ \"", i64::MAX), ("a\nb\tc", 1 << 53)] {
        put(&database, text, number).await.expect("room");
        let row = sqlx::query("SELECT product, available FROM stock WHERE product = $1")
            .bind(text)
            .fetch_one(database.reader())
            .await
            .expect("the row");
        assert_eq!((row.get::<String, _>(0), row.get::<i64, _>(1)), (text.to_owned(), number));
    }
}

async fn sums_and_counts_are_integers(place: Place) {
    let database = open(&place).await;
    let totals = || {
        sqlx::query_as::<_, (i64, i64, i64)>(
            "SELECT COUNT(*), CAST(COALESCE(SUM(available), 0) AS BIGINT),
                    COALESCE(MIN(available), 0) FROM stock",
        )
        .fetch_one(database.reader())
    };
    assert_eq!(totals().await.expect("an empty table has totals"), (0, 0, 0));
    put(&database, "tea", 7).await.expect("room");
    put(&database, "milk", 5).await.expect("room");
    assert_eq!(totals().await.expect("totals"), (2, 12, 5));
}

async fn two_services_in_one_place_do_not_meet(place: Place) {
    let inventory = open(&place).await;
    put(&inventory, "tea", 7).await.expect("room");
    let other = Database::open(place.url(), "orders", STOCK, Options::default()).await;
    assert_eq!(available(&other.expect("a database"), "tea").await, None);
}

async fn reads_are_counted(place: Place) {
    let database = open(&place).await;
    for _ in 0..3 {
        available(&database, "tea").await;
    }
    assert_eq!(database.reads(), 3);
}

/// Some connections are at work and some are idle: this is where sqlx alone would not wait.
async fn closing_waits_for_what_is_under_way(place: Place) {
    let database = open(&place).await;
    put(&database, "tea", 7).await.expect("room for tea");
    let pool = database.reader();
    let idle = [pool.acquire().await, pool.acquire().await, pool.acquire().await];
    drop(idle);
    while pool.num_idle() < 3 {
        tokio::task::yield_now().await;
    }
    let mut question = pool.acquire().await.expect("a connection");
    let mut change = database.begin().await.expect("a turn");
    sqlx::query("UPDATE stock SET available = 6").execute(&mut *change).await.expect("an update");

    let order = Mutex::new(Vec::new());
    let closing = async {
        database.close().await;
        order.lock().expect("whole").push("closed");
    };
    let working = async {
        while database.begin().await.is_ok() {}
        // It is closing. Long enough for one that does not wait to come to its end.
        tokio::time::sleep(Duration::from_millis(100)).await;
        change.commit().await.expect("a commit");
        order.lock().expect("whole").push("changed");
        tokio::time::sleep(Duration::from_millis(100)).await;
        sqlx::query("SELECT 1").execute(&mut *question).await.expect("an answer");
        order.lock().expect("whole").push("asked");
        drop(question);
    };
    tokio::join!(closing, working);
    assert_eq!(*order.lock().expect("whole"), ["changed", "asked", "closed"]);
    assert_eq!(database.reader().size(), 0, "nobody is connected any more");
    assert_eq!(available(&open(&place).await, "tea").await, Some(6));
}

#[tokio::test]
async fn a_place_that_is_none_says_what_would_be_one() {
    let refused = Database::open("mysql://me:secret@host/db", "orders", &[], Options::default());
    let told = refused.await.expect_err("no place").to_string();
    assert!(told.contains("sqlite://FOLDER") && !told.contains("secret"), "{told}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_why() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let url = format!("sqlite://{}/below", file.path().display());
    let refused = Database::open(&url, "orders", &[], Options::default()).await;
    assert!(matches!(refused, Err(Error::Place { .. })), "{refused:?}");
}
