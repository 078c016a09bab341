//! What the checks have in common: products, buyers, and where they can be held.

use grading::history::Step;
use grading::{Evidence, Finding, History, SOON, World};
use locks::lock_free::{Answer, Error, Options, SCHEMA, Stock};
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::postgres::{Session, Target};
use testbed::proxy::{Proxy, Request};
use tokio::task::JoinHandle;

/// Long enough that a busy machine does not make a server look slow.
pub(super) const PATIENT: Options =
    Options { timeout: Duration::from_secs(2), attempts: 20, connections: 4 };

/// More steps than any answer to this lesson takes.
pub(super) const STEPS: usize = 10;

/// Runs a check's body in each of the three ways.
macro_rules! in_each_way {
    ($ways:ident, $world:ident, $body:ident) => {{
        let mut scene = Scene::set($world, Way::Script).await?;
        $body::<$ways::Script>(&mut scene).await?;
        scene = scene.change(Way::Watch).await?;
        $body::<$ways::Watch>(&mut scene).await?;
        scene = scene.change(Way::Update).await?;
        $body::<$ways::Update>(&mut scene).await
    }};
}
pub(super) use in_each_way;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Script,
    Watch,
    Update,
}

/// Empty servers, and what is random. Nothing is known beforehand, so no answer can hold it.
pub(super) struct Scene {
    pub(super) world: World,
    way: Way,
    random: StdRng,
    /// The check's own session, for the way that needs PostgreSQL.
    session: Option<Session>,
}

impl Scene {
    pub(super) async fn set(world: World, way: Way) -> Result<Scene, Finding> {
        let random = world.random();
        let mut scene = Scene { world, way, random, session: None };
        if way == Way::Update {
            let target = Target::read(scene.world.postgres().await?.url());
            let target = target.map_err(Finding::inconclusive)?;
            let mut session = Session::open(&target, SOON).map_err(|refusal| failed(&refusal))?;
            session.query(SCHEMA).map_err(|refusal| failed(&refusal))?;
            session.query(GATES).map_err(|refusal| failed(&refusal))?;
            scene.session = Some(session);
        }
        Ok(scene)
    }

    /// The same in another way, on a clean page.
    pub(super) async fn change(self, way: Way) -> Result<Scene, Finding> {
        self.world.history().turn_page();
        // The numbers go on, or the second way would find the products of the first.
        Ok(Scene { random: self.random, ..Scene::set(self.world, way).await? })
    }

    pub(super) fn on_redis(&self) -> bool {
        self.way != Way::Update
    }

    /// A product that was not there before, on a clean page.
    pub(super) fn product(&mut self) -> String {
        self.world.history().turn_page();
        self.another_product()
    }

    pub(super) fn another_product(&mut self) -> String {
        format!("product-{:06}", self.random.random_range(0..1_000_000))
    }

    pub(super) fn order(&mut self) -> String {
        format!("order-{:06}", self.random.random_range(0..1_000_000))
    }

    pub(super) fn number(&mut self, range: std::ops::Range<u32>) -> u32 {
        self.random.random_range(range)
    }

    /// A buyer with a program of his own.
    pub(super) async fn buyer<S: Stock>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Buyer<S>>, Finding> {
        let (proxy, url) = if self.on_redis() {
            let proxy = self.world.client(lane).await?;
            let url = proxy.url().to_owned();
            (Some(proxy), url)
        } else {
            (None, self.world.postgres().await?.url().to_owned())
        };
        let stock =
            S::open(&url, options).map_err(|e| self.broken("open() to work", e.to_string()))?;
        let (history, way) = (self.world.history().clone(), self.way);
        Ok(Arc::new(Buyer { lane, stock, proxy, history, way }))
    }

    /// Statements of the check's own.
    pub(super) fn sql(&mut self, sql: &str) -> Result<(), Finding> {
        self.session().query(sql).map_err(|refusal| failed(&refusal))?;
        Ok(())
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only the way that has one comes here")
    }

    /// From now on, the next one of each of `buyers` waits before his step `step`; at Redis that is
    /// his next request but `step - 1`, in PostgreSQL one of three places: see [`GATES`].
    pub(super) fn hold<S: Stock>(
        &mut self,
        buyers: &[&Buyer<S>],
        step: usize,
    ) -> Result<Option<Barrier>, Finding> {
        if !self.on_redis() {
            if step > 3 {
                return Ok(None);
            }
            self.sql(&format!("SELECT pg_advisory_lock({step})"))?;
            let text = ["", "the sale", "the stock", "the commit"][step];
            let band = self.world.fault(format!("whoever comes to {text} waits"));
            return Ok(Some(Barrier::Table { step, band }));
        }
        let gate = Gate::shut();
        for buyer in buyers {
            let proxy = buyer.proxy();
            proxy.clear_rules();
            proxy.reset_count();
            proxy.hold_at(&gate, move |request: &Request| request.nth == step);
        }
        Ok(Some(Barrier::Wire(gate)))
    }

    /// Waits until each task has come to the barrier or has ended. How many have come.
    pub(super) async fn gather<T>(
        &mut self,
        barrier: &Barrier,
        tasks: &[JoinHandle<T>],
    ) -> Result<usize, Finding> {
        let began = Instant::now();
        loop {
            // In this order: who has come by now cannot have ended.
            let ended = tasks.iter().filter(|task| task.is_finished()).count();
            let came = match barrier {
                Barrier::Wire(gate) => gate.count(),
                Barrier::Table { .. } => {
                    self.session().number(WAITING).map_err(|refusal| failed(&refusal))?
                }
            };
            if came + ended >= tasks.len() {
                return Ok(came);
            }
            if began.elapsed() > SOON {
                let why = format!("{came} came to where they were to be held, {ended} ended");
                return Err(Finding::inconclusive(why));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn open(&mut self, barrier: Barrier) -> Result<(), Finding> {
        match barrier {
            Barrier::Wire(gate) => gate.open(),
            Barrier::Table { step, band } => {
                self.sql(&format!("SELECT pg_advisory_unlock({step})"))?;
                drop(band);
            }
        }
        Ok(())
    }

    /// Ends all sessions but the check's own, and waits for their end.
    pub(super) fn end_sessions(&mut self) -> Result<(), Finding> {
        match self.session().number(END).map_err(|refusal| failed(&refusal))? {
            0 => Err(Finding::inconclusive("there was no session to end")),
            _ => Ok(()),
        }
    }

    /// What was put up is what was sold and what is left.
    pub(super) async fn books<S: Stock>(
        &self,
        buyer: &Buyer<S>,
        product: &str,
        put: u32,
        sold: u32,
    ) -> Result<(), Finding> {
        let left = buyer.left(product).await?;
        if left == Some(put.saturating_sub(sold)) && sold <= put {
            return Ok(());
        }
        let left = left.map_or("nothing is known".to_owned(), |left| format!("{left} are left"));
        let expected = format!("{put} were put up: sold and left are {put} together");
        let evidence = self.evidence(expected, format!("{sold} are sold, and {left}"));
        Err(evidence.at(buyer.last_answer()).into())
    }

    pub(super) fn broken(&self, expected: impl AsRef<str>, saw: impl Into<String>) -> Finding {
        self.evidence(expected, saw).into()
    }

    pub(super) fn evidence(&self, expected: impl AsRef<str>, saw: impl Into<String>) -> Evidence {
        Evidence::new(format!("{:?}Stock: {}", self.way, expected.as_ref()), saw)
    }
}

/// Where buyers are held.
pub(super) enum Barrier {
    Wire(Gate),
    Table { step: usize, band: grading::history::FaultBand },
}

/// In PostgreSQL the places are triggers that wait for a lock which the check holds: before a
/// change of `sale`, before a change of `stock`, and, deferred, inside the commit. So a check needs
/// not know by which statements an answer comes there.
const GATES: &str = "
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
    RETURN NULL;
END $$;
CREATE TRIGGER at_sale BEFORE INSERT OR UPDATE OR DELETE ON sale
    FOR EACH STATEMENT EXECUTE FUNCTION gate(1);
CREATE TRIGGER at_stock BEFORE INSERT OR UPDATE OR DELETE ON stock
    FOR EACH STATEMENT EXECUTE FUNCTION gate(2);
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OR DELETE ON stock
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gate(3);
";

/// Sessions that wait for a lock, whether for the gate or behind one who waits there.
const WAITING: &str = "
SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND datname = current_database()";

const END: &str = "
SELECT count(pg_terminate_backend(pid, 3000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'testbed'";

fn failed(refusal: &testbed::postgres::Refusal) -> Finding {
    Finding::inconclusive(format!("PostgreSQL failed the check itself: {refusal}"))
}

/// One program that buys. Its lane in the timeline shows what it asks, and what passes its wire.
pub(super) struct Buyer<S> {
    pub(super) lane: &'static str,
    pub(super) stock: S,
    proxy: Option<Proxy>,
    history: History,
    way: Way,
}

impl<S: Stock> Buyer<S> {
    /// The proxy before Redis.
    pub(super) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("only ways on Redis come here")
    }

    pub(super) async fn put(&self, product: &str, units: u32) -> Result<(), Finding> {
        let call = format!("put({product}, {units})");
        let put = self.history.call(self.lane, call, self.stock.put(product, units)).await;
        put.map_err(|error| self.broken("put() to work", error.to_string()))
    }

    pub(super) async fn left(&self, product: &str) -> Result<Option<u32>, Finding> {
        let call = format!("left({product})");
        let left = self.history.call(self.lane, call, self.stock.left(product)).await;
        left.map_err(|error| self.broken("left() to work", error.to_string()))
    }

    pub(super) async fn take(
        &self,
        product: &str,
        order: &str,
        units: u32,
    ) -> Result<Answer, Error> {
        let call = format!("take({product}, {order}, {units})");
        self.history.call(self.lane, call, self.stock.take(product, order, units)).await
    }

    pub(super) fn start(self: &Arc<Self>, wish: &Wish) -> JoinHandle<Result<Answer, Error>> {
        let (buyer, wish) = (Arc::clone(self), wish.clone());
        tokio::spawn(async move { buyer.take(&wish.product, &wish.order, wish.units).await })
    }

    /// Asks until there is an answer, which has to come soon.
    pub(super) async fn insist(&self, wish: &Wish) -> Result<Answer, Finding> {
        let began = Instant::now();
        loop {
            match self.take(&wish.product, &wish.order, wish.units).await {
                Ok(answer) => return Ok(answer),
                Err(error) if began.elapsed() > SOON => {
                    return Err(self.broken("an answer soon, asked again", error.to_string()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Asks until there is an answer, which has to be `expected`.
    pub(super) async fn must(&self, wish: &Wish, expected: Answer) -> Result<(), Finding> {
        match self.insist(wish).await? {
            answer if answer == expected => Ok(()),
            answer => {
                let expected = format!("{expected:?} for {}", wish.order);
                Err(self.broken(&expected, format!("{answer:?}")))
            }
        }
    }

    /// Asks once; the answer has to be `expected`.
    pub(super) async fn at_once(&self, wish: &Wish, expected: Answer) -> Result<(), Finding> {
        match self.take(&wish.product, &wish.order, wish.units).await {
            Ok(answer) if answer == expected => Ok(()),
            answer => {
                let saw = answer.map_or_else(|e| e.to_string(), |answer| format!("{answer:?}"));
                Err(self.broken(&format!("{expected:?} for {}, asked once", wish.order), saw))
            }
        }
    }

    pub(super) fn last_answer(&self) -> Option<Step> {
        self.history.last(self.lane, "= ")
    }

    pub(super) fn broken(&self, expected: &str, saw: String) -> Finding {
        let expected = format!("{:?}Stock: {expected}", self.way);
        Evidence::new(expected, saw).at(self.last_answer()).into()
    }
}

/// What an order wants.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) product: String,
    pub(super) order: String,
    pub(super) units: u32,
}

impl Wish {
    pub(super) fn new(scene: &mut Scene, product: &str, units: u32) -> Wish {
        Wish { product: product.to_owned(), order: scene.order(), units }
    }
}

/// What the answers have sold. Only [`Error::Contended`] may be asked again; any other error has no
/// reason here.
pub(super) async fn sold<S: Stock>(
    buyers: &[(&Buyer<S>, &Wish)],
    answers: Vec<Result<Answer, Error>>,
) -> Result<u32, Finding> {
    let mut sum = 0;
    for ((buyer, wish), answer) in buyers.iter().zip(answers) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::Contended { .. }) => buyer.insist(wish).await?,
            Err(error) => return Err(buyer.broken("an answer", error.to_string())),
        };
        match answer {
            Answer::Taken(units) => sum += units,
            Answer::SoldOut => {}
            Answer::Unknown => return Err(buyer.broken("a known product", "Unknown".to_owned())),
        }
    }
    Ok(sum)
}
