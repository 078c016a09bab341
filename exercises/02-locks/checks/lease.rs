//! What a lease must withstand.

mod crossings;
mod giving_back;
mod holding;
mod losing;
mod tokens;
mod wire;

use crossings::{extend_only_mine, late_release, one_holder, ttl_at_every_step};
use giving_back::{
    cancelled_acquire, drop_does_not_block, drop_gives_back, impatient_acquire, lost_reply,
    redis_stalls,
};
use grading::{Child, Evidence, Finding, History, SOON, World, comes_to};
use holding::{Order, holder};
use locks::lease::{Error, Held, Lease, Options};
use losing::{extend_moves_the_end, lasts_its_ttl, lost_before_ttl};
use rand::RngExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::proxy::Proxy;
use tokens::{tokens_in_order, tokens_rise};
use tokio::task::JoinHandle;
use wire::{killed_connection, killed_holder, one_round_trip, script_flush, waits_politely};

const PAGE: &str = "docs/lessons/lease.md";

/// Longer than a check: who gets the name within [`SOON`] has not waited for its end.
const LONG: Options = Options { ttl: Duration::from_secs(60), timeout: Duration::from_secs(1) };
/// Over soon. A request that is held for as long does not time out.
const SHORT: Options = Options { ttl: Duration::from_millis(200), timeout: Duration::from_secs(2) };

/// Times out soon, and not because the machine was busy for a moment.
const BRISK: Options = Options { timeout: Duration::from_millis(400), ..LONG };

/// For the whole of a check; what has to come soon has its own [`SOON`].
const LIMIT: Duration = Duration::from_secs(15);

/// Asks once.
const ONCE: Duration = Duration::ZERO;
/// More steps than anybody takes.
const STEPS: usize = 8;

// Many of them try one step after the other. On a busy machine that adds up, and is no hang.
grading::checks! { S: Lease; read(PAGE), limit(LIMIT);
    one_holder: "of many who ask at once one holds, and then the others in turn",
    one_round_trip: "acquiring is one round trip, and so is releasing",
    waits_politely: "who waits asks now and then, and no longer than its patience",
    ttl_at_every_step: "wherever an acquire breaks off, nothing is left that lives for ever",
    late_release: "an owner whose time was over cannot free its successor's lease",
    extend_only_mine: "an owner whose time was over cannot extend its successor's lease",
    extend_moves_the_end: "a lease that is extended is held on, and not lost",
    lasts_its_ttl: "a lease that nobody extends lasts for its TTL, and no longer",
    lost_before_ttl: "the holder hears of the loss before Redis forgets the lease",
    lost_reply: "a yes that is lost on its way costs nobody a TTL",
    cancelled_acquire: "a caller that goes away at any await leaves nothing behind",
    impatient_acquire: "a yes that comes when patience is out is given back",
    redis_stalls: "a Redis that hangs is an error in time, and what it did late is given back",
    drop_gives_back: "a lease that is dropped is free again, also by a panic",
    drop_does_not_block: "dropping a lease waits for nothing, also while Redis hangs",
    tokens_rise: "fencing tokens rise, whoever draws them and whatever Redis forgets"
        .process(holder::<S>),
    tokens_in_order: "an earlier holder never has the higher fencing token",
    script_flush: "a Redis that has forgotten all scripts is no error",
    killed_connection: "after a broken connection all works again, and nothing is left behind",
    killed_holder: "who was killed holds for no longer than a TTL".process(holder::<S>),
}

/// A name of this world's seed, so that no answer can know it beforehand.
fn name(world: &World) -> String {
    format!("stock:{}", world.random().random_range(10..100))
}

/// One client of the shop, with leases of its own at a connection of its own. Its lane in the
/// timeline shows what it asks and what passes its wire.
struct Client<L> {
    lane: &'static str,
    leases: L,
    proxy: Proxy,
    history: History,
}

impl<L: Lease> Client<L> {
    async fn open(
        world: &World,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<L>>, Finding> {
        let proxy = world.client(lane).await?;
        let leases = L::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        Ok(Arc::new(Client { lane, leases, proxy, history: world.history().clone() }))
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<L::Held, Error> {
        let call = self.history.invoke(self.lane, format!("acquire({name})"));
        let answer = self.leases.acquire(name, patience).await;
        match &answer {
            Ok(held) => call.ok(format!("token {}", held.token())),
            Err(error) => call.fail(error.to_string()),
        };
        answer
    }

    fn start_acquire(
        self: &Arc<Self>,
        name: &str,
        patience: Duration,
    ) -> JoinHandle<Result<L::Held, Error>> {
        let (client, name) = (Arc::clone(self), name.to_owned());
        tokio::spawn(async move { client.acquire(&name, patience).await })
    }

    async fn extend(&self, held: &L::Held) -> Result<(), Error> {
        self.history.call(self.lane, "extend()", held.extend()).await
    }

    async fn release(&self, held: L::Held) -> Result<(), Error> {
        self.history.call(self.lane, "release()", held.release()).await
    }

    /// Acquires and releases once, so that the connection stands and Redis knows the scripts.
    async fn warm_up(&self) -> Result<(), Finding> {
        let held = self.gets("warm-up", "a lease on a name that nobody holds").await?;
        self.gives_back(held).await?;
        self.proxy.reset_count();
        self.history.turn_page();
        Ok(())
    }

    /// Has to get `name` soon.
    async fn gets(&self, name: &str, expected: &str) -> Result<L::Held, Finding> {
        let answer = self.acquire(name, SOON).await;
        answer.map_err(|error| self.broken(expected, format!("within {SOON:?}: {error}")))
    }

    /// Must not get `name`, because another holds it.
    async fn finds_it_held(&self, name: &str, expected: &str) -> Result<(), Finding> {
        match self.acquire(name, ONCE).await {
            Err(Error::Busy(_)) => Ok(()),
            Ok(_) => Err(self.broken(expected, format!("{} got it as well", self.lane))),
            Err(error) => Err(self.broken(expected, error.to_string())),
        }
    }

    async fn gives_back(&self, held: L::Held) -> Result<(), Finding> {
        let answer = self.release(held).await;
        answer.map_err(|error| self.broken("release() to work", error.to_string()))
    }

    fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
async fn meets<T>(gate: &Gate, task: &mut JoinHandle<T>) -> Result<bool, Finding> {
    tokio::select! {
        came = gate.arrived(1, SOON) => {
            came?;
            Ok(true)
        }
        _ = async {
            while !task.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => Ok(false),
    }
}

/// A check that tries one step after the other has proved nothing if there was none.
fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
