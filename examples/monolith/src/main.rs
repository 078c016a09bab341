//! Starts the monolith.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Parser;
use monolith::Monolith;
use shop_outside::{mail, payment, supplier};
use shop_service::token::Tokens;
use shop_service::{Stop, listen, serve};

/// From which number the supplier's list is drawn.
const SEED: u64 = 1;

/// Where the database is, unless somebody says otherwise.
const STORAGE: &str = "sqlite://.lab/monolith";

/// The shop before: one program, one database, one transaction.
///
/// It needs nothing but itself, and has three thousand products the first time that it starts.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 80)]
struct Arguments {
    /// Where it listens, on this machine only; 0 for any free port.
    #[arg(long, default_value_t = 8070)]
    port: u16,

    /// The database: sqlite://FOLDER or postgres://HOST/DATABASE
    /// [default: $DATABASE_URL, or else sqlite://.lab/monolith]
    #[arg(long, value_name = "URL")]
    storage: Option<String>,

    /// PostgreSQL, found or started for this run and gone after it.
    #[arg(long, conflicts_with = "storage")]
    real: bool,

    /// How long the payment provider takes.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    payment_latency: Duration,

    /// How long the mail server takes.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    email_latency: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    page::end(run(arguments).await)
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Kept until the end: the database goes with it.
    let postgres = if arguments.real { Some(testbed::postgres::private().await?) } else { None };
    let storage = match &postgres {
        Some(postgres) => postgres.url().to_owned(),
        None => arguments
            .storage
            .or_else(|| std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()))
            .unwrap_or_else(|| STORAGE.to_owned()),
    };
    let provider = payment::Provider::new(arguments.payment_latency);
    let mail = mail::Server::new(arguments.email_latency);
    // A new secret each time: whoever was logged in logs in again.
    let tokens = Tokens::new(&Tokens::secret());
    let shop = Monolith::open(&storage, provider, mail, tokens).await.map_err(|error| {
        anyhow!("{error}\nnext: name another place with --storage sqlite://FOLDER")
    })?;
    if shop.is_empty().await? {
        shop.seed(&supplier::list(SEED, supplier::USUAL_SIZE)).await?;
    }

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = listen(address).await.map_err(|error| {
        anyhow!("cannot listen on {address}: {error}\nnext: choose another with --port 8071")
    })?;
    let stop = Stop::default();
    let running = serve("monolith", listener, shop.router(), &stop)?;
    let url = running.url();
    println!("the monolith   {url}");
    println!("database       {}", shop.place());
    if let Some(postgres) = &postgres {
        println!("               {}", postgres.origin());
    }
    println!("payment        {:?}, inside the transaction", arguments.payment_latency);
    println!("email          {:?}, inside the transaction", arguments.email_latency);
    println!("try            curl '{url}/api/products?q=oak&size=2'");
    println!("buy            docs/monolith.md has the commands");
    println!("stop           Ctrl-C");

    tokio::signal::ctrl_c().await.context("Ctrl-C cannot be waited for")?;
    println!("finishing the checkouts that have begun; Ctrl-C again cuts them off");
    tokio::select! {
        // The database first: serving ends after its own, shorter patience, and a checkout takes
        // longer. What comes in meanwhile is refused.
        () = shop.close() => {
            stop.now();
            running.stopped().await;
            println!("stopped");
        }
        _ = tokio::signal::ctrl_c() => println!("cut off: some may have paid for nothing"),
    }
    Ok(())
}

/// A time as people write it: `250ms`, `1s`, `1.5s`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    let seconds = number.parse().ok().map(|number: f64| number * unit);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "a time is written as 250ms, 1s or 1.5s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Duration, duration};
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "1", "s", "ms", "-1s", "1m", "inf s", "infs", "NaNs", "1e99s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
