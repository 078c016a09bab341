//! What an outbox must withstand: transactions that end in any order, a broker that refuses, and
//! relays that are cut, stopped and killed.

mod broker;
mod calls;
mod commits;
mod confirms;
mod crashes;
mod order;
mod processes;
mod relays;

use broker::{Broker, Fate, Wire};
use calls::{slow_broker, whole_batch};
use commits::{
    adding_goes_on, as_it_was, commit_gap, killed_writer, open_elsewhere, rolled_back, still_open,
    unsendable, who_waited, writer,
};
use confirms::{broker_away, parked, pauses, published_again, what_came_of_it};
use crashes::{broker_hangs, cut_anywhere, killed_sessions, postgres_stalls};
use deadpool_postgres::tokio_postgres::{self, Client, NoTls, Transaction};
use grading::{Child, Evidence, Finding, History, SOON, World};
use messaging::Message;
use order::{in_order, one_after_the_other, others_go_on};
use processes::{asking, found_out, two_processes};
use rand::RngExt;
use relays::{dropped_relay, held_anywhere, killed_relay, relaying, stopped_relay, two_relays};
use sagas::outbox::{Error, Forwarded, Options, Outbox, SCHEMA};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::proxy::Proxy;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const PAGE: &str = "docs/lessons/outbox.md";

/// Nobody gives up on a busy machine, and what was refused comes again soon.
const PATIENT: Options = Options {
    timeout: Duration::from_secs(2),
    turn: Duration::from_secs(10),
    batch: 100,
    attempts: 1_000,
    pause: Duration::from_millis(10),
};
/// For checks in which PostgreSQL hangs.
const BRISK: Options = Options { timeout: Duration::from_millis(250), ..PATIENT };
/// For checks in which somebody keeps the turn.
const SHORT_TURN: Options = Options { turn: Duration::from_millis(300), ..PATIENT };
/// How long others may have to wait for a turn that somebody keeps.
const A_WHILE: Duration = Duration::from_secs(5);
/// What hangs is found out by shorter limits than that of the whole check.
const LONG: Duration = Duration::from_secs(60);
/// More requests than anybody makes for one message.
const STEPS: usize = 16;

grading::checks! { S: Outbox; read(PAGE), limit(LONG);
    rolled_back: "what was committed is published once, and what was rolled back never",
    still_open: "of a transaction that is still open nothing is published",
    as_it_was: "a message arrives as it was added, to the last byte",
    unsendable: "what no broker takes is refused in the transaction that adds it",
    killed_writer: "a process that is killed right after its commit has told all the same"
        .process(writer::<S>),
    commit_gap: "a number that was drawn early and committed late is not passed over",
    open_elsewhere: "a transaction that is open elsewhere holds up nobody's message",
    who_waited: "who waited for another's commit comes behind it",
    adding_goes_on: "a relay that waits for the broker keeps nobody from adding",
    whole_batch: "a call takes as many as a batch has, and no more",
    in_order: "within a correlation the order is kept, through all batches",
    one_after_the_other: "what was not confirmed is not overtaken in its correlation",
    others_go_on: "what is not confirmed holds up its own correlation, and no other",
    pauses: "what was refused or given back is not tried again before its pause is over",
    what_came_of_it: "a call tells what was sent, refused and parked, and what nobody knows",
    published_again: "what was not confirmed is published again, under the same id",
    parked: "what no queue wants is parked with its reason, and those behind it go on",
    broker_away: "a broker that is away or full parks nothing, and nothing is lost",
    cut_anywhere: "a connection to PostgreSQL that is cut at any step loses nothing",
    killed_sessions: "after its sessions were killed it goes on",
    postgres_stalls: "when PostgreSQL hangs, forwarding ends in time, and goes on later",
    broker_hangs: "when the broker hangs, forwarding ends in time, and others may go on",
    slow_broker: "with a slow broker each call ends with its turn, and the next goes on from there",
    dropped_relay: "a call that is dropped in its turn keeps out neither itself nor others",
    two_relays: "of two relays at once one publishes: nothing twice, and nothing overtaken",
    held_anywhere: "a relay that is held at any step sends nothing that another sends meanwhile",
    two_processes: "of two processes one publishes, and what the one has sent the other leaves"
        .process(asking::<S>),
    found_out: "what one process has found out, the next one knows: pauses, and attempts"
        .process(asking::<S>),
    killed_relay: "what a relay had published when it was killed, the next publishes again"
        .process(relaying::<S>),
    stopped_relay: "a relay that is stopped in its turn loses it, and harms nothing when it wakes"
        .process(relaying::<S>),
}

/// A world with an empty outbox, a table of orders beside it, and a broker that the check plays.
struct Scene {
    world: World,
    broker: Broker,
    /// What the shop commits over, past every proxy.
    shop: Mutex<Client>,
    exchange: String,
    /// Of its seed, so that no answer can know ids and numbers beforehand.
    first: u32,
}

impl Scene {
    async fn set(world: World) -> Result<Scene, Finding> {
        let first = world.random().random_range(100..900);
        let broker = Broker::new(world.history().clone());
        let client = connect(world.postgres().await?.url()).await?;
        let orders = "CREATE TABLE orders (id text PRIMARY KEY, state text NOT NULL)";
        for make in [SCHEMA, orders] {
            client.batch_execute(make).await.map_err(said)?;
        }
        let (shop, exchange) = (Mutex::new(client), format!("shop-{first}"));
        Ok(Scene { world, broker, shop, exchange, first })
    }

    /// One more connection of the check's own.
    async fn client(&self) -> Result<Client, Finding> {
        connect(self.world.postgres().await?.url()).await
    }

    /// A relay with its own outbox, its own connections and its own way to the one broker. Its
    /// statements would fill the timeline with looks at nothing, so they are not in it.
    async fn relay<S: Outbox>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Relay<S>>, Finding> {
        let proxy = Proxy::before_postgres(self.world.postgres().await?.url()).await?;
        self.relay_at(proxy, lane, options)
    }

    /// A relay whose statements stand in its lane.
    async fn watched_relay<S: Outbox>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Relay<S>>, Finding> {
        let proxy = self.world.postgres_client(lane).await?;
        self.relay_at(proxy, lane, options)
    }

    fn relay_at<S: Outbox>(
        &self,
        proxy: Proxy,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Relay<S>>, Finding> {
        let outbox = S::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let wire = Wire { lane, broker: self.broker.clone() };
        let (exchange, history) = (self.exchange.clone(), self.world.history().clone());
        Ok(Arc::new(Relay { lane, outbox, wire, proxy, exchange, history }))
    }

    /// The `nth` message of the order `order`; its id says nothing about either.
    fn message(&self, order: u32, nth: u32) -> Message {
        let order = self.first + order;
        // Neither rising nor falling.
        let draw = (order * 7_919 + nth * 104_729) % 9_973;
        Message {
            correlation: Some(format!("order {order}")),
            ..Message::new(format!("{draw}/{order}.{nth}"), format!("step.{nth}"), [nth as u8])
        }
    }

    /// Adds these in one transaction, and commits it.
    async fn commit<S: Outbox>(
        &self,
        relay: &Relay<S>,
        messages: &[Message],
    ) -> Result<(), Finding> {
        let mut client = self.shop.lock().await;
        if client.is_closed() {
            *client = self.client().await?;
        }
        let transaction = client.transaction().await.map_err(said)?;
        for message in messages {
            self.add(relay, &transaction, message).await?;
        }
        transaction.commit().await.map_err(said)?;
        self.note("shop", "commits");
        Ok(())
    }

    async fn add<S: Outbox>(
        &self,
        relay: &Relay<S>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Finding> {
        self.note("shop", format!("adds {}", message.id));
        relay.outbox.add(transaction, message).await.map_err(|error| {
            Evidence::new("add() to work", error.to_string())
                .at(self.world.history().last("shop", "adds"))
                .into()
        })
    }

    fn note(&self, lane: &str, text: impl Into<String>) {
        self.world.history().note(lane, text);
    }

    /// Has to have got these and no others, each once; of each correlation in this order.
    fn got(&self, messages: &[Message], because: &str) -> Result<(), Finding> {
        self.in_order(messages, because)?;
        for message in messages {
            match self.broker.times(&message.id) {
                1 => {}
                times => {
                    let expected = format!("{} once: {because}", message.id);
                    return Err(self.broken(
                        expected,
                        format!("it came {times} times"),
                        &message.id,
                    ));
                }
            }
        }
        let known = |id: &String| messages.iter().any(|message| message.id == *id);
        match self.broker.ids().into_iter().find(|id| !known(id)) {
            None => Ok(()),
            Some(stranger) => {
                let expected = format!("no {stranger}: {because}");
                Err(self.broken(expected, "it was published", &stranger))
            }
        }
    }

    /// Has to have got all of these; of each correlation first in this order, whatever came again.
    fn in_order(&self, messages: &[Message], because: &str) -> Result<(), Finding> {
        let ids = self.broker.ids();
        let mut last: BTreeMap<&Option<String>, (usize, &str)> = BTreeMap::new();
        for message in messages {
            let Some(place) = ids.iter().position(|id| *id == message.id) else {
                let expected = format!("{}: {because}", message.id);
                return Err(self.broken(expected, "it was never published", &message.id));
            };
            let before = last.insert(&message.correlation, (place, &message.id));
            if let Some((_, before)) = before.filter(|(before, _)| *before > place) {
                let expected = format!("{before} before {}: {because}", message.id);
                return Err(self.broken(expected, "it came after it", &message.id));
            }
        }
        Ok(())
    }

    fn broken(&self, expected: impl Into<String>, saw: impl Into<String>, id: &str) -> Finding {
        let history = self.world.history();
        let evidence = Evidence::new(expected, saw).at(history.last("shop", &format!("adds {id}")));
        evidence.at(history.last("broker", id)).into()
    }
}

async fn connect(url: &str) -> Result<Client, Finding> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(said)?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` wants it
fn said(error: tokio_postgres::Error) -> Finding {
    Finding::inconclusive(format!("PostgreSQL failed the check itself: {error}"))
}

/// One relay of the shop's.
struct Relay<S> {
    lane: &'static str,
    outbox: S,
    wire: Wire,
    proxy: Proxy,
    exchange: String,
    history: History,
}

impl<S: Outbox> Relay<S> {
    async fn forward(&self) -> Result<Forwarded, Error> {
        let call = self.history.invoke(self.lane, "forward");
        let answer = self.outbox.forward(&self.exchange, &self.wire).await;
        match &answer {
            Ok(done) => call.ok(told(done)),
            Err(error) => call.fail(error.to_string()),
        };
        answer
    }

    fn start(self: &Arc<Self>) -> JoinHandle<Result<Forwarded, Error>> {
        let relay = Arc::clone(self);
        tokio::spawn(async move { relay.forward().await })
    }

    /// Forwards until the broker has got so many different messages.
    async fn until(&self, messages: usize, within: Duration) -> Result<(), Finding> {
        let began = Instant::now();
        while self.wire.broker.different() < messages {
            let left = within.saturating_sub(began.elapsed());
            match tokio::time::timeout(left, self.quietly()).await {
                Ok(Ok(Forwarded { sent: 1.., .. })) => {}
                // What fails at once is no sooner done for that.
                Ok(_) if !left.is_zero() => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => {
                    let expected = format!("{messages} messages published within {within:?}");
                    let saw = format!("{}", self.wire.broker.different());
                    let last = self.history.last("broker", "");
                    return Err(Evidence::new(expected, saw).at(last).into());
                }
            }
        }
        Ok(())
    }

    /// Two more turns, in which nothing should be left to do.
    async fn rest(&self) -> Result<(), Finding> {
        for _ in 0..2 {
            if self.quietly().await.is_err() {
                // On a busy machine.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Forwards, and tells of it only when something came of it: a timeline of looks at nothing
    /// teaches nothing.
    async fn quietly(&self) -> Result<Forwarded, Error> {
        let answer = self.outbox.forward(&self.exchange, &self.wire).await;
        match &answer {
            Ok(done) if *done == Forwarded::default() => {}
            Ok(done) => drop(self.history.note(self.lane, format!("forward: {}", told(done)))),
            Err(error) => drop(self.history.note(self.lane, format!("forward: {error}"))),
        }
        answer
    }

    fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

fn told(done: &Forwarded) -> String {
    let Forwarded { sent, refused, parked, unknown } = done;
    let parts = [(sent, "sent"), (refused, "refused"), (parked, "parked"), (unknown, "unknown")];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(many, _)| **many > 0)
        .map(|(many, what)| format!("{many} {what}"))
        .collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
