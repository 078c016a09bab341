//! The same message, one delivery after the other.

use super::scene::Client;
use super::*;
use messaging::idempotent_consumer::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use testbed::gate::Gate;

pub(super) async fn once_and_again<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    let messages = [scene.message(), scene.one_more()];
    for message in &messages {
        scene.is(&first, message, Once::First).await?;
    }
    for message in &messages {
        scene.is(&first, message, Once::Seen).await?;
        scene.is(&second, message, Once::Seen).await?;
    }
    // One that has just been started knows it as well.
    let second = scene.client::<S>("second", PATIENT).await?;
    let message = scene.one_more();
    for (client, wanted) in [(&second, Once::First), (&first, Once::Seen), (&second, Once::Seen)] {
        scene.is(client, &message, wanted).await?;
        scene.is(client, &messages[0], Once::Seen).await?;
    }
    is_not_run_again(&scene, &first, &message).await
}

/// The account was closed after the booking.
async fn is_not_run_again<S: Inbox>(
    scene: &Scene,
    client: &Client<S>,
    message: &Message,
) -> Result<(), Finding> {
    scene.world.history().turn_page();
    let began = Instant::now();
    loop {
        match client.deliver(message, Middle::Fails(Gate::barrier(1))).await {
            Ok(Once::Seen) => return scene.acknowledged(client, message).await,
            Ok(Once::First) => return Err(client.broken("Seen", "First")),
            Err(error @ Error::Effect(_)) => {
                let expected = "Seen: its effect is committed, and is not run again";
                return Err(client.broken(expected, error.to_string()));
            }
            Err(error) if began.elapsed() > A_WHILE => {
                return Err(client.broken("Seen", error.to_string()));
            }
            Err(_) => {}
        }
    }
}

pub(super) async fn id_counts<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    let mut message = scene.message();
    message.correlation = Some(format!("order of {}", message.id));
    message.headers.insert("idempotency-key".to_owned(), message.id.clone());
    scene.is(&first, &message, Once::First).await?;
    // A producer that renders it anew does not write the same bytes.
    let mut again = Message::new(message.id.clone(), "payment.received.v2", "12.5");
    again.headers.insert("attempt".to_owned(), "2".to_owned());
    scene.is(&first, &again, Once::Seen).await?;
    // And two may well pay the same, or one of them the same order in two parts.
    let other = Message { id: scene.one_more().id, ..message };
    scene.is(&first, &other, Once::First).await?;
    for id in odd_ids(&scene.message().id) {
        let odd = Message { id, ..other.clone() };
        scene.is(&first, &odd, Once::First).await?;
        scene.is(&first, &odd, Once::Seen).await?;
    }
    Ok(())
}

/// An id is what its producer has made up, and each is another. AMQP has room for 255 bytes.
fn odd_ids(stem: &str) -> Vec<String> {
    let names = ["", "-o'neil", "-O'Neil", "-o'neil ", "-o-neil", "-oneil", "-o_neil", "-o%"];
    let mut ids: Vec<_> = names.iter().map(|name| format!("{stem}{name}")).collect();
    ids.extend(["-müller", "-muller", "-m\u{fc}ller\t"].map(|name| format!("{stem}{name}")));
    ids.push(format!(" {stem}"));
    let room = 255 - stem.len();
    ids.extend(["a", "b"].map(|last| format!("{stem}{last:->room$}")));
    ids
}

pub(super) async fn each_consumer<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let billing = scene.consumer::<S>("first", "billing", PATIENT).await?;
    let stock = scene.consumer::<S>("second", "stock", PATIENT).await?;
    let message = scene.message();
    for wanted in [Once::First, Once::Seen] {
        scene.is(&billing, &message, wanted).await?;
        scene.is(&stock, &message, wanted).await?;
    }
    // Two names that read the same when they are glued together.
    let european = scene.consumer::<S>("first", "stock:eu", PATIENT).await?;
    let inner = scene.message();
    let outer = Message { id: format!("eu:{}", inner.id), ..inner.clone() };
    for wanted in [Once::First, Once::Seen] {
        scene.is(&stock, &outer, wanted).await?;
        scene.is(&european, &inner, wanted).await?;
    }
    Ok(())
}

pub(super) async fn no_id<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    for amount in ["12.50", "7.99"] {
        let message = Message::new("", "payment.received.v1", amount);
        let ran = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&ran);
        let delivery = first.inbox.once(&message, move |_| {
            runs.store(true, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        });
        let call = format!("deliver {amount}, without an id");
        let answer = first.history.call(first.lane, call, delivery).await;
        match answer {
            Err(Error::NoId) => {}
            Ok(once) => return Err(first.broken("an error: it has no id", format!("{once:?}"))),
            Err(error) => return Err(first.broken("Error::NoId", error.to_string())),
        }
        if ran.load(Ordering::SeqCst) {
            return Err(first.broken("no effect of what cannot be known again", "it was run"));
        }
    }
    let rows = scene.count("SELECT count(*) FROM inbox".to_owned()).await?;
    if rows > 0 {
        return Err(first.broken("nothing remembered", format!("{rows} rows in the inbox")));
    }
    // And it was none of the inbox's own trouble.
    let message = scene.one_more();
    scene.is(&first, &message, Once::First).await
}
