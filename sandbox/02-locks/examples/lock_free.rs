//! 02.6 · Without a lock: one hundred units, five hundred buyers, and three ways to sell each once.
//!
//! ```console
//! $ cargo run --example lock_free
//! ```
//!
//! Ends by itself after some two seconds. `SEED=7` draws other orders.

use anyhow::Context;
use locks::lock_free::{
    Answer, Error, Options, SCHEMA, ScriptStock, Stock, UpdateStock, WatchStock,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Script};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::redis::Redis;
use tokio::task::JoinSet;

const UNITS: u32 = 100;
const BUYERS: usize = 500;
/// So many ask at the same moment.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("02.6 lock_free · nothing oversold and nothing lost, without a lock");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    let postgres = testbed::postgres::private().await?;
    page::note(redis.origin());
    page::note(postgres.origin());
    page::note(format_args!("Orders are drawn from seed {seed}; SEED=<n> draws others."));
    furnish(&postgres).await?;

    last_unit(&redis).await?;
    sale(&redis, &postgres, seed).await?;
    lost_answers(&redis).await?;

    page::next(&[
        ("cargo lab start lock_free", "write the three, with tests that race them"),
        ("cargo run -p shop -- compare lock", "the same sale in the shop, locks beside it"),
    ]);
    Ok(())
}

async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let made = move || Session::open(&target, PATIENCE)?.query(SCHEMA);
    tokio::task::spawn_blocking(made).await?.context("the tables for the stock")?;
    Ok(())
}

// ANCHOR: naive
/// A stock as it is mostly written: look, compare, take.
struct Naive(ConnectionManager);

impl Stock for Naive {
    fn open(url: &str, options: Options) -> Result<Naive, Error> {
        Ok(Naive(locks::connection::open(url, options.timeout)?))
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        Ok(self.0.clone().set(product, units).await?)
    }

    async fn take(&self, product: &str, _order: &str, units: u32) -> Result<Answer, Error> {
        let mut redis = self.0.clone();
        let left: u32 = redis.get(product).await?;
        if left < units {
            return Ok(Answer::SoldOut);
        }
        let _: () = redis.set(product, left - units).await?;
        Ok(Answer::Taken(units))
    }

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        Ok(self.0.clone().get(product).await?)
    }
}
// ANCHOR_END: naive

/// Part 1: everybody sees the last unit before anybody takes it.
async fn last_unit(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "Ten buyers see the last unit");
    page::note("Each looks, sees one unit, is held up for a moment, and takes it.");
    let naive = meet::<Naive>(redis, "naive").await?;
    let script = meet::<ScriptStock>(redis, "script").await?;
    let watch = meet::<WatchStock>(redis, "watch").await?;
    page::heads(&["GET, SET", "script", "WATCH"]);
    page::row("units there were", 1, &["1".into(), "1".into()], "");
    page::row("units sold", naive, &[script.to_string(), watch.to_string()], "");
    page::note("A script has no second request that could be held. WATCH has, and its EXEC is");
    page::note("refused for all but one; the others look again, and see that it is gone.");
    Ok(())
}

/// How many of ten get the last unit.
///
/// Left to chance they would hardly ever meet. So each has a proxy of his own, which holds his
/// second request; all go on when each is there or has his answer.
async fn meet<S: Stock>(redis: &Redis, product: &str) -> anyhow::Result<usize> {
    let gate = Gate::shut();
    let (mut proxies, mut buyers) = (Vec::new(), JoinSet::new());
    let answered = Arc::new(AtomicUsize::new(0));
    S::open(redis.url(), Options::default())?.put(product, 1).await?;
    for buyer in 0..10 {
        let proxy = Proxy::before(redis.url()).await?;
        let stock = S::open(proxy.url(), Options::default())?;
        // The first call of all connects, and teaches Redis the script.
        stock.put("warm", 1_000).await?;
        stock.take("warm", &buyer.to_string(), 1).await?;
        proxy.reset_count();
        proxy.hold_at(&gate, |request| request.nth == 2);
        proxies.push(proxy);
        let (product, answered) = (product.to_owned(), Arc::clone(&answered));
        buyers.spawn(async move {
            let answer = stock.take(&product, &buyer.to_string(), 1).await;
            answered.fetch_add(1, Ordering::SeqCst);
            answer
        });
    }
    let began = Instant::now();
    while gate.count() + answered.load(Ordering::SeqCst) < 10 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "a buyer did not come; run it again");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gate.open();
    let mut sold = 0;
    while let Some(answer) = buyers.join_next().await {
        sold += usize::from(answer?? == Answer::Taken(1));
    }
    Ok(sold)
}

/// What became of a sale.
struct Sale {
    orders: usize,
    sold: u32,
    left: u32,
    /// Takes that gave up, and were asked again.
    contended: usize,
    took: Duration,
}

/// Part 2: the same five hundred orders, in each of the three ways.
async fn sale(redis: &Redis, postgres: &Postgres, seed: u64) -> anyhow::Result<()> {
    page::part(2, "The same sale, three ways");
    page::note("500 buyers want 1 to 3 units each, there are 100, and 8 ask at a time.");
    let mut draw = StdRng::seed_from_u64(seed);
    let wishes: Vec<u32> = (0..BUYERS).map(|_| draw.random_range(1..=3)).collect();

    let script = sell::<ScriptStock>(redis.url(), "by script", &wishes).await?;
    let before = executions(redis).await?;
    let watch = sell::<WatchStock>(redis.url(), "by watch", &wishes).await?;
    let refused = executions(redis).await? - before - watch.orders as u64;
    let update = sell::<UpdateStock>(postgres.url(), "by update", &wishes).await?;

    page::heads(&["script", "WATCH", "UPDATE"]);
    let row = |what, of: fn(&Sale) -> String| {
        page::row(what, of(&script), &[of(&watch), of(&update)], "");
    };
    row("units sold", |sale| sale.sold.to_string());
    row("units left", |sale| sale.left.to_string());
    row("units oversold", |sale| sale.sold.saturating_sub(UNITS).to_string());
    page::row("commits that were refused", "-", &[refused.to_string(), "-".into()], "");
    row("takes that gave up", |sale| sale.contended.to_string());
    row("asked, a second", |sale| {
        page::count((BUYERS as f64 / sale.took.as_secs_f64()).round() as u64)
    });
    page::note("WATCH is beaten where many want the same thing: who loses does it all again.");
    Ok(())
}

async fn executions(redis: &Redis) -> anyhow::Result<u64> {
    Ok(redis.command_stats().await?.get("exec").copied().unwrap_or(0))
}

async fn sell<S: Stock>(url: &str, product: &str, wishes: &[u32]) -> anyhow::Result<Sale> {
    let stock = Arc::new(S::open(url, Options::default())?);
    stock.put(product, UNITS).await?;
    let wishes: Arc<[u32]> = wishes.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut askers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..AT_ONCE {
        let (stock, wishes, next) = (stock.clone(), wishes.clone(), next.clone());
        let product = product.to_owned();
        askers.spawn(async move {
            let (mut orders, mut sold, mut contended) = (0, 0, 0);
            loop {
                let order = next.fetch_add(1, Ordering::SeqCst);
                let Some(&units) = wishes.get(order) else { break };
                let answer = loop {
                    match stock.take(&product, &format!("order-{order}"), units).await {
                        Err(Error::Contended { .. }) => contended += 1,
                        answer => break answer?,
                    }
                };
                if let Answer::Taken(units) = answer {
                    orders += 1;
                    sold += units;
                }
            }
            Ok::<_, Error>((orders, sold, contended))
        });
    }
    let mut sale = Sale { orders: 0, sold: 0, left: 0, contended: 0, took: Duration::ZERO };
    while let Some(asker) = askers.join_next().await {
        let (orders, sold, contended) = asker??;
        sale.orders += orders;
        sale.sold += sold;
        sale.contended += contended;
    }
    sale.took = began.elapsed();
    sale.left = stock.left(product).await?.context("the product is known")?;
    Ok(sale)
}

/// One atomic step, and no word of who it was for.
struct Forgetful(ScriptStock, ConnectionManager);

impl Stock for Forgetful {
    fn open(url: &str, options: Options) -> Result<Forgetful, Error> {
        let redis = locks::connection::open(url, options.timeout)?;
        Ok(Forgetful(ScriptStock::open(url, options)?, redis))
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        self.0.put(product, units).await
    }

    async fn take(&self, product: &str, _order: &str, units: u32) -> Result<Answer, Error> {
        let take = Script::new(
            "if tonumber(redis.call('HGET', KEYS[1], 'left')) < tonumber(ARGV[1]) then return 0 end
             redis.call('HINCRBY', KEYS[1], 'left', -ARGV[1])
             return 1",
        );
        let key = format!("stock:{product}");
        let taken = take.key(key).arg(units).invoke_async(&mut self.1.clone()).await?;
        Ok(if taken { Answer::Taken(units) } else { Answer::SoldOut })
    }

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        self.0.left(product).await
    }
}

/// Part 3: Redis sold, and the answer was lost on its way.
async fn lost_answers(redis: &Redis) -> anyhow::Result<()> {
    page::part(3, "The answer is lost, and the buyer asks again");
    page::note("20 orders of one unit. Of each, the first answer is lost with its connection.");
    let forgetful = ask_twice::<Forgetful>(redis, "forgetful").await?;
    let script = ask_twice::<ScriptStock>(redis, "recorded").await?;
    page::heads(&["not recorded", "script"]);
    page::row("buyers who were told “taken”", 20, &["20".into()], "");
    page::row("units gone from the stock", forgetful, &[script.to_string()], "");
    page::note("The script writes the order down in the step in which it takes the units.");
    Ok(())
}

/// How many units are gone when each of twenty orders has an answer.
async fn ask_twice<S: Stock>(redis: &Redis, product: &str) -> anyhow::Result<u32> {
    let proxy = Proxy::before(redis.url()).await?;
    let stock = S::open(proxy.url(), Options::default())?;
    // The first call of all teaches Redis the script.
    stock.put("warm", 1_000).await?;
    stock.take("warm", product, 1).await?;
    stock.put(product, UNITS).await?;
    for order in 0..20 {
        let order = order.to_string();
        let lost = proxy.cut_reply(|request| request.is("EVALSHA"));
        let heard = stock.take(product, &order, 1).await;
        anyhow::ensure!(heard.is_err() && lost.count() == 1, "no answer was lost; run it again");
        let began = Instant::now();
        loop {
            match stock.take(product, &order, 1).await {
                Ok(answer) => {
                    anyhow::ensure!(answer == Answer::Taken(1), "{answer:?} for order {order}");
                    break;
                }
                Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
    Ok(UNITS - stock.left(product).await?.context("the product is known")?)
}
