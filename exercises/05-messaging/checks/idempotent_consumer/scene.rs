//! The world of these checks: consumers, their messages, and a ledger that shows every effect.

use super::*;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{self, Transaction};
use grading::History;
use messaging::idempotent_consumer::{Error, SCHEMA, Work};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use testbed::gate::Gate;
use testbed::postgres::{Session, Target};
use testbed::proxy::Proxy;
use tokio::task::JoinHandle;

/// Where the effects stand. Nothing in it keeps anybody from booking twice.
const LEDGER: &str = "
    CREATE TABLE ledger (
        consumer text NOT NULL,
        message text NOT NULL,
        side text NOT NULL CHECK (side IN ('debit', 'credit'))
    )";

/// The consumer that most of the checks are about.
pub(super) const CONSUMER: &str = "billing";

/// A world with an inbox and a ledger. The ids are of its seed, so that no answer can know them
/// beforehand.
pub(super) struct Scene {
    pub(super) world: World,
    number: u32,
    messages: AtomicUsize,
}

impl Scene {
    pub(super) async fn set(world: World) -> Result<Scene, Finding> {
        let number = world.random().random_range(1000..10_000);
        let scene = Scene { world, number, messages: AtomicUsize::new(0) };
        scene.ask(format!("{SCHEMA}; {LEDGER}")).await?;
        Ok(scene)
    }

    /// A message that there was not before, on a new page of the timeline.
    pub(super) fn message(&self) -> Message {
        self.world.history().turn_page();
        self.one_more()
    }

    /// A message that there was not before.
    pub(super) fn one_more(&self) -> Message {
        let nth = self.messages.fetch_add(1, Ordering::Relaxed);
        Message::new(format!("payment-{}-{nth}", self.number), "payment.received.v1", "12.50")
    }

    /// The check's own question, past every proxy.
    pub(super) async fn ask(&self, sql: String) -> Result<Option<String>, Finding> {
        let url = self.world.postgres().await?.url().to_owned();
        let asked = move || {
            let target = Target::read(&url).map_err(Finding::inconclusive)?;
            let said = |refusal: testbed::postgres::Refusal| {
                Finding::inconclusive(format!("PostgreSQL failed the check itself: {refusal}"))
            };
            let mut session = Session::open(&target, SOON).map_err(said)?;
            let rows = session.query(&sql).map_err(said)?;
            session.close();
            Ok(rows.into_iter().flatten().flatten().next())
        };
        tokio::task::spawn_blocking(asked).await?
    }

    /// One number, past every proxy.
    pub(super) async fn count(&self, sql: String) -> Result<u64, Finding> {
        let answer = self.ask(sql).await?.unwrap_or_default();
        answer.parse().map_err(|_| Finding::inconclusive(format!("`{answer}` is no number")))
    }

    /// The rows of the ledger about this message: two are a booking.
    pub(super) async fn rows(&self, consumer: &str, message: &Message) -> Result<u64, Finding> {
        let id = message.id.replace('\'', "''");
        let of = format!("consumer = '{consumer}' AND message = '{id}'");
        self.count(format!("SELECT count(*) FROM ledger WHERE {of}")).await
    }

    /// The ledger must hold this message's effect once, or not at all.
    pub(super) async fn holds(
        &self,
        consumer: &str,
        message: &Message,
        bookings: usize,
        because: &str,
    ) -> Result<(), Finding> {
        let rows = self.rows(consumer, message).await?;
        if rows == 2 * bookings as u64 {
            return Ok(());
        }
        let saw = match rows {
            0 => "no effect".to_owned(),
            1 => "half of an effect".to_owned(),
            2 => "one effect".to_owned(),
            4 => "two effects".to_owned(),
            rows => format!("{rows} rows, where two are an effect"),
        };
        let history = self.world.history();
        let step = history.note("ledger", format!("{} of {}", saw, message.id));
        let expected = ["no effect", "one effect", "two effects"][usize::min(bookings, 2)];
        let answered = ["first", "second", "process"].iter();
        let last = answered.filter_map(|lane| history.last(lane, "= ")).max();
        Err(Evidence::new(format!("{expected}: {because}"), saw).at(last).at(step).into())
    }

    pub(super) async fn client<S: Inbox>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        self.consumer(lane, CONSUMER, options).await
    }

    pub(super) async fn consumer<S: Inbox>(
        &self,
        lane: &'static str,
        consumer: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        let proxy = self.world.postgres_client(lane).await?;
        let inbox = S::open(proxy.url(), consumer, options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let history = self.world.history().clone();
        Ok(Arc::new(Client { lane, consumer, inbox, proxy, history }))
    }

    /// Delivers until it is acknowledged, as a broker does. What is acknowledged must have had its
    /// effect, and one. Also says whether it was the first delivery that was acknowledged.
    pub(super) async fn until_done<S: Inbox>(
        &self,
        client: &Arc<Client<S>>,
        message: &Message,
    ) -> Result<(Once, bool), Finding> {
        let began = Instant::now();
        let mut at_once = true;
        loop {
            let delivery = client.deliver(message, Middle::Goes);
            let Ok(answer) = tokio::time::timeout(A_WHILE, delivery).await else {
                let saw = format!("none within {A_WHILE:?}");
                return Err(client.broken(format!("an answer about {}", message.id), saw));
            };
            match answer {
                Ok(once) => {
                    self.acknowledged(client, message).await?;
                    return Ok((once, at_once));
                }
                Err(error) if began.elapsed() > A_WHILE => {
                    let expected = format!("{} done: nobody else is at it", message.id);
                    return Err(client.broken(expected, error.to_string()));
                }
                Err(_) => at_once = false,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `Ok` was said of it.
    pub(super) async fn acknowledged<S: Inbox>(
        &self,
        client: &Client<S>,
        message: &Message,
    ) -> Result<(), Finding> {
        let because = "after Ok it is acknowledged, and never comes again";
        self.holds(client.consumer, message, 1, because).await
    }

    /// Delivers until it is acknowledged, and it has to be as it says.
    pub(super) async fn is<S: Inbox>(
        &self,
        client: &Arc<Client<S>>,
        message: &Message,
        wanted: Once,
    ) -> Result<(), Finding> {
        let (once, at_once) = self.until_done(client, message).await?;
        // On a busy machine, one that was too slow may have been done all the same.
        if once == wanted || (!at_once && once == Once::Seen) {
            return Ok(());
        }
        Err(client.broken(format!("{wanted:?}"), format!("{once:?}")))
    }

    /// Until no session is in a transaction any more. A call that says `Seen` may have its ROLLBACK
    /// still on its way, and the next step would be counted wrong.
    pub(super) async fn quiet(&self) -> Result<(), Finding> {
        let began = Instant::now();
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND pid <> pg_backend_pid() AND state <> 'idle'";
        while self.count(busy.to_owned()).await? > 0 && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Until a task has ended, or somebody waits for a lock.
    pub(super) async fn ends_or_waits<T>(&self, task: &JoinHandle<T>) -> Result<(), Finding> {
        let began = Instant::now();
        while !task.is_finished() && self.world.postgres().await?.waiting().await? == 0 {
            if began.elapsed() > SOON {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// What happens in the middle of an effect, between its two rows.
#[derive(Clone)]
pub(super) enum Middle {
    /// Nothing.
    Goes,
    /// It waits at the gate.
    Waits(Gate),
    /// It waits at the gate, and fails.
    Fails(Gate),
    /// A statement fails, and nobody looks.
    Hides,
    /// A statement is refused with this SQLSTATE.
    Refused(&'static str),
    /// A statement takes so long.
    Takes(Duration),
}

/// The words of an effect that fails.
pub(super) const WHY: &str = "the account is closed";

/// Books a payment: two rows, so that half of it would show.
pub(super) fn booking(
    consumer: &str,
    id: &str,
    middle: Middle,
) -> impl for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send + 'static {
    let (consumer, id) = (consumer.to_owned(), id.to_owned());
    move |transaction| {
        Box::pin(async move {
            book(transaction, &consumer, &id, "debit").await?;
            match middle {
                Middle::Goes => {}
                Middle::Waits(gate) => gate.pass().await,
                Middle::Fails(gate) => {
                    gate.pass().await;
                    return Err(WHY.into());
                }
                Middle::Hides => {
                    let _ = book(transaction, &consumer, &id, "neither").await;
                    return Ok(());
                }
                Middle::Refused(code) => {
                    let raise = format!("DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$");
                    transaction.batch_execute(&raise).await?;
                }
                Middle::Takes(long) => {
                    let sleep = format!("SELECT pg_sleep({})", long.as_secs_f64());
                    transaction.batch_execute(&sleep).await?;
                }
            }
            book(transaction, &consumer, &id, "credit").await?;
            Ok(())
        })
    }
}

pub(super) async fn book(
    transaction: &Transaction<'_>,
    consumer: &str,
    message: &str,
    side: &str,
) -> Result<(), tokio_postgres::Error> {
    let book = "INSERT INTO ledger (side, consumer, message) VALUES ($1, $2, $3)";
    let values =
        [(&side as _, Type::TEXT), (&consumer as _, Type::TEXT), (&message as _, Type::TEXT)];
    transaction.execute_typed(book, &values).await.map(drop)
}

/// One process of a consumer, with an inbox of its own at connections of its own.
pub(super) struct Client<S> {
    pub(super) lane: &'static str,
    pub(super) consumer: &'static str,
    pub(super) inbox: S,
    pub(super) proxy: Proxy,
    pub(super) history: History,
}

impl<S: Inbox> Client<S> {
    pub(super) async fn deliver(&self, message: &Message, middle: Middle) -> Result<Once, Error> {
        let effect = booking(self.consumer, &message.id, middle);
        let call = format!("deliver {}", message.id);
        self.history.call(self.lane, call, self.inbox.once(message, effect)).await
    }

    pub(super) fn start(
        self: &Arc<Self>,
        message: &Message,
        middle: Middle,
    ) -> JoinHandle<Result<Once, Error>> {
        let (client, message) = (Arc::clone(self), message.clone());
        tokio::spawn(async move { client.deliver(&message, middle).await })
    }

    /// A delivery and its repetition, so that there is a connection, whatever is prepared is
    /// prepared, and the steps of a call are those of every later one.
    pub(super) async fn warm_up(self: &Arc<Self>, scene: &Scene) -> Result<(), Finding> {
        let message = scene.message();
        scene.until_done(self, &message).await?;
        scene.until_done(self, &message).await?;
        scene.quiet().await?;
        self.proxy.reset_count();
        Ok(())
    }

    pub(super) fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
pub(super) async fn meets<T>(gate: &Gate, task: &JoinHandle<T>) -> Result<bool, Finding> {
    let ends = async {
        while !task.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        came = gate.arrived(1, SOON) => Ok(came.map(|()| true)?),
        () = ends => Ok(false),
    }
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
