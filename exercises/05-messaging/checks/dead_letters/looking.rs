//! Who looks at dead letters.

use super::scene::names;
use super::verdicts::is_dead;
use super::*;

pub(super) async fn looked_at<S: Ward>(world: World) -> Result<(), Finding> {
    const MANY: usize = 70;
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(MANY);
    scene.dead(&messages).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    for _ in 0..3 {
        let letters = client.letters().await?;
        let found: Vec<Message> = letters.into_iter().map(|letter| letter.message).collect();
        let wrong = found.iter().zip(&messages).find(|(found, wanted)| found.id != wanted.id);
        if let Some((found, wanted)) = wrong {
            return Err(client.not(format!("{} in its place", wanted.id), found.id.clone()));
        }
        if found.len() != MANY {
            return Err(client.not(format!("{MANY} dead letters"), names(&found)));
        }
    }
    scene.comes_to(&scene.queue.dead(), MANY as u64).await
}

pub(super) async fn of_the_broker<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 2).await?;
    scene.declare().await?;
    let [rejected, failed] = [scene.message(), scene.message()];
    scene.dead(std::slice::from_ref(&rejected)).await?;
    scene.put(std::slice::from_ref(&failed)).await?;
    for _ in 0..2 {
        scene.reject(true).await?;
    }
    scene.comes_to(&scene.queue.dead(), 2).await?;
    let client = scene.client::<S>("support", 4, PATIENT, SHORT).await?;
    let letters = client.letters().await?;
    let [first, second] = letters.as_slice() else {
        return Err(client.not("two dead letters", letters.len().to_string()));
    };
    is_dead(&client, first, &rejected, &Reason::Rejected, None)?;
    is_dead(&client, second, &failed, &Reason::DeliveryLimit, None)?;
    match (&first.why, &second.why) {
        (None, None) => Ok(()),
        other => Err(client.not("no words: nobody has said any", format!("{other:?}"))),
    }
}

pub(super) async fn broker_hangs<S: Ward>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world, 5).await?;
    scene.declare().await?;
    let messages = scene.messages(3);
    scene.dead(&messages).await?;
    let client = scene.client::<S>("support", 4, BRISK, SHORT).await?;
    soon(&client, 3).await?;
    let hangs = scene.world.fault("the broker hangs, as the client sees it");
    client.proxy.stall();
    let looked = tokio::time::timeout(IN_TIME, client.ward.dead_letters()).await;
    match looked {
        Err(_) => {
            let expected = "an error in time: the timeout is 500 ms";
            return Err(client.not(expected, "dead_letters() hangs for 15 s"));
        }
        Ok(Ok(_)) => return Err(client.not("an error: nobody answered", "dead letters")),
        Ok(Err(_)) => {}
    }
    if let Ok(moved) = client.redrive(|_| true).await? {
        return Err(client.not("an error: nobody answered", format!("{moved} sent back")));
    }
    client.proxy.resume();
    drop(hangs);
    soon(&client, 3).await
}

/// On a busy machine even an answer may be later than a brisk timeout.
async fn soon<S: Ward>(client: &Client<S>, many: usize) -> Result<(), Finding> {
    let began = Instant::now();
    loop {
        let letters = client.letters().await;
        match letters {
            Ok(letters) if letters.len() == many => return Ok(()),
            _ if began.elapsed() < A_WHILE => tokio::time::sleep(SHORT).await,
            Ok(letters) => {
                return Err(client.not(format!("{many} dead letters"), letters.len().to_string()));
            }
            Err(finding) => return Err(finding),
        }
    }
}
