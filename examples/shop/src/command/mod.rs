//! What can be asked of the shop on a command line. It stands in the library, so that a learner's
//! own code can be put into the same shop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use crate::compare::{self, Run};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use observability::correlation_ids::{CorrelationIds, TaskIds};
use observability::lines::{Lines, shows_colours};
use observability::propagation;
use observability::structured_logs::Wanted;
use observability::telemetry::Logs;
use observability::telemetry::{Left, Telemetry};
use shop_inventory::leases::OpenLeases;
use shop_service::Closing;
use shop_service::health::Drained;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

mod load;
mod orders;
mod run;
mod seed;
mod top;
mod trace;
mod up;

/// The reference shop of the Distributed Systems Sandbox.
#[derive(Parser)]
#[command(name = "shop", version, max_term_width = 80, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open the whole shop: every service in this process, each on its own port
    Up(Up),
    /// Run one service in this process
    Run(run::Run),
    /// Fill the catalogue and the warehouse of a shop that is up
    Seed(Seed),
    /// Send customers into a shop that is up, and check its books afterwards
    Load(Load),
    /// Look at single orders of a shop that is up
    Orders(orders::Orders),
    /// What a shop that is up does at the moment: rates, errors, latencies, and what is full
    Top(top::Top),
    /// Where the time of a request went: its spans in all services, as a waterfall
    Trace(trace::Trace),
    /// Do the same work without a pattern and with it
    Compare {
        #[command(subcommand)]
        what: Compare,
    },
}

/// Where the data lie.
#[derive(Args, Clone)]
struct Stores {
    /// PostgreSQL, Redis and RabbitMQ in place of what is embedded: those of DATABASE_URL,
    /// REDIS_URL and AMQP_URL, or private ones that are started for this run
    #[arg(long)]
    real: bool,
    /// Where the databases lie: sqlite://FOLDER or postgres://HOST/DATABASE
    #[arg(long, value_name = "URL", conflicts_with = "real")]
    storage: Option<String>,
    /// Where the cache lies: memory: or redis://HOST
    #[arg(long, value_name = "URL", conflicts_with = "real")]
    cache: Option<String>,
    /// Where the bus lies: amqp://HOST, or sqlite://FOLDER
    #[arg(long, value_name = "URL", conflicts_with = "real")]
    bus: Option<String>,
    /// The folder for what is embedded [default: .lab/shop]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A switch to begin with, such as pattern.async=on; may be repeated. `curl …/flags` shows all
    #[arg(long = "set", value_name = "SWITCH=VARIANT")]
    switches: Vec<String>,
    /// How long an order's saga rests when whoever drove it is dead
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = lease)]
    lease: Duration,
}

/// How the shop leaves when it is told to stop.
#[derive(Args, Clone, Copy)]
struct Leave {
    /// How long it is served as ever after it has said that it is not ready: longer than a load
    /// balancer takes to look
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = pause)]
    lame_duck: Duration,
    /// How long it then waits for what is under way. Less than who stops it is patient: Kubernetes
    /// kills after 30 s, both together
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = pause)]
    drain: Duration,
}

#[derive(Args)]
struct Up {
    /// The gateway's port; the services take the seven that follow
    #[arg(long, default_value_t = PORT)]
    port: u16,
    #[command(flatten)]
    stores: Stores,
    #[command(flatten)]
    leave: Leave,
}

#[derive(Args)]
struct Seed {
    /// The gateway's port of the shop that is up
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Which list: the same seed is the same list
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many products
    #[arg(long, default_value_t = PRODUCTS, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    products: u32,
}

#[derive(Args)]
struct Load {
    /// The gateway's port of the shop that is up
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Journeys a second
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// How many seconds customers keep arriving
    #[arg(long = "for", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Of everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Compare {
    /// How long a customer waits for an answer and for the order: the monolith, the shop, and the shop
    /// that answers at once
    Async(Run),
    /// The payment provider hangs, with nothing around the calls between services and with breakers,
    /// budgets, deadlines and bulkheads
    Breaker(compare::breaker::Hang),
    /// Catalogue reads with the cache off and on, then a hot key that expires
    Cache(Run),
    /// A flash sale with the stock guarded by nothing, a lease, fencing, Lua, or the database
    Lock(compare::lock::Runs),
    /// Bots that guess passwords beside customers who log in, with the limiter off and on
    Limiter(Run),
    /// Checkout in the monolith and in the shop: one buyer, then ten of one product
    Monolith(Run),
    /// A payment provider that fails three calls of ten, then all, under three ways to ask again
    Retry(Run),
    /// Orders that are answered at once, while the process that brings them to their end is killed at
    /// every step: by a task in memory, and by a saga
    Saga(compare::saga::Seeds),
    /// Purchases of which nothing is recorded, every tenth request, and all of them
    Tracing(Run),
}

impl Leave {
    fn closing(self) -> Closing {
        Closing { lame_duck: self.lame_duck, drain: self.drain }
    }

    /// What became of all that was recorded, where a collector should have it.
    fn tell_spans(telemetry: Option<&Telemetry>) {
        let Some(telemetry) = telemetry.filter(|telemetry| telemetry.has_collector()) else {
            return;
        };
        let Left { recorded, sent, lost } = telemetry.left();
        let [recorded, sent, lost] = [recorded, sent, lost].map(page::count);
        page::note(format!("spans: {recorded} recorded, {sent} sent, {lost} lost"));
        if lost != "0" {
            page::note(
                "next: see that OTEL_EXPORTER_OTLP_ENDPOINT is up, and takes OTLP over HTTP",
            );
        }
    }

    /// The last line of a shop or a service that was told to stop.
    fn tell(took: Duration, Drained { finished, lost }: Drained) {
        let took = page::millis(took);
        page::note(match finished + lost {
            0 => format!("closed in {took}; nothing was under way"),
            1 => format!(
                "closed in {took}; 1 request was under way: {finished} finished, {lost} lost"
            ),
            all => {
                format!(
                    "closed in {took}; {all} requests were under way: {finished} finished, {lost} lost"
                )
            }
        });
    }
}

/// The gateway's port, where nobody names one.
const PORT: u16 = 8080;

/// How many products there are, where nobody says.
const PRODUCTS: u32 = 3000;

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|seconds| (0.1..=3600.0).contains(seconds));
    number.map(Duration::from_secs_f64).ok_or_else(|| "0.1 to 3600 seconds".into())
}

/// What drives a saga looks three times in its lease whether it still has it.
fn lease(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|seconds| (0.5..=3600.0).contains(seconds));
    number.map(Duration::from_secs_f64).ok_or_else(|| "0.5 to 3600 seconds".into())
}

fn pause(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|seconds| (0.0..=3600.0).contains(seconds));
    number.map(Duration::from_secs_f64).ok_or_else(|| "0 to 3600 seconds".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|rate| (0.1..=100_000.0).contains(rate));
    number.ok_or_else(|| "0.1 to 100,000 journeys a second".into())
}

/// Whose code the shop runs where a lesson has a place in it: the references', or a learner's own.
#[derive(Clone, Copy, Debug)]
pub struct Patterns {
    /// Lesson 02.2, under the stock.
    pub leases: OpenLeases,
    /// How this program is called, for messages that name the next command.
    pub called: &'static str,
}

impl Default for Patterns {
    /// The references.
    fn default() -> Patterns {
        Patterns {
            leases: shop_inventory::Options::default().leases,
            called: "cargo run -p shop --",
        }
    }
}

/// Reads the command line, does what it says with `patterns`, and tells how it went.
pub async fn main(patterns: Patterns) -> ExitCode {
    let cli = Cli::parse();
    // What goes wrong in a service, on standard error, so that --json stays JSON. RUST_LOG shows
    // more.
    let usual = match &cli.command {
        // What goes wrong there is what is looked at, by the hundred.
        Command::Compare { what: Compare::Breaker(_) | Compare::Retry(_) | Compare::Saga(_) } => {
            "off"
        }
        // What lapin says of a lost connection, the bus says again, and to whom it matters.
        _ => "warn,sqlx=error,lapin=off",
    };
    if let Err(error) = log(usual) {
        anstream::eprintln!("{error:#}");
        return ExitCode::from(2);
    }
    page::end(match cli.command {
        Command::Up(up) => up::up(up, patterns).await,
        Command::Run(run) => run.run(patterns).await,
        Command::Seed(seed) => seed::seed(&seed).await,
        Command::Load(load) => load::load(&load).await,
        Command::Orders(orders) => orders.run().await,
        Command::Top(top) => top.run().await,
        Command::Trace(trace) => trace.run().await,
        Command::Compare { what: Compare::Breaker(hang) } => compare::breaker::compare(&hang).await,
        Command::Compare { what: Compare::Retry(run) } => compare::retry::compare(&run).await,
        Command::Compare { what: Compare::Saga(seeds) } => compare::saga::compare(&seeds).await,
        Command::Compare { what: Compare::Tracing(run) } => compare::tracing::compare(&run).await,
        Command::Compare { what: Compare::Async(run) } => {
            compare::asynchronous::compare(&run).await
        }
        Command::Compare { what: Compare::Cache(run) } => compare::cache::compare(&run).await,
        Command::Compare { what: Compare::Lock(runs) } => {
            compare::lock::compare(&runs, patterns).await
        }
        Command::Compare { what: Compare::Limiter(run) } => compare::limiter::compare(&run).await,
        Command::Compare { what: Compare::Monolith(run) } => compare::monolith::compare(&run).await,
    })
}

/// The log's way to a collector. The log is the process's, and so is this; which collector it is, the
/// command knows that opens a shop.
static LOGS: OnceLock<Logs> = OnceLock::new();

/// So many lines wait for a collector at most.
const LINES: usize = 16_384;

/// The log: for people, or with `SHOP_LOG=json` for machines; without secrets, and each line with the
/// request and the trace that it is about. Lessons 07.1, 07.2 and 07.4, in place.
fn log(usual: &str) -> Result<()> {
    let said = std::env::var("RUST_LOG").unwrap_or_else(|_| usual.to_owned());
    let wanted = Wanted::parse(&said)
        .with_context(|| format!("RUST_LOG is `{said}`; next: RUST_LOG=info,shop_orders=debug"))?;
    let logs = LOGS.get_or_init(|| Logs::new(LINES));
    let lines = Lines::new(std::io::stderr, TaskIds::current)
        .traced(propagation::trace)
        .also(|record| logs.take(record));
    let lines = match std::env::var("SHOP_LOG").as_deref() {
        Ok("json") => lines,
        _ => lines.for_people(shows_colours(&std::io::stderr())),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(wanted));
    tracing::subscriber::set_global_default(subscriber).context("there is a log already")
}
