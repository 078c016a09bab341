//! The notifications service, asked over a real connection by the client that its callers use.

mod heard;
mod users;
mod world;

use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::notifications::{Notification, State};
use shop_contracts::{Kind, Money, Problem};
use shop_flags::FaultEmail;
use testbed::together;

use crate::world::{World, confirmation};

const SOON: Duration = Duration::from_millis(10);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, kind: Kind) -> Problem {
    let problem = answer.expect_err("a refusal");
    assert!(problem.is(kind), "{kind:?} was expected, not {problem:?}");
    problem
}

#[tokio::test]
async fn a_customer_is_told_what_was_bought_and_for_how_much() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    refused(world.client.notification(order).await, Kind::NotFound);
    let told = world.client.confirm(order, &confirmation(world.ada)).await;
    assert_eq!(told, Ok(Notification { order, state: State::Sent }));
    assert_eq!(world.client.notification(order).await, told);

    let [mail] = &world.mail.sent()[..] else { panic!("one mail: {:?}", world.mail.sent()) };
    assert_eq!((mail.key, mail.to.as_str()), (order.0, "ada@example.org"));
    for word in ["Ada Lovelace", "12.90 EUR", &order.to_string()] {
        assert!(mail.body.contains(word), "{word}: {}", mail.body);
    }
}

#[tokio::test]
async fn asked_twice_it_is_sent_once() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    for _ in 0..3 {
        let told = world.client.confirm(order, &confirmation(world.ada)).await;
        assert_eq!(told.map(|told| told.state), Ok(State::Sent));
    }
    assert_eq!((world.mail.sent().len(), world.users.asked()), (1, 1));
    // Another order is another mail.
    world.client.confirm(OrderId::new(), &confirmation(world.ada)).await.expect("told");
    assert_eq!(world.mail.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_it_is_sent_waits_for_the_outcome() {
    let world = World::new(Duration::from_millis(50)).await;
    let orders = [OrderId::new(), OrderId::new()];
    let asking = (0..32).map(|task| {
        let (client, order) = (world.client.clone(), orders[task % 2]);
        let confirmation = confirmation(world.ada);
        async move { client.confirm(order, &confirmation).await }
    });
    for told in together(asking).await {
        assert_eq!(told.expect("told").state, State::Sent);
    }
    assert_eq!(world.mail.sent().len(), 2, "one for each order");
}

#[tokio::test]
async fn one_order_has_one_mail() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    let first = confirmation(world.ada);
    world.client.confirm(order, &first).await.expect("told");
    let mut dearer = first.clone();
    dearer.total = Money::euros(1291);
    refused(world.client.confirm(order, &dearer).await, Kind::Conflict);
    let bob = confirmation(world.users.knows("Bob", "bob@example.org"));
    refused(world.client.confirm(order, &bob).await, Kind::Conflict);
    assert_eq!(world.mail.sent().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_out_of_order_fails_the_mail_and_nothing_else() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    world.flags.set(FaultEmail::Error);
    for _ in 0..2 {
        let told = world.client.confirm(order, &confirmation(world.ada)).await;
        assert_eq!(told, Ok(Notification { order, state: State::Failed }));
    }
    assert_eq!(world.client.notification(order).await.map(|told| told.state), Ok(State::Failed));
    assert_eq!(world.mail.sent(), []);

    // Nobody has got it, so it may be asked for again.
    world.flags.set(FaultEmail::Off);
    let told = world.client.confirm(order, &confirmation(world.ada)).await;
    assert_eq!(told.map(|told| told.state), Ok(State::Sent));
    assert_eq!(world.mail.sent().len(), 1);
}

#[tokio::test]
async fn a_mailbox_that_is_none_fails_the_mail() {
    let world = World::new(SOON).await;
    let nobody = world.users.knows("Nobody", "bounce@example.org");
    let told = world.client.confirm(OrderId::new(), &confirmation(nobody)).await;
    assert_eq!(told.map(|told| told.state), Ok(State::Failed));
}

#[tokio::test]
async fn which_mails_fail_is_decided_by_their_orders() {
    let world = World::new(SOON).await;
    let half = r#"{"flags": {"fault.email": {"targeting":
        {"fractional": [["error", 1], ["off", 1]]}}}}"#;
    world.flags.merge(half).expect("a document");
    let mut failed = 0;
    // Enough that both sides of a coin come up: 2^-31 that they do not.
    for _ in 0..32 {
        let order = OrderId::new();
        let fails = world.flags.get_for::<FaultEmail>(order) == FaultEmail::Error;
        let told = world.client.confirm(order, &confirmation(world.ada)).await.expect("told");
        assert_eq!(told.state, if fails { State::Failed } else { State::Sent });
        failed += usize::from(fails);
    }
    assert!((1..32).contains(&failed), "{failed}");
}

#[tokio::test]
async fn without_the_users_service_nothing_is_begun() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    world.users.away(true);
    refused(world.client.confirm(order, &confirmation(world.ada)).await, Kind::Unavailable);
    refused(world.client.notification(order).await, Kind::NotFound);
    world.users.away(false);
    let told = world.client.confirm(order, &confirmation(world.ada)).await;
    assert_eq!(told.map(|told| told.state), Ok(State::Sent));
    // What is known needs no users service.
    world.users.away(true);
    let told = world.client.confirm(order, &confirmation(world.ada)).await;
    assert_eq!(told.map(|told| told.state), Ok(State::Sent));
}

#[tokio::test]
async fn nobody_that_the_users_service_knows_is_nobody_to_tell() {
    let world = World::new(SOON).await;
    let order = OrderId::new();
    refused(world.client.confirm(order, &confirmation(CustomerId::new())).await, Kind::NotFound);
    refused(world.client.notification(order).await, Kind::NotFound);
    assert_eq!(world.mail.sent(), []);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_it() {
    let world = World::new(Duration::from_secs(2)).await;
    let order = OrderId::new();
    let (client, confirmation) = (world.client.clone(), confirmation(world.ada));
    let caller = tokio::spawn(async move { client.confirm(order, &confirmation).await });
    world.until(order, State::Pending).await;
    caller.abort();
    assert!(caller.await.expect_err("an end").is_cancelled(), "it hung up before the answer");
    world.until(order, State::Sent).await;
    assert_eq!(world.mail.sent().len(), 1);
}

/// What a process leaves that dies while it sends: a row that says `pending`. To the next one it
/// looks as if another were still at it, and that is how this test makes it.
#[tokio::test]
async fn what_another_process_has_begun_is_not_sent_again() {
    let world = World::new(NEVER).await;
    let order = OrderId::new();
    let (client, ours) = (world.client.clone(), confirmation(world.ada));
    let begun = tokio::spawn(async move { client.confirm(order, &ours).await });
    world.until(order, State::Pending).await;

    let other = world.another().await;
    for _ in 0..2 {
        let told = other.confirm(order, &confirmation(world.ada)).await;
        assert_eq!(told, Ok(Notification { order, state: State::Pending }));
    }
    // It asked nobody for an address, so it had nothing to send.
    assert_eq!(world.users.asked(), 1);
    begun.abort();
}

/// Many processes, one order: one sends, and each of the others is told how it stands.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_processes_one_sends() {
    let world = World::new(SOON).await;
    let mut processes = Vec::new();
    for _ in 0..8 {
        processes.push(world.another().await);
    }
    for _ in 0..5 {
        let order = OrderId::new();
        let before = world.mail.sent().len();
        let asking = processes.iter().map(|client| {
            let (client, confirmation) = (client.clone(), confirmation(world.ada));
            async move { client.confirm(order, &confirmation).await }
        });
        for told in together(asking).await {
            assert_ne!(told.expect("told").state, State::Failed);
        }
        assert_eq!(world.mail.sent().len(), before + 1);
        world.until(order, State::Sent).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_it_open() {
    let world = World::with_patience(NEVER, Duration::from_millis(50)).await;
    let order = OrderId::new();
    for _ in 0..2 {
        let told = world.client.confirm(order, &confirmation(world.ada)).await;
        assert_eq!(told, Ok(Notification { order, state: State::Pending }));
    }
    assert_eq!(world.users.asked(), 1, "the second time nothing was tried");
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let world = World::new(SOON).await;
    world.flags.set(FaultEmail::Slow);
    let begun = std::time::Instant::now();
    let told = world.client.confirm(OrderId::new(), &confirmation(world.ada)).await;
    assert_eq!(told.map(|told| told.state), Ok(State::Sent));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_not_allowed_says_where() {
    let world = World::new(SOON).await;
    let here = format!("/notifications/{}", OrderId::new());
    let body = |total: &str| format!(r#"{{"customer": "{}", "total": {total}}}"#, world.ada);
    for (method, path, body, kind) in [
        ("PUT", here.as_str(), "{", Kind::Malformed),
        ("PUT", &here, "{}", Kind::Invalid),
        ("PUT", &here, &body("12.90"), Kind::Invalid),
        ("PUT", &here, &body(r#"{"amount": 1, "currency": "XXX"}"#), Kind::Invalid),
        ("PUT", "/notifications/7", &body(r#"{"amount": 1, "currency": "EUR"}"#), Kind::Invalid),
        ("GET", "/notifications/7", "", Kind::Invalid),
        ("DELETE", &here, "", Kind::MethodNotAllowed),
    ] {
        let (method, body) = (method.parse().expect("a method"), body.to_owned().into());
        let answer = world.client.0.forward(method, path, body, &[]).await.expect("an answer");
        let problem: Problem = serde_json::from_slice(answer.body()).expect("a problem");
        assert_eq!(answer.status(), problem.status);
        assert!(problem.is(kind), "{path}: {problem:?}");
    }
    assert_eq!((world.mail.sent().len(), world.users.asked()), (0, 0));
}

#[tokio::test]
async fn it_says_that_it_is_well() {
    let world = World::new(SOON).await;
    let answer = world.client.0.forward(Method::GET, "/health", Bytes::new(), &[]).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}
