//! What becomes of a message after each verdict.

use super::scene::differs;
use super::*;
use messaging::lapin::BasicProperties;
use messaging::lapin::message::Delivery;
use messaging::lapin::types::{AMQPValue, FieldTable};
use std::time::SystemTime;
use testbed::gate::Gate;

pub(super) async fn done_is_gone<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", 1, PATIENT, SHORT).await?;
    let gate = Gate::shut();
    let at = gate.clone();
    let works = Works::new(&scene, "consumer", move |_| How::At(at.clone()));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    let message = scene.message();
    scene.put(std::slice::from_ref(&message)).await?;
    running.meanwhile(works.come_to("its work begun", |begun| !begun.is_empty())).await?;
    // What was acknowledged before its work is not seen here, however late it is.
    let name = scene.queue.name.clone();
    tokio::time::sleep(Duration::from_millis(30)).await;
    if scene.count(&name).await? != 1 {
        let step = client.history.note("broker", format!("{name} has nothing"));
        let expected = "the broker to keep it while its work is under way";
        return Err(Evidence::new(expected, "it has forgotten it").at(step).into());
    }
    gate.open();
    running.meanwhile(scene.comes_to(&name, 0)).await?;
    let drained = running.ends().await?;
    works.were(&message, &[1])?;
    if drained != (Drained { done: 1, again: 0, dead: 0 }) {
        return Err(client.not("one done", format!("{drained:?}")));
    }
    match scene.count(&scene.queue.dead()).await? {
        0 => Ok(()),
        _ => Err(client.not("no dead letter: it is done", "one")),
    }
}

pub(super) async fn limit_and_words<S: Ward>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world, 3).await?;
    for deliveries in [3, 1] {
        scene.world.history().turn_page();
        scene.queue.name = format!("{}-{deliveries}", scene.queue.name);
        scene.queue.deliveries = deliveries;
        let client = scene.client::<S>("consumer", 4, PATIENT, SHORT).await?;
        let [poison, other] = [scene.message(), scene.message()];
        let fails = |attempt| How::again(format!("fault {attempt}"));
        let works = Works::but(&scene, "consumer", &poison, fails);
        let mut running = client.starts(&works);
        running.meanwhile(scene.has_consumer()).await?;
        scene.put(&[poison.clone(), other.clone()]).await?;
        running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
        running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
        let drained = running.ends().await?;
        works.were(&poison, &(1..=deliveries).collect::<Vec<_>>())?;
        works.were(&other, &[1])?;
        let again = u64::from(deliveries - 1);
        if drained != (Drained { done: 1, again, dead: 1 }) {
            let expected = format!("1 done, {again} again, 1 dead");
            return Err(client.not(expected, format!("{drained:?}")));
        }
        let letter = client.letter().await?;
        let words = format!("fault {deliveries}");
        is_dead(&client, &letter, &poison, &Reason::DeliveryLimit, Some(&words))?;
        if letter.attempts != Some(deliveries) {
            let saw = format!("{:?}", letter.attempts);
            return Err(client.not(format!("{deliveries} attempts on the letter"), saw));
        }
        // Its queue must be nobody else's.
        scene.delete(&scene.queue.name).await?;
        scene.delete(&scene.queue.dead()).await?;
    }
    Ok(())
}

/// What a letter must say.
pub(super) fn is_dead<S: Ward>(
    client: &Client<S>,
    letter: &DeadLetter,
    message: &Message,
    reason: &Reason,
    why: Option<&str>,
) -> Result<(), Finding> {
    if let Some((expected, saw)) = differs(&letter.message, message) {
        return Err(client.not(format!("on the letter {expected}"), saw));
    }
    if letter.reason != *reason {
        let expected = format!("{}: {}", message.id, reason.as_str());
        return Err(client.not(expected, letter.reason.as_str()));
    }
    if let Some(why) = why.filter(|why| letter.why.as_deref() != Some(*why)) {
        let saw = letter.why.as_deref().map_or("no word".to_owned(), |why| format!("\"{why}\""));
        return Err(client.not(format!("the consumer's words: \"{why}\""), saw));
    }
    let now = SystemTime::now();
    let ago = now.duration_since(letter.died_at).unwrap_or_default();
    match ago < Duration::from_secs(600) {
        true => Ok(()),
        false => Err(client.not("died_at: now", format!("{ago:?} ago"))),
    }
}

pub(super) async fn never<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", 4, PATIENT, SHORT).await?;
    let mut poison = scene.message();
    // No text in any encoding.
    poison.body = vec![b'{', 0xff, 0x00, 0xfe, b'"'];
    let works = Works::but(&scene, "consumer", &poison, |_| How::never("it is no JSON"));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(&[poison.clone(), scene.message()]).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    let drained = running.ends().await?;
    works.were(&poison, &[1])?;
    if drained != (Drained { done: 1, again: 0, dead: 1 }) {
        return Err(client.not("1 done, 1 dead", format!("{drained:?}")));
    }
    let letter = client.letter().await?;
    is_dead(&client, &letter, &poison, &Reason::Rejected, Some("it is no JSON"))
}

pub(super) async fn works_at_last<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 3).await?;
    let client = scene.client::<S>("consumer", 4, PATIENT, SHORT).await?;
    let message = scene.message();
    let works = Works::but(&scene, "consumer", &message, |attempt| match attempt {
        3.. => How::done(),
        _ => How::again("the mail server is away"),
    });
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(std::slice::from_ref(&message)).await?;
    running
        .meanwhile(
            works.come_to("a third delivery", |begun| begun.iter().any(|begun| begun.attempt == 3)),
        )
        .await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    works.were(&message, &[1, 2, 3])?;
    match scene.count(&scene.queue.dead()).await? {
        0 => Ok(()),
        many => Err(client.not("no dead letter: it was done", many.to_string())),
    }
}

pub(super) async fn panics<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 2).await?;
    // Who loses a place with each of them has none left.
    let client = scene.client::<S>("consumer", 1, PATIENT, SHORT).await?;
    let (poison, others) = (scene.message(), scene.messages(3));
    let works = Works::but(&scene, "consumer", &poison, |attempt| match attempt {
        1 => How::PanicsAtOnce,
        _ => How::Panics,
    });
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(std::slice::from_ref(&poison)).await?;
    scene.put(&others).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    works.were(&poison, &[1, 2])?;
    for other in &others {
        works.were(other, &[1])?;
    }
    let letter = client.letter().await?;
    is_dead(&client, &letter, &poison, &Reason::DeliveryLimit, None)
}

pub(super) async fn long_words<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", 1, PATIENT, SHORT).await?;
    let poison = scene.message();
    let page = "<html>500 Internal Server Error".repeat(10_000);
    let works = Works::but(&scene, "consumer", &poison, move |_| How::never(page.clone()));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(&[poison.clone(), scene.message()]).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    works.were(&poison, &[1])?;
    let letter = client.letter().await?;
    is_dead(&client, &letter, &poison, &Reason::Rejected, None)?;
    match letter.why.as_deref() {
        Some(why) if why.starts_with("<html>500 Internal") => Ok(()),
        why => {
            let saw = why.map_or("no word".to_owned(), |why| why.chars().take(40).collect());
            Err(client.not("the beginning of the consumer's words", saw))
        }
    }
}

pub(super) async fn unchanged<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 1).await?;
    let client = scene.client::<S>("consumer", 4, PATIENT, SHORT).await?;
    let works = Works::new(&scene, "consumer", |delivered| match delivered.message.id.as_str() {
        "rejected" => How::never("no such order"),
        _ => How::again("no such order"),
    });
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    let body: Vec<u8> = (0..=255).collect();
    for id in ["rejected", "failed"] {
        scene.put_as(&scene.exchange, "order.placed.v1", &body, envelope(id)).await?;
    }
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 2)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.ends().await?;
    let is_as_it_was = |found: &Delivery, where_: &str| {
        let id = found.properties.message_id().as_ref().map_or("", |id| id.as_str()).to_owned();
        match (found.data == body, lost(&found.properties, &envelope(&id))) {
            (true, None) => Ok(()),
            (false, _) => Err(client.not(format!("{id} {where_}: its bytes"), "others")),
            (_, Some(lost)) => Err(client.not(format!("{id} {where_}: as it was published"), lost)),
        }
    };
    // Taken and put back as they are, by the check's own hand.
    for letter in scene.take(&scene.queue.dead()).await? {
        is_as_it_was(&letter, "in the dead-letter queue")?;
        let key = scene.queue.dead();
        scene.put_as("", &key, &letter.data, letter.properties.clone()).await?;
    }
    client.redrives(2, |_| true).await?;
    scene.comes_to(&scene.queue.name, 2).await?;
    for back in scene.take(&scene.queue.name).await? {
        is_as_it_was(&back, "sent back")?;
    }
    Ok(())
}

/// With all that may be on an envelope, and what `Message` knows nothing of.
fn envelope(id: &str) -> BasicProperties {
    let mut inner = FieldTable::default();
    inner.insert("shard".into(), AMQPValue::LongLongInt(1 << 40));
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString("00-7-1-01".into()));
    headers.insert("version".into(), AMQPValue::LongInt(3));
    headers.insert("test".into(), AMQPValue::Boolean(true));
    headers.insert("place".into(), AMQPValue::FieldTable(inner));
    BasicProperties::default()
        .with_message_id(id.into())
        .with_correlation_id("order-7".into())
        .with_content_type("application/octet-stream".into())
        .with_content_encoding("gzip".into())
        .with_delivery_mode(2)
        .with_priority(7)
        .with_timestamp(1_700_000_000)
        .with_type("order.placed".into())
        .with_app_id("shop".into())
        .with_reply_to("answers".into())
        .with_headers(headers)
}

/// What of an envelope is not there any more.
fn lost(found: &BasicProperties, wanted: &BasicProperties) -> Option<String> {
    let none = FieldTable::default();
    let headers = found.headers().as_ref().unwrap_or(&none).inner();
    for (name, value) in wanted.headers().iter().flatten() {
        if headers.get(name.as_str()) != Some(value) {
            return Some(format!("the header {name} is {:?}", headers.get(name.as_str())));
        }
    }
    let bare = |of: &BasicProperties| of.clone().with_headers(FieldTable::default());
    (bare(found) != bare(wanted)).then(|| "another envelope".to_owned())
}
