//! Who is told to end, who must, and who leaves in the middle.

use super::*;
use grading::comes_to;
use testbed::gate::Gate;

pub(super) async fn ends_what_it_began<S: Ward>(world: World) -> Result<(), Finding> {
    const PREFETCH: u16 = 3;
    const MANY: usize = 8;
    const HEARD: Duration = Duration::from_secs(1);
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", PREFETCH, PATIENT, SHORT).await?;
    let gate = Gate::shut();
    let at = gate.clone();
    let works = Works::new(&scene, "consumer", move |_| How::At(at.clone()));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(&scene.messages(MANY)).await?;
    let all = usize::from(PREFETCH);
    let begun = move |begun: &[works::Begun]| begun.len() >= all;
    running.meanwhile(works.come_to(format!("{PREFETCH} begun"), begun)).await?;
    let (ready, unacked) = (MANY as u64 - u64::from(PREFETCH), u64::from(PREFETCH));
    let so =
        move |queue: &testbed::rabbitmq::Queue| queue.ready == ready && queue.unacked == unacked;
    let what = format!("{ready} ready, {unacked} unacked: the prefetch is {PREFETCH}");
    running.meanwhile(scene.comes(&scene.queue.name, &what, so)).await?;
    // Told to end, it has three to finish. It has heard of it when it unsubscribes; some do not.
    running.tell();
    let began = Instant::now();
    let name = scene.queue.name.as_str();
    while began.elapsed() < HEARD {
        let queue = scene.rabbit().await?.queue(name).await?;
        if queue.is_none_or(|queue| queue.consumers == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gate.open();
    let drained = running.ends().await?;
    if drained != (Drained { done: unacked, again: 0, dead: 0 }) {
        return Err(
            client.not(format!("{unacked} done: they were under way"), format!("{drained:?}"))
        );
    }
    scene.comes_to(&scene.queue.name, ready).await?;
    match works.begun().len() {
        begun if begun == all => Ok(()),
        begun => Err(client.not(format!("{PREFETCH} begun, and no more"), begun.to_string())),
    }
}

pub(super) async fn otherwise<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 3).await?;
    let other = Queue { deliveries: 4, ..scene.queue.clone() };
    let other = Topology { exchange: scene.exchange.clone(), queues: vec![other] };
    scene.also(&other).await?;
    let client = scene.client::<S>("consumer", 2, PATIENT, SHORT).await?;
    let works = Works::new(&scene, "consumer", |_| How::done());
    let said = client.starts(&works).fails().await?;
    match said.contains("PRECONDITION") {
        true => Ok(()),
        false => Err(client.not("what the broker says: PRECONDITION_FAILED", said)),
    }
}

pub(super) async fn left_while_redriving<S: Ward>(world: World) -> Result<(), Finding> {
    const MANY: u64 = 4;
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(MANY as usize);
    scene.dead(&messages).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    // It has a connection, which stays.
    client.letters().await?;
    let gate = Gate::shut();
    let _held = client.proxy.hold_at(&gate, |request| request.is("basic.publish"));
    let leaves = Arc::clone(&client);
    let mut left = tokio::spawn(async move { leaves.redrive(|_| true).await });
    comes_to(&gate, &mut left).await?;
    left.abort();
    let _ = left.await;
    client.history.note(client.lane, "(its caller has left)");
    gate.open();
    // The one that was on its way may be in the queue, or dead still, or both.
    let began = Instant::now();
    loop {
        let letters = client.letters().await?.len() as u64;
        if (MANY - 1..=MANY).contains(&letters) {
            break;
        }
        if began.elapsed() > A_WHILE {
            let expected = format!("{MANY} dead letters, or one less: nobody has them in hand");
            return Err(client.not(expected, letters.to_string()));
        }
        tokio::time::sleep(SHORT).await;
    }
    // And the way back is free.
    if let Err(error) = client.redrive(|_| true).await? {
        return Err(client.not("the others sent back", error));
    }
    scene.comes_to(&scene.queue.dead(), 0).await?;
    let there = scene.count(&scene.queue.name).await?;
    match there {
        MANY | 5 => Ok(()),
        _ => Err(client.not(format!("{MANY} in the queue, or one twice"), there.to_string())),
    }
}
