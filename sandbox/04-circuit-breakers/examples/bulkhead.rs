//! 04.5 · Bulkhead: one dependency stands still, and the other one's callers wait for it.
//!
//! ```console
//! $ cargo run --example bulkhead
//! ```
//!
//! Ends by itself after some six seconds.

use anyhow::Context as _;
use circuit_breakers::bulkhead::{Bulkhead, Compartment, Config, Full};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use testbed::load::{Load, Report, Zipf};
use testbed::redis::Redis;
use tokio::sync::Semaphore;

/// Who serve the requests of the shop, whatever they are about.
const WORKERS: usize = 16;
/// Requests a second, for each of the two.
const RATE: f64 = 100.0;
const TIME: Duration = Duration::from_millis(1_000);
/// For so long payment does not answer.
const STANDS: Duration = Duration::from_millis(1_200);
/// A call to payment, while all is well, takes a millisecond or less.
const SMALL: Config = Config { places: 3, queue: 2, longest_wait: Duration::from_millis(50) };

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("04.5 bulkhead · so many calls at once to each dependency");
    let seed = page::seed()?;
    let (payment, catalogue) = (testbed::redis::private().await?, testbed::redis::private().await?);
    page::note(payment.origin());
    page::note("There are two of them: one plays payment, one plays the catalogue.");
    one_stands_still(&payment, &catalogue, seed).await?;
    how_many(&catalogue, seed).await?;
    page::next(&[
        ("cargo lab start bulkhead", "write it yourself, and lose no place"),
        ("cargo run --example composition", "where it belongs among the other layers"),
    ]);
    Ok(())
}

/// A connection that waits for as long as it takes: what people have who never thought of it.
async fn connect(redis: &Redis) -> anyhow::Result<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(redis.url())?;
    let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
    connection.context("no connection to Redis")
}

async fn get(mut connection: MultiplexedConnection, key: usize) -> anyhow::Result<()> {
    let _: Option<String> =
        cmd("GET").arg(format!("row:{key}")).query_async(&mut connection).await?;
    Ok(())
}

fn load(seed: u64, rate: f64) -> Load {
    Load { rate, duration: TIME, seed, keys: Zipf::new(250, 0.0) }
}

/// What became of one run.
struct Both {
    payment: Report,
    catalogue: Report,
    /// Answers of the catalogue while payment stood still.
    meanwhile: u64,
    refused: u64,
    /// Workers that payment had at once.
    held: usize,
}

/// Part 1: two dependencies, one pool of workers.
async fn one_stands_still(payment: &Redis, catalogue: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(1, "Payment stands still, and the catalogue is well");
    page::note(format_args!("{WORKERS} workers serve both; {RATE:.0} requests a second for each."));
    page::note("Payment is stopped (SIGSTOP) for 1.2 s, from the first request on.");
    let without = both(payment, catalogue, None, seed).await?;
    let bulkhead = Arc::new(Compartment::new(SMALL));
    let with = both(payment, catalogue, Some(bulkhead), seed).await?;

    page::heads(&["no bulkhead", "bulkhead"]);
    let row = |what: &str, told: &dyn Fn(&Both) -> String, ratio: &str| {
        page::row(what, told(&without), &[told(&with)], ratio);
    };
    row("catalogue: asked", &|both| page::count(both.catalogue.offered), "");
    row("catalogue: answered meanwhile", &|both| page::count(both.meanwhile), "");
    row("catalogue: half waited at most", &|both| page::millis(both.catalogue.p50()), "");
    let ratio = without.catalogue.p99().as_secs_f64() / with.catalogue.p99().as_secs_f64();
    let ratio = format!("÷ {ratio:.0}");
    row("catalogue: 99 of 100", &|both| page::millis(both.catalogue.p99()), &ratio);
    row("payment: most workers at once", &|both| page::count(both.held as u64), "");
    row("payment: refused", &|both| page::count(both.refused), "");
    row("payment: answered late", &|both| page::count(both.payment.ok), "");
    page::note(format_args!(
        "Behind the bulkhead payment has {} places and {} who may wait, for 50 ms. Who",
        SMALL.places, SMALL.queue
    ));
    page::note("waits there still has a worker: a queue is part of what may be stuck.");
    Ok(())
}

async fn both(
    payment: &Redis,
    catalogue: &Redis,
    bulkhead: Option<Arc<Compartment>>,
    seed: u64,
) -> anyhow::Result<Both> {
    let workers = Arc::new(Semaphore::new(WORKERS));
    let (stands, is_well) = (connect(payment).await?, connect(catalogue).await?);
    let standing = Arc::new(AtomicBool::new(true));
    let (meanwhile, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

    payment.stop_process().await?;
    let (payments, reads) = (load(seed, RATE), load(seed + 1, RATE));
    let to_payment = payments.run(|arrival| {
        let (workers, stands, bulkhead) = (workers.clone(), stands.clone(), bulkhead.clone());
        let (refused, held, most) = (refused.clone(), held.clone(), most.clone());
        async move {
            let _worker = workers.acquire().await?;
            most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let answer = match bulkhead {
                Some(bulkhead) => bulkhead.call(get(stands, arrival.key)).await,
                None => Ok(get(stands, arrival.key).await),
            };
            held.fetch_sub(1, Ordering::SeqCst);
            refused.fetch_add(u64::from(answer.is_err()), Ordering::SeqCst);
            answer?
        }
    });
    let to_catalogue = reads.run(|arrival| {
        let (workers, is_well) = (workers.clone(), is_well.clone());
        let (standing, meanwhile) = (standing.clone(), meanwhile.clone());
        async move {
            let _worker = workers.acquire().await?;
            let answer = get(is_well, arrival.key).await;
            let in_time = answer.is_ok() && standing.load(Ordering::SeqCst);
            meanwhile.fetch_add(u64::from(in_time), Ordering::SeqCst);
            answer
        }
    });
    let goes_on = async {
        tokio::time::sleep(STANDS).await;
        standing.store(false, Ordering::SeqCst);
        payment.continue_process().await
    };
    let (payment, catalogue, goes_on) = tokio::join!(to_payment, to_catalogue, goes_on);
    goes_on?;
    Ok(Both {
        payment,
        catalogue,
        meanwhile: meanwhile.load(Ordering::SeqCst),
        refused: refused.load(Ordering::SeqCst),
        held: most.load(Ordering::SeqCst),
    })
}

/// What became of the calls behind so many places.
struct Told {
    answered: u64,
    refused: u64,
    most: usize,
    p99: Duration,
}

/// Part 2: Little's law, and what comes of less and of more.
async fn how_many(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    const WORK: Duration = Duration::from_millis(20);
    const EACH_SECOND: f64 = 200.0;
    const PLACES: [usize; 3] = [2, 5, 10];
    page::part(2, "How many places?");
    page::note("200 calls a second of some 20 ms: by Little's law 4 are inside, on average.");
    let connection = connect(redis).await?;
    let mut told = Vec::new();
    for places in PLACES {
        let longest_wait = Duration::from_millis(100);
        let bulkhead = Arc::new(Compartment::new(Config { places, queue: 2, longest_wait }));
        let (refused, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let calls = load(seed, EACH_SECOND);
        let report = calls.run(|arrival| {
            let (bulkhead, connection) = (bulkhead.clone(), connection.clone());
            let (refused, most) = (refused.clone(), most.clone());
            async move {
                let work = async {
                    most.fetch_max(bulkhead.counts().inside, Ordering::SeqCst);
                    tokio::time::sleep(WORK).await;
                    get(connection, arrival.key).await
                };
                let answer = bulkhead.call(work).await;
                refused.fetch_add(u64::from(matches!(answer, Err(Full::Queue))), Ordering::SeqCst);
                answer?
            }
        });
        let report = report.await;
        let (refused, most) = (refused.load(Ordering::SeqCst), most.load(Ordering::SeqCst));
        told.push(Told { answered: report.ok, refused, most, p99: report.p99() });
    }
    page::heads(&["2 places", "5 places", "10 places"]);
    let row = |what: &str, cell: &dyn Fn(&Told) -> String| {
        page::row(what, cell(&told[0]), &[cell(&told[1]), cell(&told[2])], "");
    };
    row("answered, of 200", &|told| page::count(told.answered));
    row("refused at once", &|told| page::count(told.refused));
    row("inside at most", &|told| page::count(told.most as u64));
    row("99 of 100 waited at most", &|told| page::millis(told.p99));
    page::note("Too few refuse those who could be served. More than are used cost nothing,");
    page::note("until the day on which all of them are stuck.");
    Ok(())
}
