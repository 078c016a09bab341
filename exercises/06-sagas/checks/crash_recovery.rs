//! What sagas must withstand whose drivers die, and wake.

mod again;
mod claims;
mod driver;
mod found;
mod journal;
mod killed;
mod late;
mod servers;
mod services;
mod together;
mod unclear;

use again::{dropped_caller, only_the_first, started_again};
use claims::{claim_waits, late_claim, lease_by_name};
use driver::{Orders, Stop, driver};
use found::{all_entries, any_id, hundreds, left_for_long, nothing_left};
use grading::{Child, Evidence, Finding, History, Process, SOON, World};
use journal::{ended_long_ago, entry_before_next, parked, start_to_end, two_names, unreadable};
use killed::{
    asked_first, killed_again, killed_at_a_statement, killed_in_an_action, killed_undoing,
};
use late::{late_echo, late_refusal, lease_lost, long_step, stopped_driver};
use rand::RngExt;
use sagas::crash_recovery::{Error, Options, Recovery, TakenOver};
use sagas::journal::{SCHEMA, Tables};
use sagas::{Entry, Failure, Outcome, Saga};
use serde::{Deserialize, Serialize};
use servers::{killed_sessions, lost_replies, postgres_away, postgres_stalls, redis_away};
use services::{Hook, Moment, NAME, Order, Services, UNDOING, checkout, hook};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::postgres::{Session, Target};
use testbed::proxy::Proxy;
use together::{listed_twice, one_driver};
use tokio::task::JoinHandle;
use unclear::refused_when_resumed;

const PAGE: &str = "docs/lessons/crash_recovery.md";

/// Nobody waits for this lease to end: where somebody is killed, Redis is made to forget it.
const LONG_LEASE: Options =
    Options { ttl: Duration::from_secs(30), timeout: Duration::from_secs(5) };
/// For checks in which a lease does end.
const SHORT_LEASE: Options =
    Options { ttl: Duration::from_millis(1_500), timeout: Duration::from_millis(800) };
/// How soon a saga has to end that can be taken over.
const A_WHILE: Duration = Duration::from_secs(5);
/// How often one that is ready to drive has to fail before it is taken for one that cannot.
const IN_VAIN: usize = 60;
/// For many sagas, one after the other, on a busy machine.
const LONG: Duration = Duration::from_secs(40);
/// More statements than anybody needs for a saga.
const STATEMENTS: usize = 24;

grading::checks! { S: Recovery; read(PAGE), limit(LONG);
    start_to_end: "a saga is driven to its end, and one that has ended is only reported",
    entry_before_next: "an entry is in the journal before the next step begins",
    two_names: "two sagas of one id and two names are two",
    killed_in_an_action: "killed before or after any effect, each saga completes, and nothing twice"
        .process(driver::<S>),
    killed_at_a_statement: "killed behind any statement, each saga completes, and nothing twice"
        .process(driver::<S>),
    killed_undoing: "killed on the way back, each saga is undone, and nothing twice"
        .process(driver::<S>),
    killed_again: "whoever takes over may be killed as well"
        .process(driver::<S>),
    asked_first: "a step that may have been begun is asked for before it is attempted"
        .process(driver::<S>),
    only_the_first: "one step may have been begun by another, and the steps behind it were not",
    refused_when_resumed: "what may have been begun, and is refused then, is undone with the rest",
    all_entries: "all that has happened counts, in its order, for whoever takes over",
    started_again: "called again, a saga goes on from where it was, with what it was begun with",
    dropped_caller: "a caller that is dropped keeps nobody else out",
    one_driver: "who drives a saga is left alone, at whatever step",
    lease_by_name: "the lease on `saga:NAME:ID` says who drives, whoever holds it",
    listed_twice: "a saga that another has driven since it was listed is not driven again",
    long_step: "a step that takes longer than the lease extends it",
    lease_lost: "who loses the lease stops at once, in the middle of a step",
    stopped_driver: "a driver that was stopped past its lease wakes, and changes nothing"
        .process(driver::<S>),
    late_refusal: "what a late driver writes is refused, also before its successor has written",
    late_echo: "what a late driver writes is refused, also where another has written the same",
    late_claim: "who asks for a saga when its lease is over takes it from nobody",
    claim_waits: "who takes over reads the entry for whose commit it has waited",
    lost_replies: "an answer of the journal that is lost does no harm",
    killed_sessions: "after its sessions were killed, a saga goes on",
    postgres_stalls: "a PostgreSQL that hangs is an error in time, and the saga goes on elsewhere",
    postgres_away: "where nobody can say what has not ended, taking over is an error",
    redis_away: "without Redis nobody drives, and when it is back the saga goes on",
    parked: "what is parked waits for a person, and then goes on",
    ended_long_ago: "hundreds of sagas that have ended are not looked at",
    nothing_left: "a saga of which no step is left has ended, and is not found again",
    hundreds: "of hundreds that can go on, none is left for another time",
    left_for_long: "however long it has lain, and however often it was taken over, it is driven",
    any_id: "a saga is driven, whatever its id",
    unreadable: "a saga that cannot go on holds up no other",
}

/// A world with the journal's tables and the services of a shop.
struct Scene {
    world: World,
    url: String,
    services: Services,
    /// The first id; it is of the world's seed.
    first: usize,
    sagas: AtomicUsize,
}

impl Scene {
    async fn set(world: World) -> Result<Scene, Finding> {
        let url = world.postgres().await?.url().to_owned();
        let schema = format!("{SCHEMA}; {}", services::SCHEMA);
        let at = url.clone();
        let furnish = move || {
            let target = Target::read(&at).map_err(Finding::inconclusive)?;
            let mut session = Session::open(&target, SOON).map_err(said)?;
            session.query(&schema).map_err(said)?;
            session.close();
            Ok::<_, Finding>(())
        };
        tokio::task::spawn_blocking(furnish).await??;
        let services = Services::open(&url, "check", None)?;
        let first = world.random().random_range(1_000..9_000);
        Ok(Scene { world, url, services, first, sagas: AtomicUsize::new(0) })
    }

    /// Of an order that there was not yet.
    fn id(&self) -> String {
        format!("order-{}", self.first + self.sagas.fetch_add(1, Ordering::SeqCst))
    }

    fn history(&self) -> &History {
        self.world.history()
    }

    /// The check's own question, past every proxy.
    async fn ask(&self, sql: &str, of: &str) -> Result<Vec<String>, Finding> {
        let rows = self.services.tables.rows(sql, &[&of]).await.map_err(said)?;
        Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect())
    }

    /// Somebody who drives sagas, on a lane of the timeline, and can be met at each moment of theirs.
    async fn driver<S: Recovery>(
        &self,
        lane: &'static str,
        options: Options,
        hook: Hook,
    ) -> Result<Arc<Driver<S>>, Finding> {
        let (postgres, redis) = (self.url.clone(), self.world.redis().url().to_owned());
        self.driver_at(lane, options, hook, &postgres, &redis).await
    }

    async fn driver_at<S: Recovery>(
        &self,
        lane: &'static str,
        options: Options,
        hook: Hook,
        postgres: &str,
        redis: &str,
    ) -> Result<Arc<Driver<S>>, Finding> {
        let recovery = S::open(postgres, redis, options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let services = Services::open(&self.url, lane, Some(self.history().clone()))?;
        let saga = checkout(&services, &hook, false);
        Ok(Arc::new(Driver { lane, recovery, saga, history: self.history().clone() }))
    }

    /// A saga that has begun in the journal and that nobody drives.
    async fn put(&self, id: &str, order: &Order) -> Result<(), Finding> {
        let put = "INSERT INTO saga (name, id, context) VALUES ($1, $2, $3)";
        let context = serde_json::to_string(order).map_err(said)?;
        self.services.tables.rows(put, &[&NAME, &id, &context]).await.map_err(said)?;
        Ok(())
    }

    /// How it stands in the journal.
    async fn stands(&self, id: &str) -> Result<String, Finding> {
        let look = format!(
            "SELECT coalesce(outcome, 'unfinished') FROM saga WHERE name = '{NAME}' AND id = $1"
        );
        Ok(self.ask(&look, id).await?.pop().unwrap_or_else(|| "not begun".to_owned()))
    }

    /// How often each thing was done, or attempted.
    async fn counted(&self, table: &str, id: &str) -> Result<BTreeMap<String, usize>, Finding> {
        let mut counted = BTreeMap::new();
        for what in self.ask(&format!("SELECT what FROM {table} WHERE saga = $1"), id).await? {
            *counted.entry(what).or_default() += 1;
        }
        Ok(counted)
    }

    /// All has to be as it should: the end, each effect once, and the steps that were attempted again
    /// at most so many.
    async fn ends(&self, id: &str, order: &Order, repeated: usize) -> Result<(), Finding> {
        let stands = self.stands(id).await?;
        let effects = self.counted("effect", id).await?;
        let expected = order.end();
        let wrong = |what: String, saw: String, part: &str| -> Finding {
            let step = LANES.iter().filter_map(|lane| self.history().last(lane, part)).max();
            Evidence::new(what, saw).at(step).into()
        };
        let should: BTreeMap<String, usize> =
            order.effects().iter().map(|what| ((*what).to_owned(), 1)).collect();
        if stands != expected.word() {
            let what = format!("{id} {}: {}", expected.word(), told(&should));
            return Err(wrong(what, format!("{stands}: {}", told(&effects)), id));
        }
        if effects != should {
            let part = effects.iter().find(|(what, times)| should.get(*what) != Some(*times));
            let part = part.map_or("", |(what, _)| what.as_str()).to_owned();
            return Err(wrong(format!("{id}: {}", told(&should)), told(&effects), &part));
        }
        let others = "SELECT DISTINCT buyer FROM effect WHERE saga = $1";
        let buyers = self.ask(others, id).await?;
        if buyers != [order.buyer.clone()] {
            let what = format!("{id}: all for {}, as in its context", order.buyer);
            return Err(wrong(what, buyers.join(", "), id));
        }
        let twice = "SELECT entry FROM saga_entry WHERE id = $1 GROUP BY entry HAVING count(*) > 1";
        if let Some(entry) = self.ask(twice, id).await?.pop() {
            return Err(wrong(format!("{id}: each entry once"), format!("twice: {entry}"), id));
        }
        let attempts = self.counted("attempt", id).await?;
        let again: Vec<&String> =
            attempts.iter().filter(|(_, times)| **times > 1).map(|(what, _)| what).collect();
        let more: usize = attempts.values().map(|times| times - 1).sum();
        if more > repeated {
            let what = match repeated {
                0 => format!("{id}: each step attempted once"),
                some => format!("{id}: at most {some} attempted again, what had no entry yet"),
            };
            let part = again.last().map_or(id, |what| what.as_str());
            return Err(wrong(what, told(&attempts), part));
        }
        Ok(())
    }

    /// Lets `driver` take over until none of these is unfinished.
    async fn recovered<S: Recovery>(
        &self,
        driver: &Driver<S>,
        sagas: &[(String, Order)],
    ) -> Result<(), Finding> {
        let began = Instant::now();
        // Nobody else drives them, so to wait is of no use.
        let mut in_vain = 0;
        loop {
            let answer = driver.take_over().await?;
            in_vain += match &answer {
                Ok(TakenOver { elsewhere: 0, failed: 0, .. }) => IN_VAIN / 2,
                Ok(TakenOver { elsewhere: 0, .. }) => 1,
                _ => 0,
            };
            let mut left = None;
            for (id, _) in sagas {
                let stands = self.stands(id).await?;
                if stands == "unfinished" || stands == "not begun" {
                    left = Some(format!("{id} {stands}; take_over said: {}", shown(&answer)));
                }
            }
            let Some(left) = left else { return Ok(()) };
            if began.elapsed() > A_WHILE || in_vain >= IN_VAIN {
                let what = "each saga taken over and at its end: nobody drives it";
                let step = self.history().last(driver.lane, "= ");
                return Err(Evidence::new(what, left).at(step).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const LANES: [&str; 4] = ["early", "late", "driver", "successor"];

/// One who drives sagas.
struct Driver<S> {
    lane: &'static str,
    recovery: S,
    saga: Saga<Order>,
    history: History,
}

impl<S: Recovery> Driver<S> {
    async fn start(&self, id: &str, order: &Order) -> Result<Outcome, Error> {
        let starting = self.recovery.start(&self.saga, id, order.clone());
        self.history.call(self.lane, format!("start {id}"), starting).await
    }

    /// Right after another call for the same saga, or when another driver has just ended: the lease
    /// may still be on its way back.
    async fn start_again(&self, id: &str, order: &Order) -> Result<Outcome, Error> {
        let began = Instant::now();
        loop {
            match self.start(id, order).await {
                Err(Error::Driven) if began.elapsed() < SOON => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                answer => return answer,
            }
        }
    }

    fn spawn_start(
        self: &Arc<Self>,
        id: &str,
        order: &Order,
    ) -> JoinHandle<Result<Outcome, Error>> {
        let (driver, id, order) = (Arc::clone(self), id.to_owned(), order.clone());
        tokio::spawn(async move { driver.start(&id, &order).await })
    }

    /// Ends in time, however.
    async fn take_over(&self) -> Result<Result<TakenOver, Error>, Finding> {
        let taking = self.recovery.take_over(&self.saga);
        let taking = self.history.call(self.lane, "take over", taking);
        match tokio::time::timeout(A_WHILE, taking).await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                let what = format!("an end of take_over() within {A_WHILE:?}");
                let step = self.history.last(self.lane, "take over");
                Err(Evidence::new(what, "none").at(step).into())
            }
        }
    }

    fn spawn_take_over(self: &Arc<Self>) -> JoinHandle<Result<Result<TakenOver, Error>, Finding>> {
        let driver = Arc::clone(self);
        tokio::spawn(async move { driver.take_over().await })
    }

    /// Has to come to this end.
    async fn drives(&self, id: &str, order: &Order) -> Result<(), Finding> {
        match self.start_again(id, order).await {
            Ok(outcome) if outcome == order.end() => Ok(()),
            answer => Err(self.broken(format!("{:?}", order.end()), &shown(&answer))),
        }
    }

    fn broken(&self, expected: impl Into<String>, saw: &str) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Waits until a saga that is driven has come to the gate.
async fn comes_to<T: std::fmt::Debug>(
    gate: &Gate,
    driving: &mut JoinHandle<Result<T, Error>>,
) -> Result<(), Finding> {
    let expected = "the saga driven, up to the step at which it is held";
    tokio::select! {
        came = gate.arrived(1, A_WHILE) => {
            came.map_err(|_| Evidence::new(expected, format!("nothing within {A_WHILE:?}")).into())
        }
        ended = driving => Err(Evidence::new(expected, shown(&ended?)).into()),
    }
}

fn shown<T: std::fmt::Debug>(answer: &Result<T, Error>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

/// `charge, mail twice`.
fn told(counted: &BTreeMap<String, usize>) -> String {
    let times = |(what, times): (&String, &usize)| match times {
        1 => what.clone(),
        2 => format!("{what} twice"),
        more => format!("{what} {more} times"),
    };
    let told: Vec<String> = counted.iter().map(times).collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

fn said(trouble: impl std::fmt::Display) -> Finding {
    Finding::inconclusive(format!("the check itself failed: {trouble}"))
}

fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
