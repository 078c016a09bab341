//! What a consumer does when what it needs is lost.

use super::acknowledging::Order;
use super::scene::{opened, own};
use super::*;
use messaging::lapin::options::QueueDeleteOptions;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

pub(super) async fn comes_back<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let works = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 2, &works);
    let message = scene.messages(1);
    scene.put(&message).await?;
    running.meanwhile(works.done(&message)).await?;
    running.meanwhile(scene.is_empty(SOON)).await?;

    for lost in ["the broker closes the connection", "the connection breaks", "the broker is away"]
    {
        scene.world.history().note("client", format!("({lost})"));
        match lost {
            "the broker closes the connection" => {
                landed(scene.rabbit().await?.kill_connections().await?, "no connection")?;
            }
            "the connection breaks" => client.proxy.kill_connections(),
            _ => {
                client.proxy.refuse();
                // Long enough to try in vain.
                tokio::time::sleep(A_MOMENT).await;
                client.proxy.accept().await?;
            }
        }
        let message = scene.messages(1);
        scene.put(&message).await?;
        running.meanwhile(works.done_within(&message, A_WHILE)).await?;
    }
    scene.is_empty(SOON).await?;
    running.tell();
    running.ends().await.map(drop)
}

pub(super) async fn queue_is_gone<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let works = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 2, &works);
    let consumes = |queue: &testbed::rabbitmq::Queue| queue.consumers == 1;
    scene.queue_comes_to("a consumer at its queue", SOON, consumes).await?;

    let fault = scene.world.fault("somebody deletes the queue");
    let (broker, channel) = scene.look().await?;
    let deleted =
        channel.queue_delete(scene.queue(0).as_str().into(), QueueDeleteOptions::default());
    broker.answer(deleted).await.map_err(own)?;
    broker.close().await;
    drop(fault);
    let what = "the queue declared again, and a consumer at it";
    running.meanwhile(scene.queue_comes_to(what, A_WHILE, consumes)).await?;
    // Its bindings are gone with it.
    let message = scene.messages(2);
    let (broker, channel) = scene.look().await?;
    let (exchange, key) = (scene.topology.exchange.as_str(), message[0].key.as_str());
    let options =
        messaging::lapin::options::BasicPublishOptions { mandatory: true, ..Default::default() };
    for message in &message {
        let sent = broker.answer(async {
            let (body, properties) = (&message.body, message.properties());
            channel
                .basic_publish(exchange.into(), key.into(), options, body, properties)
                .await?
                .await
        });
        if sent.await.map_err(own)?.take_message().is_some() {
            let saw = "the queue, and no binding to it";
            return Err(Evidence::new("the queue with its bindings", saw).into());
        }
    }
    broker.close().await;
    works.done(&message).await?;
    running.goes_on()
}

/// Consumes; says what it begins, and ends it when it is told to.
pub(super) async fn sleeper<S: Courier>(mut child: Child) {
    let order: Order = child.arguments();
    let courier = order.courier::<S>();
    let gate = Gate::shut();
    let work = {
        let gate = gate.clone();
        move |delivered: Delivered| {
            let gate = gate.clone();
            async move {
                Child::say(&delivered.message.id);
                gate.pass().await;
                Ok(())
            }
        }
    };
    let hears = async move {
        child.hear().await;
        gate.open();
        std::future::pending::<()>().await;
    };
    let over = courier.consume(&order.queue, order.prefetch, work, hears).await;
    Child::say(&format!("returned: {over:?}"));
}

pub(super) async fn stopped_consumer<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let messages = scene.messages(1);
    scene.put(&messages).await?;
    let mut process = scene.world.process(&Order::of(&scene, 1, 1).await?)?;
    let said = process.expect("work that begins", A_WHILE).await?;
    scene.world.history().note("process", format!("begins {said}"));
    process.stop()?;
    let stopped = scene.world.fault("the process is stopped (SIGSTOP), with its message in hand");

    let client = scene.client::<S>("other", PATIENT).await?;
    let works = Works::well(&scene, "other");
    let running = client.starts(&scene, 0, 1, &works);
    // Its heartbeat is a second. The broker waits for two of them, and looks when it is due.
    works.done_within(&messages, A_WHILE).await?;
    scene.is_empty(SOON).await?;
    running.tell();
    running.ends().await?;

    // It wakes, ends its work, acknowledges what is no longer its own, and must come back.
    process.say("go on").await;
    process.resume()?;
    drop(stopped);
    let more = scene.messages(2);
    scene.put(&more).await?;
    for _ in &more {
        let said = process.expect("work that begins, after it woke", A_WHILE).await?;
        if said.starts_with("returned") {
            return Err(Evidence::new("a consumer that comes back", said).into());
        }
        scene.world.history().note("process", format!("begins {said}"));
    }
    scene.is_empty(A_WHILE).await
}

pub(super) async fn pauses<S: Courier>(world: World) -> Result<(), Finding> {
    /// So long is counted.
    const LOOKED: Duration = Duration::from_secs(1);
    /// Pauses of 10 ms that double make seven.
    const MOST: usize = 12;
    let scene = Scene::set(world).await?;
    // Not the broker, but somebody who hangs up at once, and counts.
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| Finding::inconclusive(error.to_string()))?;
    let port =
        listener.local_addr().map_err(|error| Finding::inconclusive(error.to_string()))?.port();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let answering = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let url = format!("amqp://check:check@127.0.0.1:{port}/%2f");
    let courier: S = opened(&url, scene.topology.clone(), BRISK)?;
    let client = Arc::new(Client {
        lane: "client",
        courier,
        proxy: scene.world.rabbit_client("unused").await?,
        history: scene.world.history().clone(),
    });
    let works = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 2, &works);
    let began = Instant::now();
    while attempts.load(Ordering::SeqCst) < 2 {
        running.goes_on()?;
        if began.elapsed() > A_WHILE {
            let saw = format!("{} in {A_WHILE:?}", attempts.load(Ordering::SeqCst));
            return Err(Evidence::new("more than one attempt to connect", saw).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = attempts.load(Ordering::SeqCst);
    tokio::time::sleep(LOOKED).await;
    let made = attempts.load(Ordering::SeqCst) - before;
    answering.abort();
    if made > MOST {
        let step = scene.world.history().note("client", format!("({made} connections)"));
        let expected = format!("pauses: at most {MOST} attempts in {LOOKED:?}");
        return Err(Evidence::new(expected, made.to_string()).at(step).into());
    }
    running.goes_on()?;
    // It can be told to end also while there is nobody to say goodbye to.
    running.tell();
    running.ends().await.map(drop)
}
