//! A shop that charges cards, in a table of its own.

use super::*;
use deadpool_postgres::tokio_postgres;
use rand::RngExt;
use sagas::idempotency_keys::{Cause, Request, Response, SCHEMA, Scope, Work};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use testbed::postgres::{Session, Target};

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
    pub(super) method: String,
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// As it stands in the table of charges.
    pub(super) what: String,
}

impl Payment {
    pub(super) fn request(&self) -> Request<'_> {
        let Payment { method, caller, key, path, body, .. } = self;
        Request { caller, key, method, path, body }
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
            method: "POST".to_owned(),
            caller: "ann".to_owned(),
            key: format!("pay-{mark}-{nth}"),
            path: "/payments".to_owned(),
            body: format!("{{\"order\":{nth},\"amount\":{}}}", self.amount).into_bytes(),
            what: format!("order {nth}"),
        }
    }

    /// A job that charges what the payment is for.
    pub(super) fn job(&self, payment: &Payment) -> Job {
        Job::of(payment, self.amount)
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
    /// What it answers, if not what it usually does.
    pub(super) says: Option<Response>,
    /// The keys that it was given for others.
    pub(super) keys: Arc<Mutex<Vec<String>>>,
    /// What it has answered.
    pub(super) given: Arc<Mutex<Vec<Response>>>,
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
    pub(super) fn of(payment: &Payment, amount: i64) -> Job {
        Job {
            what: payment.what.clone(),
            amount,
            ends: Ends::Answers(201),
            gate: None,
            begun: Arc::default(),
            says: None,
            keys: Arc::default(),
            given: Arc::default(),
        }
    }

    pub(super) fn says(self, response: Response) -> Job {
        Job { says: Some(response), ..self }
    }

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
        let response = self.says.clone().unwrap_or_else(|| self.usual(status, id));
        self.given.lock().unwrap_or_else(PoisonError::into_inner).push(response.clone());
        Ok(response)
    }

    fn usual(&self, status: u16, id: i64) -> Response {
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
        Response { status, headers, body }
    }
}
