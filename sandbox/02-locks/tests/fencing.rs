//! What of the fence the exercise's checks do not ask: its errors, and a server that comes and goes.

use locks::fencing::{Error, FencedStock, Options, PgStock, SCHEMA};
use locks::lease::{self, Held};
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};

/// A lease that is nothing but its token.
struct Paper(u64);

impl Held for Paper {
    fn token(&self) -> u64 {
        self.0
    }

    async fn extend(&self) -> Result<(), lease::Error> {
        Ok(())
    }

    async fn lost(&self) {
        std::future::pending::<()>().await;
    }

    async fn release(self) -> Result<(), lease::Error> {
        Ok(())
    }
}

/// Ten units of `pen`.
async fn ten_pens(postgres: &Postgres) {
    let target = Target::read(postgres.url()).expect("a URL");
    let fill = move || {
        let mut session = Session::open(&target, Duration::from_secs(10))?;
        session.query(SCHEMA)?;
        session.query("INSERT INTO fenced_stock (product, units) VALUES ('pen', 10)").map(drop)
    };
    tokio::task::spawn_blocking(fill).await.expect("no panic").expect("PostgreSQL is up");
}

fn stock(postgres: &Postgres) -> PgStock {
    PgStock::open(postgres.url(), Options::default()).expect("a URL")
}

#[tokio::test]
async fn a_refusal_says_by_whom() {
    let postgres = testbed::postgres::private().await.unwrap();
    ten_pens(&postgres).await;
    let stock = stock(&postgres);
    let (old, new) = (Paper(7), Paper(8));
    assert_eq!(stock.read("pen", &old).await.unwrap(), 10);
    assert_eq!(stock.read("pen", &old).await.unwrap(), 10, "as often as one likes");
    assert_eq!(stock.read("pen", &new).await.unwrap(), 10);
    let refused = stock.write("pen", 9, &old).await.unwrap_err();
    assert_eq!(refused.to_string(), "token 7 is refused: 8 has been here");
    stock.write("pen", 9, &new).await.unwrap();
    assert_eq!(stock.read("pen", &new).await.unwrap(), 9, "its own write");
    let again = stock.write("pen", 8, &new).await.unwrap_err();
    assert!(matches!(again, Error::Fenced { token: 8, newest: 8 }), "{again}");
    let refused = stock.read("pen", &old).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { token: 7, newest: 8 }), "{refused}");
    assert_eq!(stock.read("pen", &Paper(9)).await.unwrap(), 9);
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let postgres = testbed::postgres::private().await.unwrap();
    let stock = stock(&postgres);
    let no_table = stock.read("pen", &Paper(1)).await.unwrap_err().to_string();
    assert!(no_table.contains("fenced_stock"), "{no_table}");
    ten_pens(&postgres).await;
    let unknown = stock.write("ink", 1, &Paper(1)).await.unwrap_err();
    assert!(matches!(unknown, Error::NoSuchProduct), "{unknown}");
    // Of tokens that no column can hold the first may write, and no other.
    stock.write("pen", 9, &Paper(u64::MAX - 1)).await.unwrap();
    let again = stock.write("pen", 8, &Paper(u64::MAX)).await.unwrap_err();
    assert!(matches!(again, Error::Fenced { .. }), "{again}");
    assert!(PgStock::open("no URL at all", Options::default()).is_err());
}

#[tokio::test]
async fn a_server_that_hangs_or_restarts_is_an_error_in_time_and_then_works_again() {
    let postgres = testbed::postgres::process().await.unwrap();
    ten_pens(&postgres).await;
    let options = Options { timeout: Duration::from_millis(300) };
    let stock = PgStock::open(postgres.url(), options).unwrap();
    stock.read("pen", &Paper(1)).await.unwrap();

    postgres.stop_process().await.unwrap();
    let began = Instant::now();
    for _ in 0..2 {
        assert!(stock.write("pen", 9, &Paper(2)).await.is_err());
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?} for two errors");
    postgres.continue_process().await.unwrap();
    // What was on its way may have been carried out: the same write may be tried again, and is done
    // once.
    let soon = Instant::now() + Duration::from_secs(10);
    loop {
        match stock.write("pen", 9, &Paper(2)).await {
            Ok(()) | Err(Error::Fenced { token: 2, newest: 2 }) => break,
            Err(error) => assert!(Instant::now() < soon, "{error}"),
        }
    }
    postgres.restart().await.unwrap();
    while let Err(error) = stock.read("pen", &Paper(3)).await {
        assert!(Instant::now() < soon, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stock.read("pen", &Paper(3)).await.unwrap(), 9);
}
