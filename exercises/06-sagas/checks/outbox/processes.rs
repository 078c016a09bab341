//! What another process has done: a `static` knows nothing of that.

use super::*;
use messaging::confirms::{self, NotConfirmed, Publisher};

/// What the other process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    postgres: String,
    exchange: String,
    attempts: u32,
    pause: Duration,
}

/// Forwards once, to a broker that asks the parent about each message; then says how it ended.
pub(super) async fn asking<S: Outbox>(child: Child) {
    let Order { postgres, exchange, attempts, pause } = child.arguments();
    let options = Options { attempts, pause, ..PATIENT };
    let outbox = S::open(&postgres, options).expect("the parent's URL can be read");
    let broker = Asking { parent: Mutex::new(child) };
    match outbox.forward(&exchange, &broker).await {
        Ok(done) => Child::say(&format!("{END}{}", told(&done))),
        Err(error) => Child::say(&format!("{FAILED}{error}")),
    }
}

const END: &str = "end: ";
const FAILED: &str = "failed: ";
const CONFIRMED: &str = "confirmed";
const REFUSED: &str = "refused";
const GIVEN_BACK: &str = "given back";

struct Asking {
    parent: Mutex<Child>,
}

impl Publisher for Asking {
    fn open(url: &str, _: confirms::Options) -> Result<Asking, messaging::Error> {
        Err(messaging::Error::Url(url.to_owned()))
    }

    async fn publish(&self, _: &str, message: &Message) -> Result<(), NotConfirmed> {
        let mut parent = self.parent.lock().await;
        Child::say(&message.id);
        match parent.hear().await.as_str() {
            REFUSED => Err(NotConfirmed::Refused),
            GIVEN_BACK => Err(NotConfirmed::Unroutable { key: message.key.clone() }),
            _ => Ok(()),
        }
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut answers = Vec::new();
        for message in messages {
            answers.push(self.publish(exchange, message).await);
        }
        answers
    }
}

/// The other process, as it forwards.
struct Other<'scene> {
    scene: &'scene Scene,
    process: grading::Process,
}

impl Other<'_> {
    async fn start(scene: &Scene, options: Options) -> Result<Other<'_>, Finding> {
        let postgres = scene.world.postgres().await?.url().to_owned();
        let Options { attempts, pause, .. } = options;
        let order = Order { postgres, exchange: scene.exchange.clone(), attempts, pause };
        Ok(Other { scene, process: scene.world.process(&order)? })
    }

    /// The next message that it publishes; `None` when its call has ended.
    async fn publishes(&mut self) -> Result<Option<String>, Finding> {
        let said = self.process.expect("a message, or the end of its call", A_WHILE).await?;
        if let Some(error) = said.strip_prefix(FAILED) {
            let failed = format!("the other process could not forward: {error}");
            return Err(Finding::inconclusive(failed));
        }
        let over = said.starts_with(END);
        let what = if over { said.clone() } else { format!("publishes {said}") };
        self.scene.note("process", what);
        Ok(Some(said).filter(|_| !over))
    }

    async fn hears(&mut self, answer: &str) {
        self.scene.note("process", format!("hears: {answer}"));
        self.process.say(answer).await;
    }
}

pub(super) async fn two_processes<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let messages: Vec<Message> =
        (1..=3).flat_map(|order| [1, 2].map(|nth| scene.message(order, nth))).collect();
    let _ = relay.quietly().await;
    scene.commit(&relay, &messages).await?;
    let mut other = Other::start(&scene, PATIENT).await?;
    let mut next = other.publishes().await?;
    let Some(first) = next.clone() else {
        let expected = format!("{} published by the other process", messages[0].id);
        return Err(scene.broken(expected, "nothing", &messages[0].id));
    };
    let forwarding = relay.start();
    relays::goes_by(&scene, &forwarding).await?;
    if let Some(meanwhile) = scene.broker.ids().first() {
        let expected = format!("nothing published: the other process is at {first}");
        return Err(scene.broken(expected, format!("{meanwhile} was"), meanwhile));
    }
    let mut confirmed = Vec::new();
    while let Some(id) = next {
        other.hears(CONFIRMED).await;
        confirmed.push(id);
        next = other.publishes().await?;
    }
    let _ = forwarding.await?;
    relay.until(messages.len().saturating_sub(confirmed.len()), SOON).await?;
    relay.rest().await?;
    match confirmed.iter().find(|id| scene.broker.times(id) > 0) {
        None => Ok(()),
        Some(again) => {
            let expected = format!("{again} once: the other process has sent it");
            Err(scene.broken(expected, "this one has sent it as well", again))
        }
    }
}

pub(super) async fn found_out<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    rests::<S>(&scene).await?;
    scene.world.history().turn_page();
    counts::<S>(&scene).await
}

async fn rests<S: Outbox>(scene: &Scene) -> Result<(), Finding> {
    let options = Options { pause: LONG, ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let messages: Vec<Message> =
        (1..=2).flat_map(|order| [1, 2].map(|nth| scene.message(order, nth))).collect();
    scene.commit(&relay, &messages).await?;
    let mut other = Other::start(scene, options).await?;
    while let Some(id) = other.publishes().await? {
        let refused = messages[..2].iter().any(|message| message.id == id);
        other.hears(if refused { REFUSED } else { GIVEN_BACK }).await;
    }
    relay.rest().await?;
    match messages.iter().find(|message| scene.broker.tried(&message.id) > 0) {
        None => Ok(()),
        Some(early) => {
            let expected = format!(
                "{} not tried: what the other process has heard holds for {LONG:?}",
                early.id
            );
            Err(scene.broken(expected, "it was", &early.id))
        }
    }
}

async fn counts<S: Outbox>(scene: &Scene) -> Result<(), Finding> {
    let options = Options { attempts: 2, pause: Duration::from_millis(1), ..PATIENT };
    let relay = scene.relay::<S>("relay", options).await?;
    let [unwanted, behind] = [1, 2].map(|nth| scene.message(3, nth));
    scene.commit(&relay, &[unwanted.clone(), behind.clone()]).await?;
    let mut other = Other::start(scene, options).await?;
    while other.publishes().await?.is_some() {
        other.hears(GIVEN_BACK).await;
    }
    let id = unwanted.id.clone();
    scene.broker.rule(usize::MAX, move |message| message.id == id, Fate::Unwanted);
    if relay.until(1, SOON).await.is_err() {
        let expected = format!("{} published: what is in front of it is parked", behind.id);
        return Err(scene.broken(expected, format!("not within {SOON:?}"), &unwanted.id));
    }
    match scene.broker.tried(&unwanted.id) {
        1 => Ok(()),
        times => {
            let expected = "2 attempts in all, of which the other process has made one";
            let saw = format!("{times} more");
            Err(scene.broken(expected, saw, &unwanted.id))
        }
    }
}
