//! 07.3 · Spans: which of eight steps made a checkout slow.
//!
//! ```console
//! $ cargo run --example spans
//! ```
//!
//! Ends by itself after about two seconds.

use anyhow::Context;
use axum::http::{Request, Response};
use observability::spans::{Place, Recorder, Route, Spans, TracingSpans, Waterfall};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use tracing_subscriber::layer::SubscriberExt;

const CHECKOUTS: usize = 24;
/// What may be slow. Two more steps have no work of their own, and the mail is always slow.
const WORK: [&str; 5] = ["load cart", "ask warehouse", "write hold", "ask bank", "ask fraud"];

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("07.3 spans · which of eight steps made a checkout slow");
    let recorder = Recorder::new("shop", 4 * CHECKOUTS);
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    tracing::subscriber::set_global_default(subscriber)?;
    let mut random = StdRng::seed_from_u64(page::seed()?);
    let plans: Vec<Arc<Plan>> = (0..CHECKOUTS).map(|_| Arc::new(Plan::draw(&mut random))).collect();
    page::note("In each checkout one step of eight is slow, and the seed draws which one.");
    let done = all(&recorder, &plans, Manner::Joined).await?;
    one_checkout(&done[0]);
    repaired(&recorder, &plans, &done).await?;
    spawned(&recorder, &plans).await?;
    page::next(&[
        ("cargo lab start spans", "write it yourself, and be hung up on"),
        ("cargo lab why spans", "forty-eight ways to lose a step"),
    ]);
    Ok(())
}

/// How long each step of a checkout works, and which of them is the slow one.
#[derive(Clone)]
struct Plan {
    takes: BTreeMap<&'static str, Duration>,
    culprit: &'static str,
}

impl Plan {
    fn draw(random: &mut StdRng) -> Plan {
        let mut millis = |from, to| Duration::from_millis(random.random_range(from..to));
        let mut takes: BTreeMap<_, _> = WORK.into_iter().map(|name| (name, millis(3, 9))).collect();
        takes.insert("send mail", millis(200, 240));
        let slow = millis(110, 140);
        let culprit = WORK.choose(random).copied().unwrap_or(WORK[0]);
        takes.insert(culprit, slow);
        Plan { takes, culprit }
    }

    /// The same, after somebody has made this step fast.
    fn without(&self, suspect: &str) -> Plan {
        let mut plan = self.clone();
        if let Some(takes) = plan.takes.get_mut(suspect) {
            *takes = Duration::from_millis(6);
        }
        plan
    }
}

/// What a checkout has left behind.
#[derive(Default)]
struct Left {
    /// Each step's name, and how long it took, in the order in which they ended.
    log: Vec<(&'static str, Duration)>,
    place: Option<Place>,
    mail: Option<JoinHandle<()>>,
}

type Leaving = Arc<Mutex<Left>>;

fn hold(left: &Leaving) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does this, and logs how long it took.
async fn logged<T>(name: &'static str, left: &Leaving, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    hold(left).log.push((name, began.elapsed()));
    done
}

/// How the two branches of a checkout run at the same time.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Joined,
    /// `spawn(step(…))`: a step, called here and polled there.
    SpawnedAsSteps,
    /// `spawn(async { step(…).await })`: called there.
    SpawnedBare,
}

// ANCHOR: work
/// A step without others beneath it.
async fn does(name: &'static str, plan: &Plan, left: &Leaving) -> Result<(), Infallible> {
    let takes = plan.takes.get(name).copied().unwrap_or_default();
    let work = async {
        logged(name, left, tokio::time::sleep(takes)).await;
        Ok(())
    };
    TracingSpans::step(name, work).await
}

/// A step with two beneath it, one after the other.
fn branch(
    name: &'static str,
    steps: [&'static str; 2],
    plan: Arc<Plan>,
    left: Leaving,
) -> impl Future<Output = Result<(), Infallible>> + Send {
    TracingSpans::step(name, async move {
        let both = async {
            does(steps[0], &plan, &left).await?;
            does(steps[1], &plan, &left).await
        };
        logged(name, &left, both).await
    })
}

async fn checkout(plan: Arc<Plan>, left: Leaving, manner: Manner) -> Result<(), Infallible> {
    hold(&left).place = Recorder::here();
    does("load cart", &plan, &left).await?;
    let stock = ("reserve stock", ["ask warehouse", "write hold"]);
    let card = ("check card", ["ask bank", "ask fraud"]);
    let begin = |(name, steps)| branch(name, steps, Arc::clone(&plan), Arc::clone(&left));
    match manner {
        Manner::Joined => drop(tokio::join!(begin(stock), begin(card))),
        Manner::SpawnedAsSteps => {
            drop(tokio::join!(tokio::spawn(begin(stock)), tokio::spawn(begin(card))));
        }
        Manner::SpawnedBare => {
            let bare = |(name, steps)| {
                let (plan, left) = (Arc::clone(&plan), Arc::clone(&left));
                tokio::spawn(async move { branch(name, steps, plan, left).await })
            };
            drop(tokio::join!(bare(stock), bare(card)));
        }
    }
    let takes = plan.takes.get("send mail").copied().unwrap_or_default();
    let mails = Arc::clone(&left);
    let mail = async move { logged("send mail", &mails, tokio::time::sleep(takes)).await };
    hold(&left).mail = Some(tokio::spawn(TracingSpans::in_task("send mail", mail)));
    Ok(())
}
// ANCHOR_END: work

/// A checkout that has ended, with its mail.
struct Done {
    log: Vec<(&'static str, Duration)>,
    spans: Vec<observability::spans::Finished>,
    took: Duration,
}

async fn one(recorder: Recorder, plan: Arc<Plan>, manner: Manner) -> anyhow::Result<Done> {
    let left = Leaving::default();
    let handler = tower::service_fn({
        let left = Arc::clone(&left);
        move |_: Request<()>| {
            let (plan, left) = (Arc::clone(&plan), Arc::clone(&left));
            async move { checkout(plan, left, manner).await.map(Response::new) }
        }
    });
    let mut request = Request::post("/checkout").body(())?;
    request.extensions_mut().insert(Route("/checkout".into()));
    TracingSpans::serve(handler, request).await?;
    let mail = hold(&left).mail.take();
    mail.context("a mail is sent")?.await?;
    let place = hold(&left).place.context("somebody records")?;
    let trace = recorder.find(place.trace).context("the trace is kept")?;
    let root = trace.spans.iter().find(|span| span.parent.is_none());
    let took = root.context("a trace has a root")?.duration;
    let log = std::mem::take(&mut hold(&left).log);
    Ok(Done { log, spans: trace.spans, took })
}

/// All at once.
async fn all(
    recorder: &Recorder,
    plans: &[Arc<Plan>],
    manner: Manner,
) -> anyhow::Result<Vec<Done>> {
    let mut under_way = JoinSet::new();
    for (nth, plan) in plans.iter().enumerate() {
        let (recorder, plan) = (recorder.clone(), Arc::clone(plan));
        under_way.spawn(async move { (nth, one(recorder, plan, manner).await) });
    }
    let mut done = BTreeMap::new();
    while let Some(ended) = under_way.join_next().await {
        let (nth, ended) = ended?;
        done.insert(nth, ended?);
    }
    Ok(done.into_values().collect())
}

/// Part 1: what there is to look at.
fn one_checkout(done: &Done) {
    page::part(1, "One of them: its log, and its spans");
    let lines: Vec<Vec<String>> =
        done.log.iter().map(|(name, took)| vec![(*name).to_owned(), page::millis(*took)]).collect();
    page::grid(&["the log", "took"], &lines);
    page::note("All of that is true. Which of the long ones did the customer wait for?");
    page::picture(&Waterfall::of(&done.spans).text());
    page::note("Solid is what was waited for. The mail is longer, and nobody waited.");
}

fn mean(times: impl Iterator<Item = Duration>) -> Duration {
    let times: Vec<Duration> = times.collect();
    times.iter().sum::<Duration>() / u32::try_from(times.len().max(1)).unwrap_or(u32::MAX)
}

/// Part 2: somebody makes the suspect fast, and everything is done once more.
async fn repaired(recorder: &Recorder, plans: &[Arc<Plan>], before: &[Done]) -> anyhow::Result<()> {
    page::part(2, "24 slow checkouts, and again after the suspect was made fast");
    page::note("By the log the suspect is its longest line, by the spans the mark.");
    let by_log = before.iter().map(|done| {
        let longest = done.log.iter().max_by_key(|(_, took)| *took);
        longest.map_or("", |(name, _)| *name).to_owned()
    });
    let by_spans = before.iter().map(|done| {
        let waterfall = Waterfall::of(&done.spans);
        waterfall.culprit().map_or_else(String::new, |culprit| culprit.span.name.to_string())
    });
    let mut found = Vec::new();
    for suspects in [by_log.collect::<Vec<_>>(), by_spans.collect()] {
        let pairs = plans.iter().zip(&suspects);
        let right = pairs.clone().filter(|(plan, suspect)| plan.culprit == *suspect).count();
        let fixed: Vec<_> = pairs.map(|(plan, suspect)| Arc::new(plan.without(suspect))).collect();
        let after = all(recorder, &fixed, Manner::Joined).await?;
        found.push((right as u64, mean(after.iter().map(|done| done.took))));
    }
    let (log, spans) = (found[0], found[1]);
    let was = mean(before.iter().map(|done| done.took));
    page::heads(&["by the log", "by the spans"]);
    let count = page::count;
    page::row("checkouts", count(CHECKOUTS as u64), &[count(CHECKOUTS as u64)], "");
    page::row("the suspect was the slow one", count(log.0), &[count(spans.0)], "");
    page::row("a checkout took", page::millis(was), &[page::millis(was)], "");
    let ratio = format!("{:.1}×", log.1.as_secs_f64() / spans.1.as_secs_f64());
    page::row("after the repair", page::millis(log.1), &[page::millis(spans.1)], &ratio);
    Ok(())
}

/// Part 3: the same, with a task for each branch.
async fn spawned(recorder: &Recorder, plans: &[Arc<Plan>]) -> anyhow::Result<()> {
    page::part(3, "The same checkouts, with a task for each branch");
    page::note("spawn(async { step(…).await }) beside spawn(step(…)).");
    let bare = all(recorder, plans, Manner::SpawnedBare).await?;
    let steps = all(recorder, plans, Manner::SpawnedAsSteps).await?;
    page::heads(&["asked there", "asked here"]);
    let in_their_tree = |all: &[Done]| page::count(all.iter().map(|d| d.spans.len() as u64).sum());
    // The request, and eight steps.
    let made = page::count(9 * CHECKOUTS as u64);
    page::row("spans", &made, std::slice::from_ref(&made), "");
    page::row("in the tree of their request", in_their_tree(&bare), &[in_their_tree(&steps)], "");
    let right = |all: &[Done]| {
        let right = all.iter().zip(plans).filter(|(done, plan)| {
            let waterfall = Waterfall::of(&done.spans);
            waterfall.culprit().is_some_and(|culprit| culprit.span.name == plan.culprit)
        });
        page::count(right.count() as u64)
    };
    page::row("slow steps that are found", right(&bare), &[right(&steps)], "");
    Ok(())
}
