//! A broker that is killed, and comes back with what was on its disk.

use super::*;
use testbed::proxy::Proxy;

pub(super) async fn broker_restarts<S: Publisher>(world: World) -> Result<(), Finding> {
    const BATCH: usize = 40;
    // A broker takes seconds to start. Who does not publish at all need not wait for it.
    let nobody = Message::new("0", "nobody", "");
    let publisher = S::open(world.rabbit().await?.url(), PATIENT)
        .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
    let _ = tokio::time::timeout(A_WHILE, publisher.publish("", &nobody)).await;

    let rabbit = testbed::rabbitmq::process().await?;
    let scene = Scene::at(world, rabbit.url()).await?;
    let proxy = Proxy::before_rabbitmq(rabbit.url()).await?;
    let client = scene.client_at::<S>(proxy, PATIENT)?;
    let mut sent = scene.messages(BATCH);
    sent[BATCH / 2].key = "nobody.wants".to_owned();
    let outcomes = client.publish_all(&sent).await?;
    let confirmed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    if confirmed != BATCH - 1 {
        return Err(client.not(format!("{} ok", BATCH - 1), confirmed.to_string()));
    }
    rabbit.kill().await?;
    scene.world.history().note("broker", "(killed, and started again)");
    rabbit.restart().await?;
    let wanted = confirmed as u64;
    let queue = scene.queue.clone();
    match rabbit.wait_for(&queue, A_WHILE, move |queue| queue.ready == wanted).await {
        Ok(_) => {}
        Err(late @ testbed::rabbitmq::Error::Late { .. }) => {
            let expected = format!("{confirmed} messages: each was confirmed");
            return Err(client.not(expected, late.to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    client.arrives_soon(&scene.message(BATCH)).await
}
