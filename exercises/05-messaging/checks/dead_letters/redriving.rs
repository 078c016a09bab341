//! The way back.

use super::dying::{STEPS, cut_nth};
use super::scene::names;
use super::*;
use grading::comes_to;
use std::collections::BTreeMap;
use testbed::gate::Gate;

pub(super) async fn sent_back<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let stock = Queue::new("stock", &["order.*.v1"]);
    let other = Topology { exchange: scene.exchange.clone(), queues: vec![stock] };
    scene.also(&other).await?;
    let messages = scene.messages(5);
    scene.dead(&messages).await?;
    scene.comes_to("stock", 5).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    client.letters().await?;
    client.redrives(5, |_| true).await?;
    scene.comes_to(&scene.queue.dead(), 0).await?;
    scene.comes_to(&scene.queue.name, 5).await?;
    match scene.count("stock").await? {
        5 => {}
        many => {
            let saw = format!("{} more", many - 5);
            return Err(client.not("nothing more for the other queue", saw));
        }
    }
    for taken in scene.peek(&scene.queue.name).await? {
        if attempt(&taken) != 1 {
            let id = Message::delivered(&taken).id;
            let expected = format!("{id} as delivery 1: it was sent back");
            return Err(client.not(expected, format!("delivery {}", attempt(&taken))));
        }
    }
    scene.comes_to(&scene.queue.name, 5).await?;
    scene.holds(&scene.queue.name, &messages).await
}

pub(super) async fn chosen<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(6);
    scene.dead(&messages).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    let wanted = [messages[1].clone(), messages[4].clone()];
    let is_wanted = |letter: &DeadLetter| wanted.iter().any(|it| it.id == letter.message.id);
    client.redrives(2, is_wanted).await?;
    scene.comes_to(&scene.queue.name, 2).await?;
    scene.holds(&scene.queue.name, &wanted).await?;
    scene.comes_to(&scene.queue.dead(), 4).await?;
    let stays: Vec<Message> = client.letters().await?.into_iter().map(|it| it.message).collect();
    let others = [0, 2, 3, 5].map(|nth: usize| messages[nth].clone());
    match names(&stays) == names(&others) {
        true => Ok(()),
        false => Err(client.not(format!("{} stay, in this order", names(&others)), names(&stays))),
    }
}

pub(super) async fn cut_while_redriven<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let mut cuts = 0;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            scene.world.history().turn_page();
            let client = scene.client::<S>("support", 4, CUT, SHORT).await?;
            let messages = scene.messages(2);
            scene.dead(&messages).await?;
            let cut = cut_nth(&client.proxy, step, reply);
            let began = Instant::now();
            loop {
                if client.redrive(|_| true).await?.is_ok() {
                    // What was in hand when the connection was cut goes back a moment later.
                    let left = scene.count(&scene.queue.dead()).await?;
                    if left == 0 {
                        break;
                    }
                }
                if began.elapsed() > IN_TIME {
                    return Err(client.not("all sent back in the end", "not within 15 s"));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let times = times(&scene.take(&scene.queue.name).await?);
            for message in &messages {
                match times.get(&message.id).copied().unwrap_or(0) {
                    1 | 2 => {}
                    many => {
                        let expected = format!("{} in the queue, once or twice", message.id);
                        return Err(client.not(expected, format!("{many} times")));
                    }
                }
            }
            if cut.count() == 0 && !reply {
                break 'steps;
            }
            cuts += cut.count();
        }
    }
    landed(cuts, "letters were sent back without a word to the broker")
}

fn times(taken: &[messaging::lapin::message::Delivery]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for taken in taken {
        *times.entry(Message::delivered(taken).id).or_default() += 1;
    }
    times
}

pub(super) async fn together<S: Ward>(world: World) -> Result<(), Finding> {
    const MANY: usize = 4;
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(MANY);
    scene.dead(&messages).await?;
    let first = scene.client::<S>("first", 4, PATIENT, SHORT).await?;
    let second = scene.client::<S>("second", 4, PATIENT, SHORT).await?;
    let gate = Gate::shut();
    let _held = first.proxy.hold_at(&gate, |request| request.is("basic.publish"));
    let client = Arc::clone(&first);
    let mut held = tokio::spawn(async move { client.redrive(|_| true).await });
    comes_to(&gate, &mut held).await?;
    let by_second = second.redrive(|_| true).await?;
    let late = scene.message();
    scene.put(std::slice::from_ref(&late)).await?;
    // Behind those that the second has sent back.
    let (dead, envelope) = (scene.queue.dead(), late.properties());
    scene.put_as("", &dead, &late.body, envelope).await?;
    gate.open();
    let by_first = held.await??;
    // Where one had all in hand, the other found none; and what was in hand may be dead still.
    let _ = second.redrive(|letter| letter.message.id != late.id).await?;
    let in_queue = times(&scene.take(&scene.queue.name).await?);
    for message in &messages {
        let many = in_queue.get(&message.id).copied().unwrap_or(0);
        if many != 1 {
            let expected = format!("{} in the queue once", message.id);
            return Err(second.not(expected, format!("{many} times")));
        }
    }
    let moved = by_first.unwrap_or(0) + by_second.unwrap_or(0);
    if moved < MANY as u64 || moved > MANY as u64 + 1 {
        return Err(second.not(format!("{MANY} sent back by the two"), moved.to_string()));
    }
    // One that was published, and one that died; or both in the queue.
    let is_dead = times(&scene.take(&dead).await?);
    let both = in_queue.get(&late.id).unwrap_or(&0) + is_dead.get(&late.id).unwrap_or(&0);
    match both {
        2 => Ok(()),
        _ => Err(second.not("the letter that came meanwhile", "it is nowhere")),
    }
}

pub(super) async fn dies_again<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 2).await?;
    let client = scene.client::<S>("consumer", 4, PATIENT, SHORT).await?;
    let failing = scene.message();
    let name = failing.id.clone();
    let works =
        Works::new(&scene, "consumer", move |delivered| match delivered.message.id == name {
            true => How::again("a price of -1"),
            false => How::never("no such order"),
        });
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(&scene.messages(3)).await?;
    scene.put(std::slice::from_ref(&failing)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 4)).await?;
    let support = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    // So slow that the first has died again before the last is sent back.
    support.proxy.set_delay(Duration::from_millis(40));
    running.meanwhile(support.redrives(4, |_| true)).await?;
    support.proxy.set_delay(Duration::ZERO);
    let twice = |begun: &[works::Begun]| begun.len() >= 2 * (3 + 2);
    running.meanwhile(works.come_to("each delivered as often as before", twice)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 4)).await?;
    running.ends().await?;
    works.were(&failing, &[1, 2, 1, 2])?;
    for letter in support.letters().await? {
        let id = &letter.message.id;
        if letter.redriven != 1 {
            let expected = format!("{id}: sent back once before");
            return Err(support.not(expected, format!("{} times", letter.redriven)));
        }
        let attempts = if *id == failing.id { 2 } else { 1 };
        if letter.attempts != Some(attempts) {
            let expected = format!("{id}: dead after {attempts} since it was sent back");
            return Err(support.not(expected, format!("{:?}", letter.attempts)));
        }
    }
    Ok(())
}

pub(super) async fn queue_is_gone<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(2);
    scene.dead(&messages).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    scene.delete(&scene.queue.name).await?;
    // Whether it declares the queue again or says that it is not there.
    let _ = client.redrive(|_| true).await?;
    let began = Instant::now();
    loop {
        let (queue, dead) = (&scene.queue.name, scene.queue.dead());
        let there = scene.count(queue).await? + scene.count(&dead).await?;
        match there {
            2.. => return Ok(()),
            // What was in hand goes back a moment later.
            _ if began.elapsed() < SOON => tokio::time::sleep(SHORT).await,
            _ => {
                let saw = format!("{there} of 2 in the queue and the dead-letter queue");
                return Err(client.not("none thrown away: no queue wanted them", saw));
            }
        }
    }
}
