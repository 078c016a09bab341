//! Wrong answers in PostgreSQL.

use super::*;
use deadpool_postgres::tokio_postgres::{Config, NoTls};
use deadpool_postgres::{GenericClient, Manager, Object, Pool, Runtime};
use std::time::Duration;

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        SelectThenUpdate: last_units,
        Clamped: last_units,
        LeansOnTheCheck: answers,
        SerializableOnce: last_units,
        SaleNotRecorded: same_order,
        SaleInItsOwnTransaction: lost_answer,
        BeginByHand: dropped_caller,
        CommitsTheRefusal: clean_connection,
        WaitsForTheRow: stalls,
    ]
}

in_place_of!(UpdateStock: SelectThenUpdate, Clamped, LeansOnTheCheck, SerializableOnce,
    SaleNotRecorded, SaleInItsOwnTransaction, BeginByHand, CommitsTheRefusal, WaitsForTheRow);

const SALE: &str = "INSERT INTO sale (product, order_id, units) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING";
const TAKE: &str = "UPDATE stock SET units = units - $2 WHERE product = $1 AND units >= $2";

/// What they have in common.
struct OnPostgres {
    pool: Pool,
    right: UpdateStock,
}

impl OnPostgres {
    fn open(url: &str, options: Options) -> Result<OnPostgres, Error> {
        OnPostgres::limited(url, options, options.timeout)
    }

    fn limited(url: &str, options: Options, limit: Duration) -> Result<OnPostgres, Error> {
        let mut config: Config = url.parse()?;
        config.options(format!("-c statement_timeout={}", limit.as_millis()));
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(options.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limit))
            .build()
            .expect("a runtime for the timeouts is given");
        Ok(OnPostgres { pool, right: UpdateStock::open(url, options)? })
    }

    async fn connect(&self) -> Result<Object, Error> {
        Ok(self.pool.get().await?)
    }
}

macro_rules! stock_on_postgres {
    ($($decoy:ident),+) => {$(
        struct $decoy {
            on: OnPostgres,
            right: UpdateStock,
        }

        impl $decoy {
            fn make(url: &str, options: Options) -> Result<Self, Error> {
                OnPostgres::open(url, options).map(|on| $decoy { right: on.right.clone(), on })
            }
        }
    )+};
}

/// What is left of a product, if it is known.
async fn left(client: &impl GenericClient, product: &str) -> Result<Option<i64>, Error> {
    let row = client.query_opt("SELECT units FROM stock WHERE product = $1", &[&product]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// What the order has, if it is known.
async fn had(
    client: &impl GenericClient,
    product: &str,
    order: &str,
) -> Result<Option<Answer>, Error> {
    let read = "SELECT units FROM sale WHERE product = $1 AND order_id = $2";
    let row = client.query_opt(read, &[&product, &order]).await?;
    Ok(row.map(|row| Answer::Taken(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))))
}

/// Why nothing could be taken.
async fn refusal(client: &impl GenericClient, product: &str) -> Result<Answer, Error> {
    let known = left(client, product).await?.is_some();
    Ok(if known { Answer::SoldOut } else { Answer::Unknown })
}

stock_on_postgres!(
    SelectThenUpdate,
    Clamped,
    LeansOnTheCheck,
    SerializableOnce,
    SaleNotRecorded,
    SaleInItsOwnTransaction,
    BeginByHand,
    CommitsTheRefusal
);

/// SELECT, compare, UPDATE to what is left, all in one transaction. A transaction does not make two
/// statements one: under READ COMMITTED the second writes what the first read. The CHECK has
/// nothing to say against it. Rejected by `last_units`.
impl Stock for SelectThenUpdate {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let change = client.transaction().await?;
        if change.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            return Ok(had(&change, product, order).await?.unwrap_or(Answer::Unknown));
        }
        let Some(there) = left(&change, product).await? else { return Ok(Answer::Unknown) };
        if there < wanted {
            return Ok(Answer::SoldOut);
        }
        let set = "UPDATE stock SET units = $2 WHERE product = $1";
        change.execute(set, &[&product, &(there - wanted)]).await?;
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
}

/// Looks first, and then takes what is there, at least nothing: the stock never goes below zero,
/// and more is sold than there was. Rejected by `last_units`.
impl Stock for Clamped {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let change = client.transaction().await?;
        if change.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            return Ok(had(&change, product, order).await?.unwrap_or(Answer::Unknown));
        }
        match left(&change, product).await? {
            None => return Ok(Answer::Unknown),
            Some(there) if there < wanted => return Ok(Answer::SoldOut),
            Some(_) => {}
        }
        let set = "UPDATE stock SET units = GREATEST(units - $2, 0) WHERE product = $1";
        change.execute(set, &[&product, &wanted]).await?;
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
}

/// Takes without a condition and leaves it to the table's CHECK. Nothing is oversold; but "sold
/// out" is now an error like any other, and callers ask again. Rejected by `answers`.
impl Stock for LeansOnTheCheck {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let change = client.transaction().await?;
        if change.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            return Ok(had(&change, product, order).await?.unwrap_or(Answer::Unknown));
        }
        let take = "UPDATE stock SET units = units - $2 WHERE product = $1";
        if change.execute(take, &[&product, &wanted]).await? == 0 {
            return Ok(Answer::Unknown);
        }
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
}

/// The strictest isolation there is, and no second attempt. PostgreSQL keeps its word by refusing
/// whoever came second, and expects him to come again. Rejected by `last_units`.
impl Stock for SerializableOnce {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        use deadpool_postgres::tokio_postgres::IsolationLevel;
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let begin = client.build_transaction().isolation_level(IsolationLevel::Serializable);
        let change = begin.start().await?;
        if let Some(had) = had(&change, product, order).await? {
            return Ok(had);
        }
        let Some(there) = left(&change, product).await? else { return Ok(Answer::Unknown) };
        if there < wanted {
            return Ok(Answer::SoldOut);
        }
        let set = "UPDATE stock SET units = $2 WHERE product = $1";
        change.execute(set, &[&product, &(there - wanted)]).await?;
        change.execute(SALE, &[&product, &order, &wanted]).await?;
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
}

/// One statement takes, and nobody remembers for whom. Rejected by `same_order`.
impl Stock for SaleNotRecorded {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, _: &str, units: u32) -> Result<Answer, Error> {
        let client = self.on.connect().await?;
        if client.execute(TAKE, &[&product, &i64::from(units)]).await? == 0 {
            return refusal(&client, product).await;
        }
        Ok(Answer::Taken(units))
    }
}

/// Takes, and then writes down for whom, each a transaction of its own. Whoever dies in between has
/// taken units that no order has. Rejected by `lost_answer`.
impl Stock for SaleInItsOwnTransaction {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let client = self.on.connect().await?;
        if let Some(had) = had(&client, product, order).await? {
            return Ok(had);
        }
        if client.execute(TAKE, &[&product, &wanted]).await? == 0 {
            return refusal(&client, product).await;
        }
        client.execute(SALE, &[&product, &order, &wanted]).await?;
        Ok(Answer::Taken(units))
    }
}

/// BEGIN and COMMIT as words, with a ROLLBACK on each way out but one: a caller that is dropped
/// takes none of them. The pool gives the open transaction to the next, who commits half of a
/// sale that is not his. Rejected by `dropped_caller`.
impl Stock for BeginByHand {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let client = self.on.connect().await?;
        client.batch_execute("BEGIN").await?;
        let answer = self.sell(&client, (product, order, units)).await;
        let end = if matches!(answer, Ok((_, true))) { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await?;
        Ok(answer?.0)
    }
}

impl BeginByHand {
    /// The answer, and whether there is something to commit.
    async fn sell(
        &self,
        client: &Object,
        (product, order, units): (&str, &str, u32),
    ) -> Result<(Answer, bool), Error> {
        let wanted = i64::from(units);
        if client.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            let had = had(client, product, order).await?;
            return Ok((had.unwrap_or(Answer::Unknown), false));
        }
        if client.execute(TAKE, &[&product, &wanted]).await? == 0 {
            return Ok((refusal(client, product).await?, false));
        }
        Ok((Answer::Taken(units), true))
    }
}

/// Commits on every way out. The order's row is written first, and stays where nothing was taken:
/// asked again, the customer is told that he has what he was refused. Rejected by
/// `clean_connection`.
impl Stock for CommitsTheRefusal {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let change = client.transaction().await?;
        let answer = if change.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            had(&change, product, order).await?.unwrap_or(Answer::Unknown)
        } else if change.execute(TAKE, &[&product, &wanted]).await? == 0 {
            refusal(&change, product).await?
        } else {
            Answer::Taken(units)
        };
        change.commit().await?;
        Ok(answer)
    }
}

/// Waits for the row for as long as it takes. One session that holds it and does not go on, and
/// all connections of the pool wait with it. Rejected by `stalls`.
struct WaitsForTheRow {
    on: OnPostgres,
    right: UpdateStock,
}

impl WaitsForTheRow {
    fn make(url: &str, options: Options) -> Result<Self, Error> {
        let on = OnPostgres::limited(url, options, Duration::from_secs(3_600))?;
        Ok(WaitsForTheRow { right: on.right.clone(), on })
    }
}

impl Stock for WaitsForTheRow {
    all_but_take!(UpdateStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        let mut client = self.on.connect().await?;
        let change = client.transaction().await?;
        if change.execute(SALE, &[&product, &order, &wanted]).await? == 0 {
            return Ok(had(&change, product, order).await?.unwrap_or(Answer::Unknown));
        }
        if change.execute(TAKE, &[&product, &wanted]).await? == 0 {
            return refusal(&change, product).await;
        }
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
}
