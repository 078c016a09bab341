//! Work that does not come to its end.

use super::*;
use sagas::idempotency_keys::Response;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::Mutex;

pub(super) async fn panicked_work<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.warm::<K>("first", PATIENT).await?;
    let payment = scene.payment();
    let job = scene.job(&payment);
    let panics = first.start(&payment, &job.clone().ends(Ends::Panics)).await;
    if let Ok(Ok(answer)) = panics {
        return Err(first.broken("no answer: the work panicked", told(&answer)));
    }
    scene.has(&payment.what, 0, "the work panicked").await?;
    for lane in ["second", "first"] {
        let payment = Payment { path: format!("/{lane}"), ..scene.payment() };
        let job = scene.job(&payment);
        let _ = first.start(&payment, &job.clone().ends(Ends::Panics)).await;
        let next = match lane {
            "first" => Arc::clone(&first),
            _ => scene.client::<K>("second", PATIENT).await?,
        };
        let answer = next.pays_within(A_WHILE, &payment, &job).await?;
        scene.has(&payment.what, 1, "the second attempt did it").await?;
        first.pays_again(&payment, &job, &answer).await?;
    }
    Ok(())
}

pub(super) async fn dropped_caller<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        let first = scene.warm::<K>("first", PATIENT).await?;
        let payment = scene.payment();
        let job = scene.job(&payment);
        let gate = first.proxy.hold(move |request| request.nth == step);
        let mut call = first.start(&payment, &job);
        if !meets(&gate, &mut call).await? {
            let _ = call.await?;
            break;
        }
        steps += 1;
        call.abort();
        let _ = call.await;
        scene.world.history().note("first", "(its caller has left)");
        gate.open();
        let answer = second.pays_within(A_WHILE, &payment, &job).await?;
        scene.has(&payment.what, 1, "whoever did it, did it once").await?;
        // The connection of one who has left is the next one's.
        first.pays_again(&payment, &job, &answer).await?;
        scene.has(&payment.what, 1, "whoever did it, did it once").await?;
    }
    landed(steps, "the first asked PostgreSQL nothing")
}

pub(super) async fn slow_work<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let first = scene.warm::<K>("first", BRISK).await?;
    // Somebody else has more time, and began before.
    let (calm, calm_gate) = (scene.payment(), Gate::shut());
    let mut takes_its_time = second.start(&calm, &scene.job(&calm).waits(&calm_gate));
    if !meets(&calm_gate, &mut takes_its_time).await? {
        return Err(second.broken("the work to be begun", "it ended without"));
    }
    let payment = scene.payment();
    let gate = Gate::shut();
    let job = scene.job(&payment);
    let hangs = scene.world.fault("the work waits for somebody who does not answer");
    let hanging = job.clone().waits(&gate);
    let mut answer = tokio::time::timeout(SOON, first.pay(&payment, &hanging)).await;
    for _ in 0..5 {
        // On a busy machine it has not come so far.
        if gate.count() == 0 && matches!(answer, Ok(Err(_))) {
            answer = tokio::time::timeout(SOON, first.pay(&payment, &hanging)).await;
        }
    }
    match answer {
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(first.broken("an error: the timeout is 400 ms, work included", saw));
        }
        Ok(Ok(answer)) => {
            let expected = "an error: the work has not come to its end";
            return Err(first.broken(expected, told(&answer)));
        }
        Ok(Err(_)) => {}
    }
    drop(hangs);
    gate.open();
    // Whoever has its time limit had it by now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    calm_gate.open();
    if let Err(error) = takes_its_time.await? {
        let expected = "an answer: its own timeout is 20 s, and the other's was 400 ms";
        return Err(second.broken(expected, error.to_string()));
    }
    let answer = second.pays_within(A_WHILE, &payment, &job).await?;
    scene.has(&payment.what, 1, "what took too long was undone").await?;
    first.pays_again(&payment, &job, &answer).await
}

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) postgres: String,
    /// First one to warm up with, then the one that counts.
    warm: String,
    key: String,
    what: String,
    body: Vec<u8>,
}

impl Order {
    pub(super) fn of(postgres: &str, warm: &Payment, payment: &Payment) -> Order {
        let (warm, key, what) = (warm.key.clone(), payment.key.clone(), payment.what.clone());
        Order { postgres: postgres.to_owned(), warm, key, what, body: payment.body.clone() }
    }

    pub(super) fn payment(&self) -> Payment {
        Payment {
            method: "POST".to_owned(),
            caller: "ann".to_owned(),
            key: self.key.clone(),
            path: "/payments".to_owned(),
            body: self.body.clone(),
            what: self.what.clone(),
        }
    }

    fn warm(&self) -> Payment {
        Payment { key: self.warm.clone(), what: "warm".to_owned(), ..self.payment() }
    }

    pub(super) fn job(payment: &Payment) -> Job {
        Job::of(payment, 1)
    }
}

/// Says that it is ready, and pays when it is told to.
pub(super) async fn worker<K: Keys>(mut child: Child) {
    let order: Order = child.arguments();
    let keys = K::open(&order.postgres, PATIENT).expect("the parent's URL can be read");
    let (warm, payment) = (order.warm(), order.payment());
    if let Err(error) = keys.once(&warm.request(), Order::job(&warm).work()).await {
        return Child::say(&format!("error: {error}"));
    }
    Child::say("ready");
    child.hear().await;
    match keys.once(&payment.request(), Order::job(&payment).work()).await {
        Ok(answer) => Child::say(&told(&answer)),
        Err(error) => Child::say(&format!("error: {error}")),
    }
}

pub(super) async fn killed_process<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    // How many steps a call has, and which is the last.
    let payment = scene.payment();
    second.proxy.reset_count();
    second.pays_first(&payment, &scene.job(&payment)).await?;
    let last = second.proxy.counts().requests;
    landed(last, "a call asked PostgreSQL nothing")?;
    let steps = [(last.saturating_sub(1).max(1), false), (last, false), (last, true)];
    for (step, answered) in steps {
        scene.world.history().turn_page();
        let payment = scene.payment();
        let proxy = scene.world.postgres_client("process").await?;
        let order = Order::of(proxy.url(), &scene.payment(), &payment);
        let mut process = scene.world.process(&order)?;
        let said = process.expect("that it is ready", SOON).await?;
        if said != "ready" {
            return Err(Evidence::new("the other process to be ready", said).into());
        }
        proxy.reset_count();
        let gate = match answered {
            true => proxy.hold_reply(move |request| request.nth == step),
            false => proxy.hold(move |request| request.nth == step),
        };
        process.say("pay").await;
        gate.arrived(1, SOON).await?;
        process.kill().await?;
        proxy.kill_connections();
        scene.world.history().note("process", "(killed)");
        let job = scene.job(&payment);
        let answer = second.pays_within(A_WHILE, &payment, &job).await?;
        let because = "whoever did it, the killed process or the next, did it once";
        scene.has(&payment.what, 1, because).await?;
        if answered && !answer.replayed {
            return Err(second.broken("the answer that was committed", told(&answer)));
        }
        second.pays_again(&payment, &job, &answer).await?;
    }
    Ok(())
}

/// Charges, says so, and goes on when it is told to.
pub(super) async fn holder<K: Keys>(child: Child) {
    let order: Order = child.arguments();
    let keys = K::open(&order.postgres, BRISK).expect("the parent's URL can be read");
    let (payment, warm) = (order.payment(), order.warm());
    // Its time is short, and the first call of a connection is slow.
    let _ = keys.once(&warm.request(), Order::job(&warm).work()).await;
    let (child, working) = (Arc::new(Mutex::new(child)), Arc::new(AtomicBool::new(false)));
    for _ in 0..5 {
        let (child, begun) = (Arc::clone(&child), Arc::clone(&working));
        let (request, what) = (payment.request(), payment.what.clone());
        let answer = keys.once(&request, |scope| {
            Box::pin(async move {
                let charge = "INSERT INTO charges (what, amount) VALUES ($1, 1)";
                scope.transaction.execute(charge, &[&what]).await?;
                begun.store(true, Ordering::SeqCst);
                Child::say("working");
                child.lock().await.hear().await;
                Ok(Response::new(201, "done"))
            })
        });
        match answer.await {
            // On a busy machine it has not come so far.
            Err(_) if !working.load(Ordering::SeqCst) => {}
            Ok(_) => return Child::say("done"),
            Err(error) => return Child::say(&format!("error: {error}")),
        }
    }
    Child::say("error: its work was never begun");
}

pub(super) async fn stopped_process<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let hasty = Options { wait: Duration::from_millis(100), ..PATIENT };
    let second = scene.warm::<K>("second", hasty).await?;
    let payment = scene.payment();
    let proxy = scene.world.postgres_client("process").await?;
    let order = Order::of(proxy.url(), &scene.payment(), &payment);
    let mut process = scene.world.process(&order)?;
    let said = process.expect("that it works", SOON).await?;
    if said != "working" {
        return Err(Evidence::new("the other process to work", said).into());
    }
    process.stop()?;
    let stopped = scene.world.fault("the process is stopped (SIGSTOP), in the middle of its work");
    // It is in the way for a timeout, and who does not want to wait so long is told.
    let job = scene.job(&payment);
    let began = Instant::now();
    match tokio::time::timeout(SOON, second.pay(&payment, &job)).await {
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(second.broken("an answer within its wait of 100 ms", saw));
        }
        Ok(Err(Error::InProgress { .. })) => {}
        // On a busy machine its time was over before.
        Ok(_) if began.elapsed() > Duration::from_millis(300) => {}
        Ok(Ok(answer)) if !answer.replayed && scene.charged(&payment.what).await? == 1 => {}
        Ok(Ok(answer)) => {
            return Err(second.broken("to be told that it is under way", told(&answer)));
        }
        Ok(Err(error)) => {
            return Err(second.broken("to be told that it is under way", error.to_string()));
        }
    }
    let answer = second.pays_within(A_WHILE, &payment, &job).await?;
    scene.has(&payment.what, 1, "the stopped one has not committed").await?;
    process.say("go on").await;
    process.resume()?;
    drop(stopped);
    let call = scene.world.invoke("process", "goes on");
    let said = process.expect("an answer", SOON).await?;
    match said.as_str() {
        "done" => call.ok("done"),
        said => call.fail(said),
    };
    scene.has(&payment.what, 1, "another has done it in its place").await?;
    if said == "done" {
        let step = scene.world.history().last("process", "= done");
        return Err(Evidence::new("an error: nothing of it was committed", "done").at(step).into());
    }
    second.pays_again(&payment, &job, &answer).await
}
