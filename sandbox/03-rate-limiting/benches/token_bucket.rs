//! What a decision of the token bucket costs, beside a raw `GET` and beside GCRA.
//!
//! ```console
//! $ cargo bench -p rate_limiting --bench token_bucket
//! ```
//!
//! One thread, one decision at a time: the times are those of a round trip.

use criterion::Criterion;
use rate_limiting::connection;
use rate_limiting::gcra::Gcra;
use rate_limiting::limiter::{Limiter, Options, Quota};
use rate_limiting::token_bucket::TokenBucket;
use redis::AsyncCommands;
use std::time::Duration;
use testbed::ratios::{self, Ratios};

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    // Nothing is to be refused or given up for lost while it is measured.
    let options = Options { timeout: Duration::from_secs(5), ..Options::default() };
    let quota = Quota::new(u32::MAX, Duration::from_micros(1))?;
    let connection = runtime.block_on(async { connection::open(redis.url(), options.timeout) })?;
    let bucket = TokenBucket::on(connection.clone(), quota, options.clone());
    let gcra = Gcra::on(connection.clone(), quota, options);

    let get = async || {
        let stored: Option<String> =
            connection.clone().get("a string").await.expect("Redis answers");
        assert!(stored.is_some());
    };
    let bucket = async || assert!(bucket.decide("a bucket", 1).await.allowed);
    let gcra = async || assert!(gcra.decide("a TAT", 1).await.allowed);
    runtime.block_on(async {
        let set = connection.clone().set("a string", "1790000000123456").await;
        set.map(|()| drop((bucket(), gcra())))
    })?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("token_bucket");
    group.bench_function("raw GET", |b| b.to_async(&runtime).iter(get));
    group.bench_function("decision", |b| b.to_async(&runtime).iter(bucket));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let ratios = Ratios::of("token_bucket");
            ratios.compare("decision / raw GET", get, bucket).await;
            ratios.compare("decision / decision by GCRA", gcra, bucket).await;
            ratios.end();
        });
    }
    Ok(())
}
