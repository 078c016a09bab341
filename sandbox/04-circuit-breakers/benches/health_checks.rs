//! What a probe costs, and what it costs to be counted, beside a round trip to Redis.
//!
//! ```console
//! $ cargo bench -p circuit_breakers --bench health_checks
//! ```
//!
//! After criterion's own figures come the ratios of this run. It fails if a probe that finds a
//! fresh report costs more than a tenth of the question that it saves, or if one that has to ask
//! costs more than one and a half of them.

use circuit_breakers::health_checks::{Config, Dependency, Health, Vitals};
use criterion::Criterion;
use redis::aio::MultiplexedConnection;
use std::hint::black_box;
use std::time::Duration;
use testbed::ratios::{self, Ratios};

async fn ping(mut connection: MultiplexedConnection) {
    let answer = redis::cmd("PING").query_async::<String>(&mut connection).await;
    black_box(answer.expect("Redis is there"));
}

/// Of a service that asks Redis, and whose reports are good for so long.
fn health(connection: &MultiplexedConnection, fresh_for: Duration) -> Vitals {
    let connection = connection.clone();
    let redis = Dependency::critical("redis", move || {
        let connection = connection.clone();
        async {
            ping(connection).await;
            Ok(())
        }
    });
    let health = Vitals::new(Config { timeout: Duration::from_secs(5), fresh_for }, vec![redis]);
    health.started();
    health
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let client = redis::Client::open(redis.url())?;
    let connection = runtime.block_on(client.get_multiplexed_async_connection())?;
    let fresh = health(&connection, Duration::from_secs(3600));
    let anew = health(&connection, Duration::ZERO);
    let raw = async || ping(connection.clone()).await;
    let fresh_probe = async || {
        black_box(fresh.ready().await);
    };
    let new_probe = async || {
        black_box(anew.ready().await);
    };

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("health_checks");
    group.bench_function("live", |b| b.iter(|| black_box(fresh.live())));
    group.bench_function("live, as an answer", |b| {
        b.iter(|| black_box(Vitals::answer(&fresh.live())));
    });
    group.bench_function("a request counted", |b| b.iter(|| drop(black_box(fresh.enter()))));
    group.bench_function("ready, fresh", |b| b.to_async(&runtime).iter(fresh_probe));
    group.bench_function("ready, asked anew", |b| b.to_async(&runtime).iter(new_probe));
    group.bench_function("PING", |b| b.to_async(&runtime).iter(raw));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("health_checks");
            let live = async || {
                black_box(fresh.live());
            };
            let counted = async || drop(black_box(fresh.enter()));
            ratios.compare("live / PING", raw, live).await;
            ratios.compare("a request counted / PING", raw, counted).await;
            ratios.at_most(0.1, "ready, fresh / PING", raw, fresh_probe).await;
            ratios.at_most(1.5, "ready, asked anew / PING", raw, new_probe).await;
            ratios.end();
        });
    }
    Ok(())
}
