//! The others, while one fails and fails.

use super::*;

pub(super) async fn poison_first<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 3).await?;
    let client = scene.client::<S>("consumer", 1, PATIENT, SHORT).await?;
    let (poison, others) = (scene.message(), scene.messages(10));
    let works = Works::but(&scene, "consumer", &poison, |_| How::again("a price of -1"));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(std::slice::from_ref(&poison)).await?;
    scene.put(&others).await?;
    let all = |begun: &[works::Begun]| {
        others.iter().all(|other| begun.iter().any(|begun| begun.message.id == other.id))
    };
    running.meanwhile(works.come_to("the ten behind the poison done", all)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.name, 0)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
    running.ends().await?;
    works.were(&poison, &[1, 2, 3])?;
    for other in &others {
        works.were(other, &[1])?;
    }
    Ok(())
}

pub(super) async fn pause_holds_nobody<S: Ward>(world: World) -> Result<(), Finding> {
    /// Longer than anybody waits here.
    const HALF_A_MINUTE: Duration = Duration::from_secs(30);
    let scene = Scene::set(world, 5).await?;
    let client = scene.client::<S>("consumer", 2, PATIENT, HALF_A_MINUTE).await?;
    let (poison, others) = (scene.message(), scene.messages(6));
    let works = Works::but(&scene, "consumer", &poison, |_| How::again("the mail server is away"));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(std::slice::from_ref(&poison)).await?;
    scene.put(&others).await?;
    let all = |begun: &[works::Begun]| {
        others.iter().all(|other| begun.iter().any(|begun| begun.message.id == other.id))
    };
    running.meanwhile(works.come_to("the six others done, beside the pause", all)).await?;
    let so = |queue: &testbed::rabbitmq::Queue| queue.ready + queue.unacked == 1;
    running.meanwhile(scene.comes(&scene.queue.name, "the poison only", so)).await?;
    running.ends().await?;
    works.were(&poison, &[1])?;
    scene.comes_to(&scene.queue.name, 1).await?;
    scene.comes_to(&scene.queue.dead(), 0).await
}

pub(super) async fn pauses<S: Ward>(world: World) -> Result<(), Finding> {
    const PAUSE: Duration = Duration::from_millis(150);
    let scene = Scene::set(world, 4).await?;
    let client = scene.client::<S>("consumer", 2, PATIENT, PAUSE).await?;
    let poison = scene.message();
    let works = Works::but(&scene, "consumer", &poison, |_| How::again("a price of -1"));
    let mut running = client.starts(&works);
    running.meanwhile(scene.has_consumer()).await?;
    scene.put(std::slice::from_ref(&poison)).await?;
    running.meanwhile(scene.comes_to(&scene.queue.dead(), 1)).await?;
    running.ends().await?;
    works.were(&poison, &[1, 2, 3, 4])?;
    let begun = works.begun();
    for pair in begun.windows(2) {
        let between = pair[1].at - pair[0].at;
        // The clocks of timers are coarse.
        if between < PAUSE - Duration::from_millis(5) {
            let expected = format!("{PAUSE:?} between two deliveries");
            return Err(client.not(expected, format!("{between:.1?}")));
        }
    }
    Ok(())
}
