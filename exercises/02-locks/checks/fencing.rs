//! What a stock must withstand whose holders may be late.

mod crossings;
mod database;
mod order;
mod stopped;

use crossings::{between_read_and_write, waits_for_the_row, write_on_its_way};
use database::{killed_sessions, lost_reply, postgres_stalls};
use grading::history::Step;
use grading::{Child, Evidence, Finding, History, SOON, World};
use locks::fencing::{Error, FencedStock, Options, SCHEMA};
use locks::lease::{self, Held};
use order::{late_reader, late_writer, one_write, only_its_product, turn_by_turn};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stopped::{holder, stopped_holder};
use testbed::gate::Gate;
use testbed::postgres::{Session, Target};
use testbed::proxy::Proxy;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PAGE: &str = "docs/lessons/fencing.md";

/// A busy machine does not make PostgreSQL look slow.
const PATIENT: Options = Options { timeout: Duration::from_secs(2) };
/// For the check in which PostgreSQL hangs.
const BRISK: Options = Options { timeout: Duration::from_millis(250) };
/// How long a stopped holder may keep others from the row: its timeout, and what they need.
const A_WHILE: Duration = Duration::from_secs(5);
/// For checks of many steps, each of which has connections of its own.
const LONG: Duration = Duration::from_secs(20);
/// More steps than anybody takes.
const STEPS: usize = 8;

grading::checks! { S: FencedStock; read(PAGE);
    turn_by_turn: "who holds the lease reads and writes, one after the other",
    late_writer: "who is late writes nothing, and is told by whom it was overtaken",
    late_reader: "who is late does not read either, and lowers no fence",
    one_write: "a lease buys one write",
    only_its_product: "a fence stands before its own product and no other",
    stopped_holder: "a process that was stopped past its TTL wakes, and its write is refused"
        .process(holder::<S>)
        .limit(LONG),
    write_on_its_way: "a write that is late behind the last look at the clock is refused"
        .limit(LONG),
    between_read_and_write: "nothing lands between a later holder's read and its write"
        .limit(LONG),
    waits_for_the_row: "who waited for the row is compared with what it finds then"
        .limit(LONG),
    lost_reply: "a write whose reply was lost may be tried again, and is done once"
        .limit(LONG),
    killed_sessions: "after its sessions were killed all works again, and the fence stands"
        .limit(LONG),
    postgres_stalls: "a PostgreSQL that hangs is an error in time, and then all works again"
        .limit(LONG),
}

/// A world with a product in it: name, units and tokens are of its seed, so that no answer can know
/// them beforehand.
struct Scene {
    world: World,
    product: String,
    units: u32,
    /// The token of the first lease.
    first: u64,
    /// How many products were put up beside it.
    products: AtomicUsize,
}

impl Scene {
    async fn set(world: World) -> Result<Scene, Finding> {
        let mut random = world.random();
        let scene = Scene {
            product: format!("product:{}", random.random_range(10..100)),
            units: random.random_range(20..90),
            first: random.random_range(1_000..9_000),
            products: AtomicUsize::new(0),
            world,
        };
        scene.ask(SCHEMA.to_owned()).await?;
        scene.put(&scene.product).await?;
        Ok(scene)
    }

    /// Puts up another product with as many units, on a new page of the timeline.
    async fn another(&self) -> Result<String, Finding> {
        let nth = self.products.fetch_add(1, Ordering::Relaxed);
        let product = format!("{}:{nth}", self.product);
        self.put(&product).await?;
        self.world.history().turn_page();
        Ok(product)
    }

    async fn put(&self, product: &str) -> Result<(), Finding> {
        let put = "INSERT INTO fenced_stock (product, units) VALUES";
        self.ask(format!("{put} ('{product}', {})", self.units)).await.map(drop)
    }

    /// The check's own question, past every proxy.
    async fn ask(&self, sql: String) -> Result<Option<String>, Finding> {
        let url = self.world.postgres().await?.url().to_owned();
        let asked = move || {
            let mut session = open(&url)?;
            let rows = session.query(&sql).map_err(|error| said(&error))?;
            session.close();
            Ok(rows.into_iter().flatten().flatten().next())
        };
        tokio::task::spawn_blocking(asked).await?
    }

    /// The product must have so many units now.
    async fn has(&self, product: &str, units: u32, because: &str) -> Result<(), Finding> {
        let look = format!("SELECT units FROM fenced_stock WHERE product = '{product}'");
        let found = self.ask(look).await?.unwrap_or_default();
        let step = self.world.history().note("database", format!("holds {found}"));
        if found == units.to_string() {
            return Ok(());
        }
        let evidence = Evidence::new(format!("{units} units: {because}"), format!("{found} units"));
        Err(evidence.at(self.last("= done")).at(step).into())
    }

    fn last(&self, part: &str) -> Option<Step> {
        LANES.iter().filter_map(|lane| self.world.history().last(lane, part)).max()
    }

    async fn client<S: FencedStock>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        let proxy = self.world.postgres_client(lane).await?;
        let stock = S::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        Ok(Arc::new(Client { lane, stock, proxy, history: self.world.history().clone() }))
    }
}

const LANES: [&str; 4] = ["early", "late", "client", "process"];

fn open(url: &str) -> Result<Session, Finding> {
    let target = Target::read(url).map_err(Finding::inconclusive)?;
    Session::open(&target, SOON).map_err(|error| said(&error))
}

fn said(refusal: &impl std::fmt::Display) -> Finding {
    Finding::inconclusive(format!("PostgreSQL failed the check itself: {refusal}"))
}

/// A lease of which the check decides when it is over.
#[derive(Clone)]
struct Paper {
    token: u64,
    over: watch::Sender<bool>,
}

impl Paper {
    fn of(token: u64) -> Paper {
        Paper { token, over: watch::Sender::new(false) }
    }

    /// Its time is over, and whoever holds it could know by the clock.
    fn is_over(&self) {
        self.over.send_replace(true);
    }
}

impl Held for Paper {
    fn token(&self) -> u64 {
        self.token
    }

    async fn extend(&self) -> Result<(), lease::Error> {
        if *self.over.borrow() { Err(lease::Error::Lost) } else { Ok(()) }
    }

    async fn lost(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    async fn release(self) -> Result<(), lease::Error> {
        self.extend().await
    }
}

/// One client of the shop, with a stock of its own at connections of its own.
struct Client<S> {
    lane: &'static str,
    stock: S,
    proxy: Proxy,
    history: History,
}

impl<S: FencedStock> Client<S> {
    async fn read(&self, product: &str, lease: &Paper) -> Result<u32, Error> {
        let call = format!("read, token {}", lease.token);
        self.history.call(self.lane, call, self.stock.read(product, lease)).await
    }

    async fn write(&self, product: &str, units: u32, lease: &Paper) -> Result<(), Error> {
        let call = format!("write {units}, token {}", lease.token);
        self.history.call(self.lane, call, self.stock.write(product, units, lease)).await
    }

    fn start_write(
        self: &Arc<Self>,
        product: &str,
        units: u32,
        lease: &Paper,
    ) -> JoinHandle<Result<(), Error>> {
        let (client, product, lease) = (Arc::clone(self), product.to_owned(), lease.clone());
        tokio::spawn(async move { client.write(&product, units, &lease).await })
    }

    /// Has to read so many units.
    async fn finds(&self, product: &str, units: u32, lease: &Paper) -> Result<(), Finding> {
        let expected = format!("{units} units");
        match self.soon(&expected, || self.read(product, lease)).await? {
            found if found == units => Ok(()),
            found => Err(self.broken(expected, found.to_string())),
        }
    }

    /// Has to write.
    async fn sets(&self, product: &str, units: u32, lease: &Paper) -> Result<(), Finding> {
        let mut doubt = false;
        let began = Instant::now();
        loop {
            match self.write(product, units, lease).await {
                Ok(()) => return Ok(()),
                // On a busy machine, one that was too slow may have been done all the same.
                Err(Error::Fenced { newest, .. }) if doubt && newest == lease.token => {
                    return Ok(());
                }
                Err(error)
                    if matches!(error, Error::Fenced { .. }) || began.elapsed() > A_WHILE =>
                {
                    return Err(self.broken("a write: nobody came later", error.to_string()));
                }
                Err(_) => doubt = true,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a call until it works, where another may hold it up for a while.
    async fn soon<T, Answer: Future<Output = Result<T, Error>>>(
        &self,
        what: &str,
        call: impl Fn() -> Answer,
    ) -> Result<T, Finding> {
        let began = Instant::now();
        loop {
            let Ok(answer) = tokio::time::timeout(A_WHILE, call()).await else {
                return Err(self.broken(what, format!("nothing within {A_WHILE:?}")));
            };
            match answer {
                Ok(value) => return Ok(value),
                Err(error)
                    if began.elapsed() > A_WHILE || matches!(error, Error::Fenced { .. }) =>
                {
                    return Err(self.broken(what, error.to_string()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Two connections' worth of calls, so that statements are prepared and the steps of a call are
    /// those of every later one.
    async fn warm_up(&self, scene: &Scene) -> Result<(), Finding> {
        let product = scene.another().await?;
        let lease = Paper::of(scene.first);
        self.finds(&product, scene.units, &lease).await?;
        self.sets(&product, scene.units, &lease).await?;
        self.proxy.reset_count();
        self.history.turn_page();
        Ok(())
    }

    /// An answer that has to be a refusal.
    fn refused(&self, answer: Result<(), Error>, newest: u64) -> Result<(), Finding> {
        let expected = || format!("refused: {newest} has been here");
        match answer {
            Err(Error::Fenced { newest: named, .. }) if named == newest => Ok(()),
            Err(Error::Fenced { newest: named, .. }) => {
                Err(self.broken(expected(), format!("{named} is named")))
            }
            Err(error) => Err(self.broken(expected(), error.to_string())),
            Ok(()) => Err(self.broken(expected(), "done")),
        }
    }

    fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
async fn meets<T>(gate: &Gate, task: &mut JoinHandle<T>) -> Result<bool, Finding> {
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

fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
