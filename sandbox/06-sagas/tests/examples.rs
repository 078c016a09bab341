//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p sagas --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "sagas-examples";

/// The first who wants a broker waits for it to start, half a minute on a busy machine, and is told
/// so. That is not the example's own time.
fn printed(example: &str) -> Printed {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _broker = runtime.block_on(testbed::rabbitmq::private()).expect("a broker");
    Printed::by(EXAMPLES, example)
}

#[test]
#[ignore = "builds and runs an example"]
fn orchestration() {
    let page = Printed::by(EXAMPLES, "orchestration");
    assert_eq!(page.cells("checkouts"), ["200", "200"]);
    for what in ["units lost", "charged, and no order", "answer unknown to the shop"] {
        assert!(page.number(what, 0) > 0.0, "by hand: {what}");
        assert_eq!(page.number(what, 1), 0.0, "{what}");
    }
    assert_eq!(page.number("orders not paid", 1), 0.0);
    assert!(page.number("orders", 1) > page.number("orders", 0), "lost answers are no refusals");
    page.cells("cargo lab start orchestration");
}

#[test]
#[ignore = "builds and runs an example"]
fn outbox() {
    let page = printed("outbox");
    let unheard = "orders that nobody heard of";
    assert!(page.number(unheard, 0) > 0.0, "whoever commits first");
    assert_eq!(page.cells(unheard)[1..], ["0", "0"]);
    let invented = "messages of no order";
    assert!(page.number(invented, 1) > 0.0, "whoever publishes first");
    assert_eq!((page.number(invented, 0), page.number(invented, 2)), (0.0, 0.0));
    let wrong = |what| page.cells(what)[..3].to_vec();
    assert_eq!(wrong("late commits lost for ever"), ["20 of 20", "0 of 20", "0 of 20"]);
    assert_eq!(wrong("second told before the first"), ["0 of 20", "20 of 20", "0 of 20"]);
    let waited = "waited for the import";
    assert!(page.number(waited, 1) >= 300.0, "as long as the import");
    assert!(page.number(waited, 2) < page.number(waited, 1));
}

#[test]
#[ignore = "builds and runs an example"]
fn idempotency_keys() {
    let page = Printed::by(EXAMPLES, "idempotency_keys");
    assert_eq!(page.cells("answered"), ["300", "300", "300"]);
    let twice = |shop| page.number("charged twice or more", shop);
    assert!(twice(0) > 60.0, "no key");
    assert!(twice(1) > 0.0 && twice(1) < twice(0), "{}, {}", twice(1), twice(0));
    assert_eq!(twice(2), 0.0, "the key with its effect");
    assert_eq!(page.number("charged once", 2), 300.0);
    assert_eq!(page.number("answers that differ", 2), 0.0);
    assert!(page.number("answers that differ", 0) > page.number("answers that differ", 1));
    assert_eq!(page.number("cards charged", 0), 100.0);
    assert_eq!(page.number("cards charged", 2), 1.0);
    assert_eq!(page.number("different answers", 2), 1.0);
    let trips = "round trips to PostgreSQL";
    assert_eq!(page.number(trips, 1), page.number(trips, 0) + 2.0);
    page.cells("cargo lab start idempotency_keys");
}

#[test]
#[ignore = "builds and runs an example"]
fn crash_recovery() {
    let page = Printed::by(EXAMPLES, "crash_recovery");
    // Whoever dies after the last effect has nothing left to do.
    assert_eq!(page.cells("neither sent nor cancelled"), ["18", "0", "0"]);
    assert_eq!(page.cells("charged without an order"), ["6", "6", "0"]);
    assert_eq!(page.cells("units held for nobody"), ["12", "12", "0"]);
    assert_eq!(page.cells("charged twice"), ["0", "10", "0"]);
    // Only what had no entry: each of the ten that died behind an effect.
    assert_eq!(page.number("effects done or tried again", 2), 10.0);
    assert_eq!(page.cells("statements for five steps"), ["0", "6"]);
    page.cells("cargo lab start crash_recovery");
}
