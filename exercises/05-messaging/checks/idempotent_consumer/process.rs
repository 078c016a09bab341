//! Real processes that are really stopped, and killed.

use super::scene::{CONSUMER, book, booking};
use super::*;
use grading::Child;
use messaging::idempotent_consumer::Error;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    postgres: String,
    warm_up: String,
    message: String,
}

fn say(answer: &Result<Once, Error>) {
    match answer {
        Ok(once) => Child::say(&format!("{once:?}")),
        Err(error) => Child::say(&format!("error: {error}")),
    }
}

/// Takes one message when it is told to, and says what became of it.
pub(super) async fn one_delivery<S: Inbox>(mut child: Child) {
    let Order { postgres, warm_up, message } = child.arguments();
    let inbox = S::open(&postgres, CONSUMER, PATIENT).expect("the parent's URL can be read");
    for _ in 0..2 {
        let warm_up = Message::new(warm_up.clone(), "warm.up", "");
        let answer = inbox.once(&warm_up, booking(CONSUMER, &warm_up.id, Middle::Goes)).await;
        if answer.is_err() {
            return say(&answer);
        }
    }
    Child::say("ready");
    child.hear().await;
    let message = Message::new(message, "payment.received.v1", "12.50");
    say(&inbox.once(&message, booking(CONSUMER, &message.id, Middle::Goes)).await);
    child.hear().await;
}

pub(super) async fn killed_anywhere<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    let mut steps = 0;
    for step in 1..=2 * STEPS {
        // Before its first word to PostgreSQL, after it, before the second, …
        let (step, answered) = (step.div_ceil(2), step % 2 == 0);
        let proxy = scene.world.postgres_client("process").await?;
        let (warm_up, message) = (scene.one_more(), scene.message());
        let postgres = proxy.url().to_owned();
        let order = Order { postgres, warm_up: warm_up.id, message: message.id.clone() };
        let mut process = scene.world.process(&order)?;
        let said = process.expect("two deliveries", SOON).await?;
        if said != "ready" {
            return Err(Evidence::new("two deliveries", said).into());
        }
        scene.world.history().turn_page();
        scene.quiet().await?;
        proxy.reset_count();
        let gate = match answered {
            false => proxy.hold(move |request| request.nth == step),
            true => proxy.hold_reply(move |request| request.nth == step),
        };
        let call = scene.world.invoke("process", format!("deliver {}", message.id));
        process.say("go").await;
        let said = tokio::select! {
            came = gate.arrived(1, SOON) => { came?; None }
            said = process.hear(SOON) => said?,
        };
        process.kill().await?;
        call.unknown("killed (kill -9)");
        gate.open();
        let (once, at_once) = scene.until_done(&second, &message).await?;
        scene.is(&second, &message, Once::Seen).await?;
        steps += 1;
        match said.as_deref() {
            None => {}
            // All steps were tried; this time it came to its end, and was killed before the broker
            // heard of it.
            Some("First") if once == Once::First && at_once => {
                return Err(second.broken("Seen: the other process has committed it", "First"));
            }
            Some("First" | "Seen") => return landed(steps - 1, "a delivery asked nothing"),
            Some(other) => {
                return Err(Finding::inconclusive(format!("the other process: {other}")));
            }
        }
    }
    Err(Finding::inconclusive("a delivery takes more steps than were tried"))
}

/// Takes one message, and stands still in the middle of its effect until it is told to go on.
pub(super) async fn slow_effect<S: Inbox>(child: Child) {
    let Order { postgres, message, .. } = child.arguments();
    let inbox = S::open(&postgres, CONSUMER, BRISK).expect("the parent's URL can be read");
    let message = Message::new(message, "payment.received.v1", "12.50");
    let child = Arc::new(Mutex::new(child));
    let begun = Arc::new(AtomicBool::new(false));
    loop {
        let (id, child, begins) = (message.id.clone(), Arc::clone(&child), Arc::clone(&begun));
        let answer = inbox.once(&message, move |transaction| {
            Box::pin(async move {
                book(transaction, CONSUMER, &id, "debit").await?;
                begins.store(true, Ordering::SeqCst);
                Child::say("in the middle");
                child.lock().await.hear().await;
                book(transaction, CONSUMER, &id, "credit").await?;
                Ok(())
            })
        });
        let answer = answer.await;
        // On a busy machine, half a second may not be enough for a connection.
        if answer.is_ok() || begun.load(Ordering::SeqCst) {
            say(&answer);
            break;
        }
    }
    // The parent has seen enough.
    std::future::pending::<()>().await;
}

pub(super) async fn stopped_consumer<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    let message = scene.message();
    let proxy = scene.world.postgres_client("process").await?;
    let postgres = proxy.url().to_owned();
    let order = Order { postgres, warm_up: String::new(), message: message.id.clone() };
    let mut process = scene.world.process(&order)?;
    let call = scene.world.invoke("process", format!("deliver {}", message.id));
    let said = process.expect("the beginning of an effect", SOON).await?;
    if said != "in the middle" {
        return Err(Evidence::new("the other process in the middle of its effect", said).into());
    }
    process.stop()?;
    let stopped = scene.world.fault("the process is stopped (SIGSTOP) in the middle of its effect");
    scene.until_done(&second, &message).await?;
    // It is told to go on while it cannot hear; it wakes in the middle of its effect.
    process.say("go on").await;
    process.resume()?;
    drop(stopped);
    let said = process.expect("an answer", SOON).await?;
    let first = said == "First";
    match first {
        true => call.ok(said.clone()),
        false => call.fail(said.clone()),
    };
    let because = "the second one has done it, and the first one wakes too late";
    scene.holds(CONSUMER, &message, 1, because).await?;
    if first {
        let evidence = Evidence::new("an error: another has done it", said);
        return Err(evidence.at(scene.world.history().last("process", "= ")).into());
    }
    scene.is(&second, &message, Once::Seen).await
}
