//! A shop that charges cards, in a table of its own.

use super::*;
use deadpool_postgres::tokio_postgres;
use grading::History;
use rand::RngExt;
use sagas::idempotency_keys::{Cause, Request, Response, SCHEMA, Scope, Work};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use testbed::postgres::{Session, Target};
use testbed::proxy::Proxy;
use tokio::task::JoinHandle;

/// What the work writes.
const CHARGES: &str = "CREATE TABLE charges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, amount bigint NOT NULL)";
const CHARGE: &str = "INSERT INTO charges (what, amount) VALUES ($1, $2) RETURNING id";

/// A world with the two tables. Keys and amounts are of its seed, so that no answer can know them
/// beforehand.
pub(super) struct Scene {
    /// The check's own session; gone before the world is.
    session: Arc<Mutex<Option<Session>>>,
    pub(super) world: World,
    seed: u64,
    amount: i64,
    payments: AtomicUsize,
}

/// A request to pay.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// As it stands in the table of charges.
    pub(super) what: String,
}

impl Payment {
    pub(super) fn request(&self) -> Request<'_> {
        let Payment { caller, key, path, body, .. } = self;
        Request { caller, key, method: "POST", path, body }
    }
}

impl Scene {
    pub(super) async fn set(world: World) -> Result<Scene, Finding> {
        let mut random = world.random();
        let (seed, amount) = (random.random(), random.random_range(1_000..9_000));
        let (session, payments) = (Arc::default(), AtomicUsize::new(0));
        let scene = Scene { session, world, seed, amount, payments };
        scene.ask(format!("{SCHEMA}; {CHARGES}")).await?;
        Ok(scene)
    }

    /// A payment that nobody has made yet.
    pub(super) fn payment(&self) -> Payment {
        let nth = self.payments.fetch_add(1, Ordering::Relaxed);
        let mark = u16::try_from(self.seed >> 48).unwrap_or_default();
        Payment {
            caller: "ann".to_owned(),
            key: format!("pay-{mark}-{nth}"),
            path: "/payments".to_owned(),
            body: format!("{{\"order\":{nth},\"amount\":{}}}", self.amount).into_bytes(),
            what: format!("order {nth}"),
        }
    }

    /// A job that charges what the payment is for.
    pub(super) fn job(&self, payment: &Payment) -> Job {
        Job {
            what: payment.what.clone(),
            amount: self.amount,
            ends: Ends::Answers(201),
            gate: None,
            begun: Arc::default(),
            keys: Arc::default(),
        }
    }

    /// The check's own question, past every proxy.
    pub(super) async fn ask(&self, sql: String) -> Result<Option<String>, Finding> {
        let url = self.world.postgres().await?.url().to_owned();
        let kept = Arc::clone(&self.session);
        let asked = move || {
            let target = Target::read(&url).map_err(Finding::inconclusive)?;
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let session = match kept.take() {
                Some(session) => session,
                None => Session::open(&target, SOON).map_err(|error| said(&error))?,
            };
            let session = kept.insert(session);
            let rows = match session.query(&sql) {
                Ok(rows) => rows,
                // A fault has ended it as well.
                Err(_) => {
                    let fresh = Session::open(&target, SOON).map_err(|error| said(&error))?;
                    kept.insert(fresh).query(&sql).map_err(|error| said(&error))?
                }
            };
            Ok(rows.into_iter().flatten().flatten().next())
        };
        tokio::task::spawn_blocking(asked).await?
    }

    /// How often it was charged for.
    pub(super) async fn charged(&self, what: &str) -> Result<usize, Finding> {
        let count = format!("SELECT count(*) FROM charges WHERE what = '{what}'");
        let found = self.ask(count).await?.unwrap_or_default();
        found.parse().map_err(|_| Finding::inconclusive("the charges cannot be counted"))
    }

    /// It must have been charged for so often.
    pub(super) async fn has(&self, what: &str, times: usize, because: &str) -> Result<(), Finding> {
        let found = self.charged(what).await?;
        let charges = |times| match times {
            1 => "1 charge".to_owned(),
            times => format!("{times} charges"),
        };
        let step = self.world.history().note("database", format!("holds {}", charges(found)));
        if found == times {
            return Ok(());
        }
        let expected = format!("{} for {what}: {because}", charges(times));
        let clash = LANES.iter().filter_map(|lane| self.world.history().last(lane, "= 201")).max();
        Err(Evidence::new(expected, charges(found)).at(clash).at(step).into())
    }

    pub(super) async fn client<K: Keys>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<K>>, Finding> {
        let proxy = self.world.postgres_client(lane).await?;
        let keys = K::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        Ok(Arc::new(Client { lane, keys, proxy, history: self.world.history().clone() }))
    }

    /// A client that is connected and whose statements are prepared: the steps of its next call are
    /// those of every later one.
    pub(super) async fn warm<K: Keys>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<K>>, Finding> {
        let client = self.client::<K>(lane, options).await?;
        let payment = self.payment();
        client.pays(&payment, &self.job(&payment)).await?;
        client.proxy.reset_count();
        self.world.history().turn_page();
        Ok(client)
    }
}

const LANES: [&str; 4] = ["first", "second", "client", "process"];

fn said(refusal: &impl std::fmt::Display) -> Finding {
    Finding::inconclusive(format!("PostgreSQL failed the check itself: {refusal}"))
}

/// The work that is to be done once.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) what: String,
    pub(super) amount: i64,
    pub(super) ends: Ends,
    /// Where it waits when it has charged.
    pub(super) gate: Option<Gate>,
    /// How often it was begun.
    pub(super) begun: Arc<AtomicUsize>,
    /// The keys that it was given for others.
    pub(super) keys: Arc<Mutex<Vec<String>>>,
}

/// How the work ends when it has charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Answers(u16),
    Fails,
    Panics,
    /// A statement fails, and the work goes on as if it had not.
    Swallows,
}

impl Job {
    pub(super) fn ends(self, ends: Ends) -> Job {
        Job { ends, ..self }
    }

    pub(super) fn waits(self, gate: &Gate) -> Job {
        Job { gate: Some(gate.clone()), ..self }
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn work(&self) -> impl for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send + 'static {
        let job = self.clone();
        move |scope: Scope<'_>| Box::pin(job.run(scope))
    }

    async fn run(self, scope: Scope<'_>) -> Result<Response, Cause> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(scope.key.clone());
        let charge = scope.transaction.prepare_cached(CHARGE).await?;
        let row = scope.transaction.query_one(&charge, &[&self.what, &self.amount]).await?;
        let id: i64 = row.get(0);
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        let status = match self.ends {
            Ends::Answers(status) => status,
            Ends::Fails => return Err("the card reader is unplugged".into()),
            Ends::Panics => panic!("this work panics on purpose"),
            Ends::Swallows => {
                let _: Result<_, tokio_postgres::Error> =
                    scope.transaction.batch_execute("SELECT 1 / 0").await;
                201
            }
        };
        // No text, so that nobody keeps it as one.
        let mut body = vec![0, 0xff, b'"', b'\\', 0xfe];
        body.extend(format!("{id}, {}", self.amount).into_bytes());
        // Not in the order of the alphabet, and one name twice, as with cookies.
        let headers = [
            ("location", format!("/payments/{id}")),
            ("x-note", "\"é\" 1".to_owned()),
            ("set-cookie", "seen=1".to_owned()),
            ("set-cookie", format!("last={id}")),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Response { status, headers, body })
    }
}

/// One client of the shop, with a store of its own at connections of its own.
pub(super) struct Client<K> {
    pub(super) lane: &'static str,
    pub(super) keys: K,
    pub(super) proxy: Proxy,
    pub(super) history: History,
}

impl<K: Keys> Client<K> {
    pub(super) async fn pay(&self, payment: &Payment, job: &Job) -> Result<Answer, Error> {
        let call = self.history.invoke(self.lane, format!("pay, {}", payment.key));
        let answer = self.keys.once(&payment.request(), job.work()).await;
        match &answer {
            Ok(answer) => call.ok(told(answer)),
            Err(error) => call.fail(error.to_string()),
        };
        answer
    }

    pub(super) fn start(
        self: &Arc<Self>,
        payment: &Payment,
        job: &Job,
    ) -> JoinHandle<Result<Answer, Error>> {
        let (client, payment, job) = (Arc::clone(self), payment.clone(), job.clone());
        tokio::spawn(async move { client.pay(&payment, &job).await })
    }

    /// Tries until there is an answer, as a client does.
    pub(super) async fn pays(&self, payment: &Payment, job: &Job) -> Result<Answer, Finding> {
        self.pays_within(A_WHILE, payment, job).await
    }

    pub(super) async fn pays_within(
        &self,
        patience: Duration,
        payment: &Payment,
        job: &Job,
    ) -> Result<Answer, Finding> {
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let Ok(answer) = tokio::time::timeout(left, self.pay(payment, job)).await else {
                let expected = "an answer: nobody may be at this key any more";
                return Err(self.broken(expected, format!("none within {patience:.0?}")));
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if matches!(error, Error::OtherRequest) || left.is_zero() => {
                    return Err(self.broken("an answer", error.to_string()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Pays for the first time.
    pub(super) async fn pays_first(&self, payment: &Payment, job: &Job) -> Result<Answer, Finding> {
        let answer = self.pays(payment, job).await?;
        match answer.replayed {
            false => Ok(answer),
            true => Err(self.broken("the first answer under this key", told(&answer))),
        }
    }

    /// Has to get this answer, and as one of an earlier time.
    pub(super) async fn pays_again(
        &self,
        payment: &Payment,
        job: &Job,
        first: &Answer,
    ) -> Result<(), Finding> {
        let answer = self.pays(payment, job).await?;
        self.same(first, &answer)?;
        match answer.replayed {
            true => Ok(()),
            false => Err(self.broken("an answer that is marked as replayed", told(&answer))),
        }
    }

    pub(super) fn same(&self, first: &Answer, answer: &Answer) -> Result<(), Finding> {
        let (expected, saw) = (&first.response, &answer.response);
        let differs = |what: &str, expected: String, saw: String| {
            Err(self.broken(format!("the first answer's {what}, {expected}"), saw))
        };
        if expected.status != saw.status {
            return differs("status", expected.status.to_string(), saw.status.to_string());
        }
        if expected.headers != saw.headers {
            let shown = |response: &Response| format!("{:?}", response.headers);
            return differs("headers", shown(expected), shown(saw));
        }
        if expected.body != saw.body {
            let shown = |response: &Response| response.body.escape_ascii().to_string();
            return differs("body", shown(expected), shown(saw));
        }
        Ok(())
    }

    /// An answer that has to be a refusal: another request had this key.
    pub(super) fn refused(&self, answer: Result<Answer, Error>) -> Result<(), Finding> {
        let expected = "refused: this key was used for another request";
        match answer {
            Err(Error::OtherRequest) => Ok(()),
            Err(error) => Err(self.broken(expected, error.to_string())),
            Ok(answer) => Err(self.broken(expected, told(&answer))),
        }
    }

    /// Waits until a call that may have to wait has done what it can: it has ended, waits for a lock,
    /// or has asked and asked again. One that does none of that is given a moment.
    pub(super) async fn settles<T>(
        &self,
        scene: &Scene,
        calls: &[JoinHandle<T>],
    ) -> Result<(), Finding> {
        let began = Instant::now();
        let postgres = scene.world.postgres().await?;
        while began.elapsed() < A_MOMENT {
            let ended = calls.iter().all(JoinHandle::is_finished);
            let asks = self.proxy.counts().requests >= 16 * calls.len().min(8);
            if ended || asks || postgres.waiting().await? >= calls.len().min(4) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Long enough for a call on a busy machine.
const A_MOMENT: Duration = Duration::from_millis(600);

/// An answer, as the timeline shows it.
pub(super) fn told(answer: &Answer) -> String {
    let Answer { response, replayed } = answer;
    let location = response.headers.iter().find(|(name, _)| name == "location");
    let place = location.map_or("nowhere", |(_, value)| value);
    format!("{} {place}{}", response.status, if *replayed { ", replayed" } else { "" })
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
pub(super) async fn meets<T>(gate: &Gate, task: &mut JoinHandle<T>) -> Result<bool, Finding> {
    let ends = async {
        while !task.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        came = gate.arrived(1, SOON) => Ok(came.map(|()| true)?),
        () = ends => Ok(gate.count() > 0),
    }
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
