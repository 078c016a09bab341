//! What a line costs, what hiding adds to it, and what is left of an event that nobody wants.
//!
//! ```console
//! $ cargo bench -p observability --bench structured_logs
//! ```
//!
//! All lines go into nowhere, so that what is left is making them. After criterion's own figures come
//! the ratios of this run. It fails if a line costs more than 3.5 of one by `fmt().json()`, which hides
//! nothing, or more than 3.5 of one of ours that hides nothing; or if an event that nobody wants costs
//! more than a twentieth of one that is written.

use criterion::Criterion;
use observability::lines::Lines;
use observability::structured_logs::{Policy, Wanted};
use std::hint::black_box;
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tracing::dispatcher::{Dispatch, with_default};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// What is logged in each of the measured operations: five lines of everyday.
fn talk() {
    for line in 0..5_u64 {
        tracing::info!(order = 7, line, article = "green tea, 250 g", "placed into the cart");
    }
}

/// The same, with something to hide in each.
fn talk_of_secrets() {
    for line in 0..5_u64 {
        tracing::info!(
            order = 7,
            line,
            email = "anna@example.org",
            "card 4111 1111 1111 1111 of anna@example.org was declined"
        );
    }
}

/// What nobody wants, at the default level.
fn whisper() {
    for line in 0..5_u64 {
        tracing::debug!(order = 7, line, article = "green tea, 250 g", "placed into the cart");
    }
}

fn lines(policy: Policy) -> Lines<fn() -> std::io::Sink> {
    let nowhere: fn() -> std::io::Sink = std::io::sink;
    Lines::new(nowhere, || None).redacting(policy)
}

/// All of them want the same: as long as one in the process wants an event, all places have to ask.
fn of(lines: Lines<fn() -> std::io::Sink>) -> anyhow::Result<Dispatch> {
    let lines = lines.with_filter(Wanted::parse("info")?);
    Ok(Dispatch::new(tracing_subscriber::registry().with(lines)))
}

fn main() -> anyhow::Result<()> {
    let by_fmt = tracing_subscriber::fmt().json().with_writer(std::io::sink);
    let by_fmt = Dispatch::new(by_fmt.finish());
    let (open, hiding) = (of(lines(Policy::none()))?, of(lines(Policy::standard()))?);
    let people = of(lines(Policy::standard()).for_people(true))?;
    let (wanted, changing) = Wanted::parse("info,payments=debug")?.changeable();
    let wanting = lines(Policy::standard()).with_filter(wanted);
    let wanting = Dispatch::new(tracing_subscriber::registry().with(wanting));
    // So that the level has been changed once, as in a service that runs.
    changing.change("info,orders=debug")?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("structured_logs");
    let subjects: [(&str, &Dispatch, fn()); 6] = [
        ("five lines, fmt().json()", &by_fmt, talk),
        ("five lines, hiding nothing", &open, talk),
        ("five lines", &hiding, talk),
        ("five lines with secrets", &hiding, talk_of_secrets),
        ("five lines for people", &people, talk),
        ("five events that nobody wants", &wanting, whisper),
    ];
    for (name, to, work) in subjects {
        group.bench_function(name, |b| with_default(to, || b.iter(work)));
    }
    let text = "card 4111 1111 1111 1111 of anna@example.org was declined";
    let policy = Policy::standard();
    group.bench_function("a text with two secrets", |b| {
        b.iter(|| black_box(policy.text(black_box(text))));
    });
    group.finish();
    criterion.final_summary();
    if !ratios::wanted() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut ratios = Ratios::of("structured_logs");
        let fmt = async || with_default(&by_fmt, talk);
        let plain = async || with_default(&open, talk);
        let hidden = async || with_default(&hiding, talk);
        ratios.compare("five lines, none / fmt().json()", fmt, plain).await;
        ratios.at_most(3.5, "five lines / fmt().json()", fmt, hidden).await;
        ratios.at_most(3.5, "five lines / hiding nothing", plain, hidden).await;
        let plain = async || with_default(&open, talk_of_secrets);
        let secrets = async || with_default(&hiding, talk_of_secrets);
        ratios.compare("with secrets / hiding nothing", plain, secrets).await;
        let watched = async || with_default(&people, talk);
        ratios.compare("for people / for machines", hidden, watched).await;
        let nobody = async || with_default(&wanting, whisper);
        ratios.at_most(0.05, "five that nobody wants / five lines", hidden, nobody).await;
        let nothing = async || with_default(&wanting, || assert!(black_box(true)));
        ratios.compare("five that nobody wants / nothing", nothing, nobody).await;
        ratios.end();
        Ok(())
    })
}
