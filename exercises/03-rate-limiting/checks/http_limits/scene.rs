//! A shop with one service, a limiter that says what it is told to say, and clients of both.

use super::shop::{Broken, Shop};
use grading::history::Step;
use grading::{Evidence, Finding, History, World};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use rand::RngExt;
use rand::rngs::StdRng;
use rate_limiting::http_limits::{Handler, HttpLimits, Limits, Policy, Proxies, Rules};
use rate_limiting::limiter::{By, Decision, Limiter, Options, Outage, Quota};
use redis::RedisError;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The stage. Quota and names are drawn from the seed, so that no answer can know them.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) random: StdRng,
    pub(super) policy: Policy,
    pub(super) script: Script,
    pub(super) shop: Shop,
}

impl Scene {
    pub(super) fn set(world: World) -> Scene {
        let mut random = world.random();
        let names = ["default", "per-client", "shop_window", "burst"];
        let every = Duration::from_millis(random.random_range(150..900));
        let quota = Quota::new(random.random_range(20..200), every).expect("a quota");
        let name = names[random.random_range(0..names.len())];
        let policy = Policy::new(name, quota).expect("plain names");
        let script = Script { history: world.history().clone(), quota, inner: Arc::default() };
        let shop = Shop::open(world.history().clone(), 64);
        Scene { random, policy, script, shop, world }
    }

    /// A limit of the subject's, with nothing real in it.
    pub(super) fn door<S: HttpLimits>(
        &self,
        proxies: Proxies,
    ) -> impl Handler<String, String, Error = Broken> + use<S> {
        let limits = Limits {
            limiter: self.script.clone(),
            policy: self.policy,
            proxies,
            rules: self.rules(),
        };
        S::limit(self.shop.clone(), Arc::new(limits))
    }

    /// How the scene's requests are read.
    pub(super) fn rules(&self) -> Box<dyn Rules> {
        Box::new(AsWritten)
    }

    /// What the limiter says next: allowed, and so much left.
    pub(super) fn says_yes(&self, remaining: u32) {
        let quota = self.policy.quota();
        let spent = u64::from(quota.burst() - remaining);
        self.script.says(Decision {
            allowed: true,
            remaining,
            retry_after: Some(Duration::ZERO),
            reset_after: Duration::from_micros(spent * quota.every_micros()),
            by: By::State,
        });
    }

    /// What the limiter says next: no, and when to come again.
    pub(super) fn says_no(&self, retry_after: Option<Duration>) {
        self.says_too_much(0, retry_after);
    }

    /// What the limiter says next: no, for so much is left, and it would have cost more.
    pub(super) fn says_too_much(&self, remaining: u32, retry_after: Option<Duration>) {
        self.script.says(Decision {
            allowed: false,
            remaining,
            retry_after,
            reset_after: self.policy.quota().window(),
            by: By::State,
        });
    }

    /// What the limiter says next, of this `cost`: it cannot reach its state.
    pub(super) fn says_outage(&self, outage: Outage, cost: u32) {
        self.script.says(Decision::in_outage(outage, self.policy.quota(), cost));
    }

    /// Asks, and expects the service's own answer.
    pub(super) async fn passes(
        &self,
        door: &mut impl Handler<String, String, Error = Broken>,
        ask: Ask,
    ) -> Result<Answer, Finding> {
        let answer = self.ask(door, ask).await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() {
            return Err(answer.not("the service's answer, for the limiter allowed it"));
        }
        Ok(answer)
    }

    /// Asks, as a server would: first whether there is a place, then for the answer.
    pub(super) async fn ask(
        &self,
        door: &mut impl Handler<String, String, Error = Broken>,
        ask: Ask,
    ) -> Result<Answer, Finding> {
        let call = self.world.invoke("client", ask.told());
        let answer = async {
            poll_fn(|context| door.poll_ready(context)).await?;
            door.call(ask.request()).await
        };
        match answer.await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let step = call.ok(told(head.status, &head.headers));
                Ok(Answer { status: head.status, headers: head.headers, body, step })
            }
            Err(broken) => {
                let step = call.fail(broken.to_string());
                Err(Evidence::new("an answer", format!("an error: {broken}")).at(step).into())
            }
        }
    }

    /// The key against which the limiter counted `ask`.
    pub(super) async fn key(
        &self,
        door: &mut impl Handler<String, String, Error = Broken>,
        ask: Ask,
    ) -> Result<Key, Finding> {
        self.says_yes(1);
        let answer = self.passes(door, ask).await?;
        match self.script.take_asked().pop() {
            Some((text, _)) => Ok(Key { text, step: answer.step }),
            None => Err(answer.not("the limiter to be asked")),
        }
    }
}

/// What a request was counted against.
pub(super) struct Key {
    text: String,
    step: Step,
}

impl Key {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is(&self, other: &Key, why: &str) -> Result<(), Finding> {
        match self.text == other.text {
            true => Ok(()),
            false => Err(self.clash(other, format!("one key: {why}"))),
        }
    }

    pub(super) fn is_not(&self, other: &Key, why: &str) -> Result<(), Finding> {
        match self.text != other.text {
            true => Ok(()),
            false => Err(self.clash(other, format!("two keys: {why}"))),
        }
    }

    fn clash(&self, other: &Key, expected: String) -> Finding {
        let saw = format!("`{}` and `{}`", other.text, self.text);
        Evidence::new(expected, saw).at(other.step).at(self.step).into()
    }
}

/// A limiter that says what it was told to say, and remembers what it was asked.
#[derive(Clone)]
pub(super) struct Script {
    history: History,
    quota: Quota,
    inner: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    says: VecDeque<Decision>,
    asked: Vec<(String, u32)>,
}

impl Script {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn says(&self, decision: Decision) {
        self.lines().says.push_back(decision);
    }

    /// What it was asked since it was last asked for that.
    pub(super) fn take_asked(&self) -> Vec<(String, u32)> {
        std::mem::take(&mut self.lines().asked)
    }
}

impl Limiter for Script {
    fn open(_: &str, _: Quota, _: Options) -> Result<Script, RedisError> {
        unreachable!("the check has opened it already")
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        // Asked once more than there are lines, it goes on as it did: the check counts.
        let says = self.lines().says.pop_front();
        let decision = says.unwrap_or(Decision::in_outage(Outage::Open, self.quota, cost));
        self.lines().asked.push((key.to_owned(), cost));
        let word = match (decision.allowed, decision.by) {
            (true, By::State) => format!("yes, {} left", decision.remaining),
            (false, By::State) => match decision.retry_after {
                Some(after) => format!("no, for {after:?}"),
                None => "no, never".to_owned(),
            },
            (true, By::Outage) => "yes, blindly".to_owned(),
            (false, By::Outage) => "no, blindly".to_owned(),
        };
        self.history.note("limiter", format!("{key} · {cost} → {word}"));
        // It is a server elsewhere: whoever does not wait for the answer has none.
        tokio::task::yield_now().await;
        decision
    }
}

/// A request to be.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) from: Option<IpAddr>,
    pub(super) who: Option<String>,
    pub(super) cost: Option<u32>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// For `/shelf` from `203.0.113.7`, at a cost of 1.
    pub(super) fn plain() -> Ask {
        let from = Some(IpAddr::from([203, 0, 113, 7]));
        Ask { path: "/shelf".into(), from, who: None, cost: Some(1), headers: Vec::new() }
    }

    pub(super) fn from(from: impl Into<IpAddr>) -> Ask {
        Ask { from: Some(from.into()), ..Ask::plain() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    fn request(&self) -> Request<String> {
        let mut request = Request::builder().method("POST").uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body("what the client sent".to_owned()).expect("a request");
        request.extensions_mut().insert(self.clone());
        request
    }

    fn told(&self) -> String {
        let mut told = self.path.clone();
        if let Some(who) = &self.who {
            told.push_str(&format!(" as {who}"));
        }
        if let Some(from) = self.from {
            told.push_str(&format!(" from {from}"));
        }
        for (name, value) in &self.headers {
            let name = if *name == "x-forwarded-for" { "XFF" } else { name };
            told.push_str(&format!(", {name} {value}"));
        }
        told
    }
}

/// Rules of a server that has done its part: what it knows lies beside the request, and not in it.
struct AsWritten;

fn ask_of(head: &Parts) -> Option<&Ask> {
    head.extensions.get()
}

impl Rules for AsWritten {
    fn peer(&self, head: &Parts) -> Option<IpAddr> {
        ask_of(head)?.from
    }

    fn who(&self, head: &Parts) -> Option<String> {
        ask_of(head)?.who.clone()
    }

    fn cost(&self, head: &Parts) -> Option<u32> {
        ask_of(head)?.cost
    }
}

/// An answer, as a client has it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) step: Step,
}

impl Answer {
    pub(super) fn not(&self, expected: impl Into<String>) -> Finding {
        self.saw(expected, told(self.status, &self.headers))
    }

    pub(super) fn saw(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.step).into()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The parameters of the policy `name` in a field: RFC 9651, as far as this needs it.
    pub(super) fn field(&self, field: &str, name: &str) -> Result<BTreeMap<String, u64>, Finding> {
        let lines = self.headers.get_all(field).iter().filter_map(|line| line.to_str().ok());
        let members: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let quoted = format!("\"{name}\"");
        let mine = members.iter().find_map(|member| {
            let mut parts = member.split(';').map(str::trim);
            (parts.next()? == quoted).then_some(parts)
        });
        let Some(parameters) = mine else {
            let expected = format!("a field {field}: {quoted};…");
            return Err(match members.is_empty() {
                true => self.not(expected),
                false => self.saw(expected, format!("{field}: {}", members.join(", "))),
            });
        };
        let pairs = parameters.filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(pairs.collect())
    }

    /// One parameter of it, which has to be there.
    pub(super) fn parameter(&self, field: &str, name: &str, of: &str) -> Result<u64, Finding> {
        self.field(field, name)?.get(of).copied().ok_or_else(|| {
            let saw = self.text(field).unwrap_or_default();
            self.saw(format!("{of}= and a whole number in {field}"), format!("{field}: {saw}"))
        })
    }

    pub(super) fn retry_after(&self) -> Result<u64, Finding> {
        let text = self.text("retry-after");
        text.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let saw = text.map_or("none".to_owned(), |text| format!("Retry-After: {text}"));
            self.saw("Retry-After: and a whole number of seconds", saw)
        })
    }
}

/// `429, Retry-After: 2, RateLimit: …`: what a reader of the timeline wants to see of an answer.
fn told(status: StatusCode, headers: &HeaderMap) -> String {
    let shown = ["retry-after", "ratelimit"].into_iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(format!(", {name}: {value}"))
    });
    status.as_str().to_owned() + &shown.collect::<String>()
}
