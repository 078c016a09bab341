//! 07.2 · Structured logs: what a search finds in the log of a checkout.
//!
//! ```console
//! $ cargo run --example structured_logs
//! ```
//!
//! Ends by itself after about a second.

use anyhow::Context;
use observability::lines::Lines;
use observability::structured_logs::{Changing, Wanted};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

const CHECKOUTS: u64 = 300;

fn main() -> ExitCode {
    page::end(run())
}

fn run() -> anyhow::Result<()> {
    page::title("07.2 structured logs · what a search finds in the log of a checkout");
    let customers = customers(page::seed()?);
    page::note("300 customers check out. Some are declined, some meet a database that is not");
    page::note("there. Each column is a log of the same checkouts: on the left as sentences,");
    page::note("by println! and {:?}; on the right as events, written by Lines.");
    secrets(&customers)?;
    queries(&customers)?;
    levels(&customers)?;
    page::next(&[
        ("cargo lab start structured_logs", "write it yourself, and be searched"),
        ("cargo lab why structured_logs", "sixty ways to give a customer away"),
    ]);
    Ok(())
}

/// What a customer sends, as the shop has it.
#[derive(Debug)]
struct Checkout {
    order: u64,
    email: String,
    password: String,
    card: String,
    cents: u64,
    note: String,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Paid,
    Declined,
    Failed,
}

/// With the digit that makes it one.
fn card(random: &mut StdRng) -> String {
    let mut digits = vec![4];
    digits.extend((0..14).map(|_| random.random_range(0..10_u32)));
    let doubled = |(nth, digit): (usize, &u32)| match digit * if nth % 2 == 0 { 2 } else { 1 } {
        large if large > 9 => large - 9,
        small => small,
    };
    let sum: u32 = digits.iter().enumerate().map(doubled).sum();
    digits.push((10 - sum % 10) % 10);
    let groups = digits.chunks(4).map(|group| group.iter().map(u32::to_string).collect());
    groups.collect::<Vec<String>>().join(" ")
}

fn customers(seed: u64) -> Vec<Checkout> {
    let mut random = StdRng::seed_from_u64(seed);
    let ends = [Ends::Paid, Ends::Paid, Ends::Paid, Ends::Declined, Ends::Failed];
    let one = |order| {
        // One in twenty writes a line of the log into the note for the courier.
        let forged = format!("\nWARN order {order}: 999.00 EUR declined");
        Checkout {
            order,
            email: format!("customer{order}@example.org"),
            password: format!("hunter-{}", random.random_range(100_000..1_000_000)),
            card: card(&mut random),
            cents: random.random_range(500..40_000),
            note: if random.random_bool(0.05) {
                format!("ring{forged}")
            } else {
                "ring twice".into()
            },
            ends: ends[random.random_range(0..ends.len())],
        }
    };
    (0..CHECKOUTS).map(one).collect()
}

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://shop:s3cr3t@db:5432/orders refused the connection")
    }
}

impl Error for Refused {}

// ANCHOR: sentences
/// As it grows by itself: what somebody wanted to know at the time, in a sentence.
fn in_sentences(customers: &[Checkout]) -> String {
    let mut log = String::new();
    for it in customers {
        let _ = writeln!(log, "DEBUG got {it:?}");
        let euros = format!("{}.{:02} EUR", it.cents / 100, it.cents % 100);
        let _ = match it.ends {
            Ends::Paid => writeln!(log, "INFO {} paid {euros} with {}", it.email, it.card),
            Ends::Declined => {
                writeln!(log, "WARN order {}: {euros} declined, note: {}", it.order, it.note)
            }
            Ends::Failed => writeln!(log, "ERROR order {}: {Refused}", it.order),
        };
    }
    log
}
// ANCHOR_END: sentences

// ANCHOR: events
/// The same, as events. Nobody thinks of secrets here, as nobody does.
fn as_events(customers: &[Checkout]) {
    for it in customers {
        tracing::debug!(target: "checkout", order = it.order, request = ?it, "got a checkout");
        let (order, cents) = (it.order, it.cents);
        let error: &(dyn Error + 'static) = &Refused;
        match it.ends {
            Ends::Paid => {
                tracing::info!(target: "checkout", order, cents, "{} paid with {}", it.email, it.card);
            }
            Ends::Declined => {
                tracing::warn!(target: "checkout", order, cents, note = it.note, "declined");
            }
            Ends::Failed => tracing::error!(target: "checkout", order, cents, error, "failed"),
        }
    }
}
// ANCHOR_END: events

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> anyhow::Result<String> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(String::from_utf8(std::mem::take(&mut *log))?)
    }
}

/// Runs `work` with a log of what is wanted, which `work` may change.
fn logged(wanted: &str, work: impl FnOnce(&Log, &Changing<Registry>)) -> anyhow::Result<String> {
    let (log, (wanted, changing)) = (Log::default(), Wanted::parse(wanted)?.changeable());
    let to = log.clone();
    let lines = Lines::new(move || to.clone(), || None).with_filter(wanted);
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::with_default(subscriber, || work(&log, &changing));
    log.take()
}

/// Part 1: somebody who has got the log, from a ticket or a backup.
fn secrets(customers: &[Checkout]) -> anyhow::Result<()> {
    page::part(1, "Somebody searches it who should not");
    let sentences = in_sentences(customers);
    let lines = logged("debug", |_, _| as_events(customers))?;
    page::heads(&["sentences", "structured"]);
    let row = |what: &str, count: &dyn Fn(&str) -> u64| {
        page::row(what, page::count(count(&sentences)), &[page::count(count(&lines))], "");
    };
    let customers_with = |secret: fn(&Checkout) -> &str| {
        move |log: &str| customers.iter().filter(|it| log.contains(secret(it))).count() as u64
    };
    row("customers' passwords", &customers_with(|it| &it.password));
    row("customers' card numbers", &customers_with(|it| &it.card));
    row("customers' email addresses", &customers_with(|it| &it.email));
    row("the database's password", &|log| log.matches("s3cr3t").count() as u64);
    row("customers, by their order", &|log| {
        let named = |order: u64| {
            log.contains(&format!("\"order\":{order},"))
                || log.contains(&format!("order: {order},"))
        };
        customers.iter().filter(|it| named(it.order)).count() as u64
    });
    let (left, right) = (sentences.len() as u64, lines.len() as u64);
    #[allow(clippy::cast_precision_loss)]
    let ratio = format!("{:.2} ×", right as f64 / left as f64);
    page::row("bytes", page::count(left), &[page::count(right)], &ratio);
    Ok(())
}

/// Part 2: somebody who has to know.
fn queries(customers: &[Checkout]) -> anyhow::Result<()> {
    page::part(2, "Somebody searches it who has to");
    page::note("Which orders of more than 100 EUR were declined? One customer in twenty has");
    page::note("written a line into the note for the courier, to look like one.");
    let is_it = |it: &&Checkout| it.ends == Ends::Declined && it.cents > 10_000;
    let true_ones = customers.iter().filter(is_it).count() as u64;
    // grep -E '^WARN order [0-9]+: [0-9]{3}\.[0-9]{2} EUR declined'
    let sentences = in_sentences(customers);
    let euros = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix("WARN order ")?.split_once(": ")?.1;
        let (amount, rest) = rest.split_once(" EUR ")?;
        rest.starts_with("declined").then(|| amount.split_once('.')?.0.parse().ok()).flatten()
    };
    let by_words = sentences.lines().filter_map(euros).filter(|euros| *euros >= 100).count();
    // jq 'select(.message == "declined" and .fields.cents > 10000)'
    let lines = logged("debug", |_, _| as_events(customers))?;
    let mut by_fields = 0;
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let cents = line["fields"]["cents"].as_u64().unwrap_or_default();
        by_fields += u64::from(line["message"] == "declined" && cents > 10_000);
    }
    page::heads(&["sentences", "structured"]);
    page::row("there were", page::count(true_ones), &[page::count(true_ones)], "");
    page::row("found", page::count(by_words as u64), &[page::count(by_fields)], "");
    Ok(())
}

/// Counts how often it is printed.
struct Cart;

static PRINTED: AtomicU64 = AtomicU64::new(0);

impl Debug for Cart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PRINTED.fetch_add(1, Ordering::SeqCst);
        f.write_str("Cart { lines: 3 }")
    }
}

/// Part 3: the level.
fn levels(customers: &[Checkout]) -> anyhow::Result<()> {
    page::part(3, "Once more, with the level at info, and then changed for one module");
    page::note("The shop runs on. Meanwhile somebody asks for debug of the carts, first with");
    page::note("a slip of the pen.");
    let mut told = Vec::new();
    let mut slip = None;
    logged("info", |log, changing| {
        for wanted in ["info", "info,carts=debgu", "info,carts=debug"] {
            slip = changing.change(wanted).err().or(slip.take());
            PRINTED.store(0, Ordering::SeqCst);
            as_events(customers);
            for it in customers {
                tracing::debug!(target: "carts", order = it.order, cart = ?Cart, "priced");
            }
            let lines = log.take().unwrap_or_default();
            let of =
                |target: &str| lines.matches(&format!("\"target\":\"{target}\"")).count() as u64;
            told.push([of("checkout"), of("carts"), PRINTED.load(Ordering::SeqCst)]);
        }
    })?;
    page::heads(&["info", "carts=debgu", "carts=debug"]);
    let [before, slipped, after] = &told[..] else { anyhow::bail!("three levels") };
    for (nth, what) in
        ["lines of the checkout", "lines of the carts", "carts printed"].into_iter().enumerate()
    {
        let cells = [page::count(slipped[nth]), page::count(after[nth])];
        page::row(what, page::count(before[nth]), &cells, "");
    }
    let slip = slip.context("a slip of the pen was taken for a directive")?;
    page::note(format_args!("What it said: `{}` is no directive.", slip.piece));
    Ok(())
}
