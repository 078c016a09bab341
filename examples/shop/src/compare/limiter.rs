//! `shop compare limiter`: bots that guess passwords at fifty times the rate of the customers who
//! log in. Lesson 03.7, in place.
//!
//! A password is hashed by one thread, one after the other, and a hash is slow on purpose. So a
//! login is what a flood hurts first, whatever the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rate_limiting::http_limits::{Forwarding, Proxies};
use rate_limiting::limiter::{Options, Quota};
use serde::Serialize;
use serde_json::{Value, json};
use shop_contracts::{Peer, Problem};
use shop_flags::PatternLimiter;
use shop_gateway::Limiting;
use testbed::load::{Load, Report, Zipf};

use super::{Run, build, ratio};
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Logins of all customers, a second.
const CUSTOMERS: f64 = 2.0;
/// Logins of all bots, a second.
const BOTS: f64 = 50.0 * CUSTOMERS;
/// How long they keep coming.
const TIME: Duration = Duration::from_secs(5);
/// Customers, each at an address of their own. Drawn in the worst way, one of them logs in twice a
/// second, which is what a client may.
const CROWD: usize = 4;
/// Addresses of the bots. Each writes made-up ones into its requests besides.
const ADDRESSES: usize = 3;
/// What a login costs.
const LOGIN: u64 = 10;
/// Logins of one client: so many at once, and one more each.
const AT_ONCE: u64 = 4;
const ONE_EACH: Duration = Duration::from_millis(500);

const PASSWORD: &str = "correct horse battery";

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    /// Logins a second, if nothing else goes on.
    capacity: f64,
    runs: Vec<Flood>,
}

/// What came of the flood under one position of the switch.
#[derive(Serialize)]
struct Flood {
    switch: &'static str,
    customers: Customers,
    bots: Bots,
    /// What the limiter decided without knowing.
    by_outage: u64,
    /// How late the generator itself was, at worst.
    late_ms: f64,
}

#[derive(Serialize)]
struct Customers {
    asked: u64,
    errors: u64,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Bots {
    asked: u64,
    /// A password was hashed for them, and it was the wrong one.
    worked: u64,
    /// 429.
    refused: u64,
    /// The shop gave up, or there was no answer.
    given_up: u64,
    /// Of the time in which logins could have been worked on, the part that went to them.
    share_percent: f64,
    /// What [`Bots::worked`] may be at most, by the quota.
    most: u64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(run: &Run) -> Result<()> {
    let place = Place::for_a_run(run.real).await?;
    // Clients come through a proxy on this machine, so that they have addresses of their own.
    let proxies =
        Proxies { trusted: vec!["127.0.0.0/8".parse()?], header: Forwarding::XForwardedFor };
    let quota = Quota::new((AT_ONCE * LOGIN) as u32, ONE_EACH / LOGIN as u32)?;
    // Patient: a machine that is busy is not a Redis that is gone.
    let options = Options { timeout: Duration::from_secs(2), ..Options::default() };
    let limiting = Limiting { quota, proxies, options, ..Limiting::default() };
    let shop = Shop::open(&place, Setup { limiting, ..super::setup() }).await?;
    let gateway = Peer::new("gateway", shop.url()).patience(Duration::from_secs(60));

    for customer in 0..CROWD {
        let body = json!({"email": email(customer), "password": PASSWORD, "name": "A customer"});
        let told = ask(&gateway, "/api/customers", &body, &address(customer)).await?;
        ensure!(told == StatusCode::CREATED, "no account for a customer: {told}");
    }
    let capacity = capacity(&gateway).await?;
    let mut runs = Vec::new();
    for (name, switch) in [("off", PatternLimiter::Off), ("on", PatternLimiter::Gcra)] {
        shop.setup.flags.set(switch);
        runs.push(flood(&gateway, run.seed, name, capacity).await?);
    }
    shop.close().await;

    let outcome = Outcome { seed: run.seed, place: place.told.clone(), capacity, runs };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

fn email(customer: usize) -> String {
    format!("quiet-{customer}@example.org")
}

fn address(customer: usize) -> String {
    format!("198.51.100.{}", customer + 1)
}

/// Asks for a login or an account, as somebody from `from`.
async fn ask(gateway: &Peer, path: &str, body: &Value, from: &str) -> Result<StatusCode> {
    let from = [(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(from)?)];
    let body = Bytes::from(body.to_string());
    Ok(gateway.forward(Method::POST, path, body, &from).await?.status())
}

/// Logins a second, one after the other, with nobody else about.
async fn capacity(gateway: &Peer) -> Result<f64> {
    const LOGINS: u32 = 10;
    let begun = Instant::now();
    for _ in 0..LOGINS {
        let body = json!({"email": email(0), "password": PASSWORD});
        let told = ask(gateway, "/api/tokens", &body, &address(0)).await?;
        ensure!(told == StatusCode::OK, "a customer cannot log in: {told}");
    }
    Ok(f64::from(LOGINS) / begun.elapsed().as_secs_f64())
}

/// Customers and bots at once, by the clock.
async fn flood(gateway: &Peer, seed: u64, name: &'static str, capacity: f64) -> Result<Flood> {
    let before = counters(gateway).await?;
    let load = |rate, keys| Load { rate, duration: TIME, seed, keys: Zipf::new(keys, 0.0) };
    let customers = load(CUSTOMERS, CROWD);
    let logging_in = customers.run(|arrival| {
        let gateway = gateway.clone();
        async move {
            let body = json!({"email": email(arrival.key), "password": PASSWORD});
            let told = ask(&gateway, "/api/tokens", &body, &address(arrival.key)).await?;
            ensure!(told == StatusCode::OK, "{told}");
            Ok(())
        }
    });
    let (worked, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let bots = load(BOTS, ADDRESSES);
    let guessing = bots.run(|arrival| {
        let gateway = gateway.clone();
        let (worked, refused) = (Arc::clone(&worked), Arc::clone(&refused));
        async move {
            let index = arrival.index;
            let victim = email(index as usize % CROWD);
            let body = json!({"email": victim, "password": format!("guess number {index}")});
            let from = format!("192.0.2.{}, 203.0.113.{}", index % 250, arrival.key + 1);
            match ask(&gateway, "/api/tokens", &body, &from).await? {
                StatusCode::UNAUTHORIZED => worked.fetch_add(1, Ordering::Relaxed),
                StatusCode::TOO_MANY_REQUESTS => refused.fetch_add(1, Ordering::Relaxed),
                told => anyhow::bail!("{told}"),
            };
            Ok(())
        }
    });
    let (customers, bots) = tokio::join!(logging_in, guessing);
    let after = counters(gateway).await?;
    Ok(Flood::told(
        name,
        &customers,
        &bots,
        (worked.load(Ordering::Relaxed), refused.load(Ordering::Relaxed)),
        after - before,
        capacity,
    ))
}

/// Decisions of the gateway's limiter that were made without knowing.
async fn counters(gateway: &Peer) -> Result<u64> {
    let told: Value = gateway.get("/counters").await.map_err(|problem: Problem| problem)?;
    told["by_outage"].as_u64().context("the gateway counts its outages")
}

impl Flood {
    fn told(
        switch: &'static str,
        customers: &Report,
        bots: &Report,
        (worked, refused): (u64, u64),
        by_outage: u64,
        capacity: f64,
    ) -> Flood {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let share = 100.0 * worked as f64 / (capacity * bots.elapsed.as_secs_f64());
        // One more than fits into the time: the limiter has a clock of its own.
        let each = AT_ONCE + 1 + (bots.elapsed.as_micros() / ONE_EACH.as_micros()) as u64;
        Flood {
            switch,
            customers: Customers {
                asked: customers.offered,
                errors: customers.errors,
                p50_ms: millis(customers.p50()),
                p99_ms: millis(customers.p99()),
            },
            bots: Bots {
                asked: bots.offered,
                worked,
                refused,
                given_up: bots.errors,
                // The capacity is measured, and a busy machine measures less.
                share_percent: share.min(100.0),
                most: ADDRESSES as u64 * each,
            },
            by_outage,
            late_ms: millis(bots.late.max(customers.late)),
        }
    }
}

fn print(outcome: &Outcome) {
    page::title("shop compare limiter · guessed passwords, with the limiter off and on");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);
    page::note(format_args!(
        "{CROWD} customers log in, {CUSTOMERS} times a second in all; bots guess at 50 times that",
    ));
    page::note(format_args!(
        "rate, from {ADDRESSES} addresses and as many made-up ones as they like; {} s, seed {}.",
        TIME.as_secs(),
        outcome.seed
    ));
    page::note(format_args!(
        "One login after the other, this shop can do {:.0} a second. With the limiter",
        outcome.capacity
    ));
    page::note(format_args!(
        "each address has {AT_ONCE} at once, and one more each {:.1} s.",
        ONE_EACH.as_secs_f64()
    ));

    let (off, on) = (&outcome.runs[0], &outcome.runs[1]);
    page::heads(&["limiter off", "limiter on"]);
    let row = |what: &str, told: &dyn Fn(&Flood) -> String, ratio: &str| {
        page::row(what, told(off), &[told(on)], ratio);
    };
    row("customers: logins", &|run| page::count(run.customers.asked), "");
    row("customers: errors", &|run| page::count(run.customers.errors), "");
    for (what, quantile) in [
        ("customers: half waited (p50)", (|run| run.customers.p50_ms) as fn(&Flood) -> f64),
        ("customers: 99 of 100 (p99)", |run| run.customers.p99_ms),
    ] {
        let told = |run: &Flood| match run.customers.asked - run.customers.errors {
            0 => "nobody got in".to_owned(),
            _ => format!("{:.0} ms", quantile(run)),
        };
        let faster = match off.customers.asked - off.customers.errors {
            0 => String::new(),
            _ => ratio(quantile(off), quantile(on)),
        };
        row(what, &told, &faster);
    }
    row("bots: guesses", &|run| page::count(run.bots.asked), "");
    row("bots: worked on", &|run| page::count(run.bots.worked), "");
    row("bots: refused with 429", &|run| page::count(run.bots.refused), "");
    row("bots: given up by the shop", &|run| page::count(run.bots.given_up), "");
    row("bots: share of capacity", &|run| format!("{:.0} %", run.bots.share_percent), "");
    let late = off.late_ms.max(on.late_ms);
    if late > 50.0 {
        page::note(format_args!("Busy machine: logins began up to {late:.0} ms late."));
    }
    page::gap();
    page::note("A refusal costs no hash. Who has logged in is counted by name from then on,");
    page::note("so an office that shares one address shares no quota.");
    page::next(&[
        ("cargo run --example http_limits", "the pattern by itself"),
        ("cargo lab start http_limits", "write it yourself"),
    ]);
}

fn judge(outcome: &Outcome) -> Result<()> {
    let (off, on) = (&outcome.runs[0], &outcome.runs[1]);
    ensure!(off.bots.refused == 0, "{} were refused with the limiter off", off.bots.refused);
    ensure!(
        off.bots.worked > on.bots.most,
        "nothing is proved: without a limit, too, only {} guesses were worked on",
        off.bots.worked
    );
    let errors = on.customers.errors;
    ensure!(errors == 0, "{errors} customers could not log in with the limiter on");
    let (worked, most) = (on.bots.worked, on.bots.most);
    ensure!(worked <= most, "{worked} guesses were worked on, where the quota allows {most}");
    let open = on.bots.asked - on.bots.worked - on.bots.refused;
    ensure!(open == 0, "{open} guesses were neither worked on nor refused");
    ensure!(on.by_outage == 0, "{} times the limiter did not know", on.by_outage);
    Ok(())
}
