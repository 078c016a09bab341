//! What an orchestrator costs a step.
//!
//! ```console
//! $ cargo bench -p sagas --bench orchestration
//! ```
//!
//! The steps answer at once and the log is in memory, so what is left is the orchestrator: a key, a
//! timer for the deadline, the entry, and the question what comes next. Beside it the same five
//! closures, called one after the other. A call to a service takes some hundred times as long as any
//! of this. The ratio is there to be read; what has to hold is counted: one entry a step on the way
//! forward, and one for each step and each undoing on a way back.

use criterion::Criterion;
use sagas::orchestration::{Conductor, Memory, Orchestrator};
use sagas::{Failure, Outcome, Run, Saga, Step};
use std::hint::black_box;
use std::sync::Arc;
use testbed::ratios::{self, Ratios};

const NAMES: [&str; 5] = ["reserve", "charge", "confirm", "send", "thank"];

/// Five steps that are done at once, of which the last may be refused.
fn saga(refused: bool) -> Saga<()> {
    NAMES.iter().fold(Saga::named("checkout"), |saga, name| {
        let refuses = refused && *name == "thank";
        let step = Step::new(name, move |run: Run<()>| async move {
            black_box(run);
            if refuses { Err(Failure::Refused(String::new())) } else { Ok(()) }
        });
        saga.step(step.undo(|run: Run<()>| async move {
            black_box(run);
            Ok(())
        }))
    })
}

async fn called(saga: &Saga<()>) {
    for step in &saga.steps {
        let (id, key) = (String::from("order-17"), String::from("checkout/charge/order-17"));
        let run = Run { id, key, attempt: 1, context: Arc::new(()) };
        let _ = black_box((step.action)(run).await);
    }
}

async fn run(saga: &Saga<()>, expected: Outcome) -> usize {
    let log = Memory::default();
    let outcome = Conductor::new().run(saga, "order-17", Arc::new(()), &log).await;
    assert_eq!(outcome.expect("a log in memory keeps everything"), expected);
    log.entries("order-17").len()
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let (well, refused) = (saga(false), saga(true));
    let direct = async || called(&well).await;
    let forward = async || {
        black_box(run(&well, Outcome::Completed).await);
    };
    let back = async || {
        black_box(run(&refused, Outcome::Compensated).await);
    };

    let mut criterion = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("orchestration");
    group.bench_function("five steps, called", |b| b.to_async(&runtime).iter(direct));
    group.bench_function("five steps, a saga", |b| b.to_async(&runtime).iter(forward));
    group.bench_function("four of them and back", |b| b.to_async(&runtime).iter(back));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("orchestration");
            ratios.compare("five steps, a saga / called", direct, forward).await;
            ratios.compare("four and back / five forward", forward, back).await;
            let entries = run(&well, Outcome::Completed).await as f64;
            println!("\n  entries of five steps: {entries}");
            ratios.judge(1.0, "entries a step, forward", entries / 5.0);
            let entries = run(&refused, Outcome::Compensated).await as f64;
            println!("  entries of five steps, the last refused: {entries}");
            ratios.judge(1.0, "entries a call, there and back", entries / 9.0);
            ratios.end();
        });
    }
    Ok(())
}
