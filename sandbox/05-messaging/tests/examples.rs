//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p messaging --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "messaging-examples";

/// The first who wants a broker waits for it to start, half a minute on a busy machine, and is told
/// so. That is not the example's own time.
fn printed(example: &str) -> Printed {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _broker = runtime.block_on(testbed::rabbitmq::private()).expect("a broker");
    Printed::by(EXAMPLES, example)
}

#[test]
#[ignore = "builds and runs an example"]
fn publish_consume() {
    let page = printed("publish_consume");
    assert_eq!(page.cells("orders"), ["300", "300", "300"]);
    for early in [0, 1] {
        assert!(page.number("emails lost", early) > 0.0, "nothing was lost");
    }
    assert_eq!(page.number("emails lost", 2), 0.0);
    assert!(page.number("emails sent twice", 2) > 0.0, "nothing was done again");
    assert!(page.number("first email of its orders, after the kill", 0) > 0.0);
}

#[test]
#[ignore = "builds and runs an example"]
fn confirms() {
    let page = printed("confirms");
    assert_eq!(page.cells("said ok"), ["2,000", "2,000", "1,960"]);
    let nowhere = page.cells("said ok, and nowhere");
    assert!(page.number("said ok, and nowhere", 0) > 40.0, "what was killed, and the unbound");
    assert_eq!(nowhere[1..], ["40", "0"]);
    assert_eq!(page.cells("said ok, and in the queue")[1..], ["1,960", "1,960"]);
    assert_eq!(page.cells("said that nobody wants it"), ["0", "0", "40"]);
    assert!(page.number("publishes repeated", 2) > 0.0, "the connection was killed");
    let rate = |column| page.number("messages a second", column);
    assert!(rate(1) > 2.0 * rate(0), "a batch");
    page.cells("cargo lab start confirms");
}

#[test]
#[ignore = "builds and runs an example"]
fn dead_letters() {
    let page = printed("dead_letters");
    assert_eq!(page.cells("mails sent")[0], "0");
    assert_eq!(page.cells("mails sent")[2..], ["194", "200"]);
    assert_eq!(page.cells("lost"), ["0", "5", "0", "0"]);
    assert_eq!(page.cells("dead letters")[..4], ["0", "0", "6", "0"]);
    assert!(page.number("deliveries wasted", 2) <= 18.0, "three of each of six");
    assert!(page.number("deliveries wasted", 0) > 100.0, "poison spins");
    assert!(page.number("crashes", 1) > 3.0, "it is delivered again and again");
    assert_eq!(page.cells("of them innocent"), ["0", "9"]);
}

#[test]
#[ignore = "builds and runs an example"]
fn idempotent_consumer() {
    let page = printed("idempotent_consumer");
    assert_eq!(page.cells("delivered"), ["350", "350", "350", "350"]);
    assert_eq!(page.cells("booked once"), ["250", "250", "300", "300"]);
    assert_eq!(page.cells("booked twice and more"), ["50", "50", "0", "0"]);
    assert_eq!(page.cells("not booked"), ["0", "0", "0", "0"]);
    assert_eq!(page.cells("times PostgreSQL is waited for"), ["3", "4", "2"]);
    let twice = page.cells("booked twice");
    assert_eq!(twice, ["20 of 20", "20 of 20", "20 of 20", "0 of 20"]);
}
