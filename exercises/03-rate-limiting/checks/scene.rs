//! What the checks of a limiter have in common: a key, clients with a clock, answers in words.

use grading::history::Step;
use grading::{Evidence, Finding, History, SOON, World};
use rand::RngExt;
use rand::rngs::StdRng;
use rate_limiting::limiter::{By, Clock, Decision, GivenClock, Limiter, Options, Outage, Quota};
use redis::AsyncCommands;
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;

/// Long enough that a busy machine does not make Redis look slow; checks about slowness set less.
/// Closed, so that no outage is taken for a unit that was there.
pub(crate) fn patient() -> Options {
    Options { timeout: Duration::from_secs(1), outage: Outage::Closed, clock: Clock::Server }
}

pub(crate) fn quota(burst: u32, every: Duration) -> Quota {
    Quota::new(burst, every).expect("the quotas of the checks are below a year")
}

/// Nothing comes back while a check runs.
pub(crate) fn slow(burst: u32) -> Quota {
    quota(burst, Duration::from_secs(60))
}

/// A key that no answer can know beforehand.
pub(crate) fn key(random: &mut StdRng) -> String {
    format!("user:{}", random.random_range(10..100))
}

pub(crate) fn open<S: Limiter>(url: &str, quota: Quota, options: Options) -> Result<S, Finding> {
    let opened = S::open(url, quota, options);
    opened.map_err(|error| Evidence::new("open() to work", error.to_string()).into())
}

/// One client; its lane in the timeline shows what it asks and what passes its wire.
pub(crate) struct Client<S> {
    pub(crate) lane: &'static str,
    pub(crate) limiter: S,
    pub(crate) proxy: Proxy,
    history: History,
}

impl<S: Limiter> Client<S> {
    /// A client with a limiter of its own at a connection of its own.
    pub(crate) async fn new(
        world: &World,
        lane: &'static str,
        quota: Quota,
        options: Options,
    ) -> Result<Client<S>, Finding> {
        let proxy = world.client(lane).await?;
        let limiter = open(proxy.url(), quota, options)?;
        Ok(Client { lane, limiter, proxy, history: world.history().clone() })
    }

    /// Asks, and writes question and answer into the timeline.
    pub(crate) async fn decide(&self, key: &str, cost: u32) -> Decision {
        let call = self.history.invoke(self.lane, format!("decide({key}, {cost})"));
        let decision = self.limiter.decide(key, cost).await;
        call.ok(brief(&decision));
        decision
    }

    /// Asks, and holds the answer to what it must be.
    pub(crate) async fn must(
        &self,
        key: &str,
        cost: u32,
        allowed: bool,
        why: &str,
    ) -> Result<Decision, Finding> {
        let decision = self.decide(key, cost).await;
        if decision.by == By::State && decision.allowed == allowed {
            return Ok(decision);
        }
        let expected = format!("{}: {why}", if allowed { "allowed" } else { "refused" });
        Err(self.broken(expected, &decision))
    }

    /// Asks for one unit after the other until there is none: how many were allowed.
    pub(crate) async fn spend_all(&self, key: &str, most: u32) -> Result<u32, Finding> {
        for spent in 0..=most {
            let decision = self.decide(key, 1).await;
            if decision.by == By::Outage {
                return Err(self.broken("an answer of Redis's, which is there", &decision));
            }
            if !decision.allowed {
                return Ok(spent);
            }
        }
        Ok(most + 1)
    }

    pub(crate) fn broken(&self, expected: impl Into<String>, saw: &Decision) -> Finding {
        Evidence::new(expected, brief(saw)).at(self.last_answer()).into()
    }

    /// The last answer that this client got.
    pub(crate) fn last_answer(&self) -> Option<Step> {
        self.history.last(self.lane, "= ")
    }

    /// Looks until Redis answers again, which has to come by itself.
    pub(crate) async fn comes_back(&self, key: &str, after: &str) -> Result<Decision, Finding> {
        let began = Instant::now();
        loop {
            let decision = self.decide(key, 0).await;
            if decision.by == By::State {
                return Ok(decision);
            }
            if began.elapsed() > SOON {
                let expected = format!("Redis's own answers again soon after {after}");
                return Err(self.broken(expected, &decision));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A decision as the timeline shows it.
pub(crate) fn brief(decision: &Decision) -> String {
    let verdict = if decision.allowed { "allowed" } else { "refused" };
    match decision.by {
        By::Outage => format!("{verdict}, by outage"),
        By::State => format!("{verdict}, {} left", decision.remaining),
    }
}

/// A decision with all that it says.
pub(crate) fn in_full(decision: &Decision) -> String {
    let again = match decision.retry_after {
        Some(Duration::ZERO) if decision.allowed => String::new(),
        Some(wait) => format!(", again in {wait:?}"),
        None => ", never again".to_owned(),
    };
    format!("{}{again}, full in {:?}", brief(decision), decision.reset_after)
}

/// A limiter whose clock the check sets. Its times are told since the beginning.
pub(crate) struct Timed<S> {
    pub(crate) client: Client<S>,
    clock: GivenClock,
    began: u64,
}

impl<S: Limiter> Timed<S> {
    /// On a wire that many of them may share: a check replays hundreds of traces.
    pub(crate) fn new(
        world: &World,
        proxy: Proxy,
        quota: Quota,
        began: u64,
    ) -> Result<Timed<S>, Finding> {
        let clock = GivenClock::default();
        clock.set(began);
        let options = Options { clock: Clock::Given(clock.clone()), ..patient() };
        let limiter = open(proxy.url(), quota, options)?;
        let client = Client { lane: "client", limiter, proxy, history: world.history().clone() };
        Ok(Timed { client, clock, began })
    }

    /// Begins a clean page of history.
    pub(crate) fn turn_page(&self, quota: Quota) {
        self.client.history.turn_page();
        self.client.history.note(self.client.lane, format!("({quota})"));
    }

    /// A fresh one at its own wire, at about the present time.
    pub(crate) async fn fresh(world: &World, quota: Quota) -> Result<Timed<S>, Finding> {
        let began = present(&mut world.random());
        Timed::new(world, world.client("client").await?, quota, began)
    }

    /// For the next limiter.
    pub(crate) fn into_proxy(self) -> Proxy {
        self.client.proxy
    }

    /// What the clock shows, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.micros()
    }

    /// Sets the clock, to so long after the beginning.
    pub(crate) fn at(&self, since: Duration) -> &Client<S> {
        self.clock.set(self.began + u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        self.client.history.note(self.client.lane, format!("(the clock: +{since:?})"));
        &self.client
    }
}

/// A time of these years, in microseconds: 16 digits, as they are in production.
pub(crate) fn present(random: &mut StdRng) -> u64 {
    random.random_range(1_700_000_000_000_000..1_900_000_000_000_000)
}

/// All keys of this world, and how long each still lives; `None` is for ever. The world is small
/// and ours, so KEYS may be used.
pub(crate) async fn keys(world: &World) -> Result<Vec<(String, Option<Duration>)>, Finding> {
    let mut look = world.look().await?;
    let mut keys: Vec<String> = look.keys("*").await?;
    // On a shared server the test bed's own mark lies beside them.
    keys.retain(|key| !key.starts_with("testbed:"));
    keys.sort();
    let mut lives = Vec::new();
    for key in keys {
        // -1: without a TTL. -2: gone since it was listed.
        match look.pttl::<_, i64>(&key).await? {
            -2 => {}
            life => lives.push((key, u64::try_from(life).ok().map(Duration::from_millis))),
        }
    }
    Ok(lives)
}
