//! What is in the outbox, and when: transactions that end in any way and in any order.

use super::*;

pub(super) async fn rolled_back<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let [first, undone, forgotten, last] = [1, 2, 3, 4].map(|order| scene.message(order, 1));
    scene.commit(&relay, std::slice::from_ref(&first)).await?;

    let mut client = scene.client().await?;
    let transaction = client.transaction().await.map_err(said)?;
    scene.add(&relay, &transaction, &undone).await?;
    transaction.rollback().await.map_err(said)?;
    scene.note("shop", "rolls back");

    // A process that is gone in the middle: PostgreSQL rolls back when it notices.
    let mut client = scene.client().await?;
    let transaction = client.transaction().await.map_err(said)?;
    scene.add(&relay, &transaction, &forgotten).await?;
    drop(transaction);
    drop(client);
    scene.note("shop", "is gone");

    scene.commit(&relay, std::slice::from_ref(&last)).await?;
    relay.until(2, SOON).await?;
    relay.rest().await?;
    scene.got(&[first, last], "the others were not committed")
}

pub(super) async fn still_open<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let message = scene.message(1, 1);
    let mut client = scene.client().await?;
    let transaction = client.transaction().await.map_err(said)?;
    scene.add(&relay, &transaction, &message).await?;
    for _ in 0..2 {
        let _ = relay.forward().await;
    }
    if scene.broker.different() > 0 {
        let expected = "nothing published: it may yet be rolled back";
        return Err(scene.broken(expected, format!("{} was", message.id), &message.id));
    }
    transaction.commit().await.map_err(said)?;
    scene.note("shop", "commits");
    relay.until(1, SOON).await?;
    relay.rest().await?;
    scene.got(&[message], "it is committed")
}

pub(super) async fn as_it_was<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let headers = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("Customer", "Zoë \"the first\" O'Neil\\\n"),
        ("empty", ""),
    ];
    let full = Message {
        id: format!("id-{}", scene.first),
        key: "order.placed.v1".to_owned(),
        correlation: Some("order 'a'; --".to_owned()),
        content_type: Some("application/cloudevents+json".to_owned()),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: (0..=255).chain([0, 13, 10, 39, 92]).collect(),
    };
    let bare = Message::new(format!("bare-{}", scene.first), "order.paid.v1", []);
    let long = Message::new(format!("long-{}", scene.first), "k".repeat(255), vec![7; 300_000]);
    let sent = [full, bare, long];
    scene.commit(&relay, &sent).await?;
    relay.until(3, SOON).await?;
    relay.rest().await?;
    scene.got(&sent, "they were committed")?;
    for (exchange, arrived) in scene.broker.arrived() {
        let added = sent.iter().find(|added| added.id == arrived.id);
        if exchange != scene.exchange {
            return Err(scene.broken(format!("it at `{}`", scene.exchange), exchange, &arrived.id));
        }
        if let Some((what, expected, saw)) = added.and_then(|added| difference(added, &arrived)) {
            let expected = format!("{what} of {} as added: {expected}", arrived.id);
            return Err(scene.broken(expected, saw, &arrived.id));
        }
    }
    Ok(())
}

fn difference(added: &Message, arrived: &Message) -> Option<(&'static str, String, String)> {
    if added == arrived {
        return None;
    }
    let bytes = |body: &Vec<u8>| format!("{} bytes from {:?}", body.len(), body.first());
    let parts = |message: &Message| {
        [
            ("the key", message.key.clone()),
            ("the correlation", format!("{:?}", message.correlation)),
            ("the content type", format!("{:?}", message.content_type)),
            ("the headers", format!("{:?}", message.headers)),
            ("the body", bytes(&message.body)),
        ]
    };
    let differing = parts(added).into_iter().zip(parts(arrived)).find(|(a, b)| a.1 != b.1);
    Some(match differing {
        Some(((what, added), (_, arrived))) => (what, added, arrived),
        None => ("the body", bytes(&added.body), "other bytes".to_owned()),
    })
}

pub(super) async fn unsendable<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let good = scene.message(1, 1);
    let long = "k".repeat(256);
    let cases = [
        ("a key of 256 bytes", Message { key: long.clone(), ..scene.message(2, 1) }),
        ("an id of 128 letters, 256 bytes", Message { id: "ö".repeat(128), ..scene.message(3, 1) }),
        (
            "a correlation of 256 bytes",
            Message { correlation: Some(long.clone()), ..scene.message(5, 1) },
        ),
        (
            "a content type with a zero byte",
            Message { content_type: Some("text\0plain".to_owned()), ..scene.message(6, 1) },
        ),
        (
            "headers of 200 kB",
            Message {
                headers: [("cause".to_owned(), "x".repeat(200_000))].into(),
                ..scene.message(4, 1)
            },
        ),
    ];
    let mut client = scene.client().await?;
    let transaction = client.transaction().await.map_err(said)?;
    for (what, bad) in &cases {
        let call = scene.world.invoke("shop", format!("adds {what}"));
        let answer = relay.outbox.add(&transaction, bad).await;
        let step = call.end_with(&answer);
        if !matches!(answer, Err(Error::Unsendable(_))) {
            let expected = format!("{what} refused as unsendable: AMQP cannot carry it");
            let saw = answer.map_or_else(|error| error.to_string(), |()| "it was added".to_owned());
            return Err(Evidence::new(expected, saw).at(step).into());
        }
    }
    // The caller may go on without it.
    scene.add(&relay, &transaction, &good).await?;
    transaction.commit().await.map_err(said)?;
    relay.until(1, SOON).await?;
    scene.got(&[good], "it alone was added")
}

/// What the process that is killed is told.
#[derive(Serialize, Deserialize)]
struct Order {
    postgres: String,
    message: String,
}

/// Commits an order with its message, says so, and does no more.
pub(super) async fn writer<S: Outbox>(mut child: Child) {
    let Order { postgres, message } = child.arguments();
    let outbox = S::open(&postgres, PATIENT).expect("the parent's URL can be read");
    let mut client = connect(&postgres).await.expect("PostgreSQL is up");
    let transaction = client.transaction().await.expect("PostgreSQL is up");
    let row = "INSERT INTO orders VALUES ($1, 'placed')";
    transaction.execute(row, &[&message]).await.expect("PostgreSQL is up");
    let told = Message::new(message, "order.placed.v1", "placed");
    if let Err(error) = outbox.add(&transaction, &told).await {
        return Child::say(&error.to_string());
    }
    transaction.commit().await.expect("PostgreSQL is up");
    Child::say("committed");
    child.hear().await;
}

pub(super) async fn killed_writer<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let message = format!("order-{}", scene.first);
    let postgres = scene.world.postgres().await?.url().to_owned();
    let order = Order { postgres, message: message.clone() };
    let mut process = scene.world.process(&order)?;
    let said = process.expect("a commit", SOON).await?;
    scene.note("shop", format!("adds {message}: {said}"));
    if said != "committed" {
        return Err(Evidence::new("add() to work", said).into());
    }
    process.kill().await?;
    scene.note("shop", "is killed (SIGKILL)");
    relay.until(1, SOON).await?;
    relay.rest().await?;
    let told = Message::new(message, "order.placed.v1", "placed");
    scene.got(&[told], "its order is committed")
}

pub(super) async fn commit_gap<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let [early, between, later, last] = [1, 2, 3, 4].map(|order| scene.message(order, 1));
    let mut client = scene.client().await?;
    let open = client.transaction().await.map_err(said)?;
    scene.add(&relay, &open, &early).await?;
    scene.note("shop", format!("leaves {} open", early.id));
    for message in [&between, &later] {
        let adding = scene.commit(&relay, std::slice::from_ref(message));
        let Ok(added) = tokio::time::timeout(SOON, adding).await else {
            let expected = format!("{} added, while another transaction is open", message.id);
            return Err(scene.broken(expected, format!("not within {SOON:?}"), &message.id));
        };
        added?;
        let _ = relay.forward().await;
    }
    if relay.until(2, SOON).await.is_err() {
        let expected = format!("{} published: what is open has added nothing of it", later.id);
        return Err(scene.broken(expected, format!("not within {SOON:?}"), &later.id));
    }
    open.commit().await.map_err(said)?;
    scene.note("shop", format!("commits {}, which has the lowest number", early.id));
    let _ = relay.forward().await;
    scene.commit(&relay, std::slice::from_ref(&last)).await?;
    relay.until(4, SOON).await.map_err(|_| {
        let missing = [&early, &between, &later, &last];
        let missing = missing.into_iter().find(|message| scene.broker.times(&message.id) == 0);
        let id = missing.map_or("", |message| &message.id);
        scene.broken(format!("{id} published: it is committed"), "it never was", id)
    })?;
    relay.rest().await?;
    scene.got(&[early, between, later, last], "each was committed once")
}

pub(super) async fn open_elsewhere<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let mut other = scene.client().await?;
    let import = other.transaction().await.map_err(said)?;
    let row = "INSERT INTO orders VALUES ('from an old system', 'placed')";
    import.execute(row, &[]).await.map_err(said)?;
    let open = scene.world.fault("a nightly import is open, which has nothing to do with it");
    let message = scene.message(1, 1);
    scene.commit(&relay, std::slice::from_ref(&message)).await?;
    let published = relay.until(1, SOON).await;
    if published.is_err() && relay.wire.broker.different() == 0 {
        let expected = format!("{} published: it is committed", message.id);
        let saw = format!("nothing within {SOON:?}");
        return Err(scene.broken(expected, saw, &message.id));
    }
    published?;
    drop(open);
    import.commit().await.map_err(said)?;
    relay.rest().await?;
    scene.got(&[message], "it is committed")
}

pub(super) async fn who_waited<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let [placed, paid] = [1, 2].map(|nth| scene.message(1, nth));
    // It begins first, and has a number of its own because of what it writes elsewhere.
    let mut client = scene.client().await?;
    let paying = client.transaction().await.map_err(said)?;
    let receipt = "INSERT INTO orders VALUES ('a receipt', 'printed')";
    paying.execute(receipt, &[]).await.map_err(said)?;
    scene.note("shop", "begins to pay, before the order is there");

    let mut client = scene.client().await?;
    let placing = client.transaction().await.map_err(said)?;
    placing.execute("INSERT INTO orders VALUES ('it', 'placed')", &[]).await.map_err(said)?;
    scene.add(&relay, &placing, &placed).await?;
    placing.commit().await.map_err(said)?;
    scene.note("shop", "commits the order");

    let found = paying.execute("UPDATE orders SET state = 'paid' WHERE id = 'it'", &[]).await;
    if found.map_err(said)? != 1 {
        return Err(Finding::inconclusive("the second transaction did not see the first"));
    }
    scene.add(&relay, &paying, &paid).await?;
    paying.commit().await.map_err(said)?;
    scene.note("shop", "commits the payment of the order that it found");
    relay.until(2, SOON).await?;
    relay.rest().await?;
    scene.got(&[placed, paid], "the one saw what the other had committed")
}

pub(super) async fn adding_goes_on<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let [first, second, other] =
        [(1, 1), (1, 2), (2, 1)].map(|(order, nth)| scene.message(order, nth));
    scene.commit(&relay, std::slice::from_ref(&first)).await?;
    let gate = Gate::shut();
    scene.broker.rule(1, |_| true, Fate::Held(gate.clone()));
    let mut forwarding = relay.start();
    grading::comes_to(&gate, &mut forwarding).await?;
    let held = scene.world.fault("the broker takes its time");
    for message in [&second, &other] {
        let adding = scene.commit(&relay, std::slice::from_ref(message));
        let Ok(added) = tokio::time::timeout(SOON, adding).await else {
            let expected = format!("{} added, while the relay waits for the broker", message.id);
            return Err(scene.broken(expected, format!("not within {SOON:?}"), &message.id));
        };
        added?;
    }
    gate.open();
    drop(held);
    let _ = forwarding.await?;
    relay.until(3, SOON).await?;
    relay.rest().await?;
    scene.got(&[first, second, other], "each was committed once")
}
