//! The examples run, in the time that a learner has, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p messaging --test examples -- --ignored --nocapture`.

use page::printed::Printed;

#[test]
#[ignore = "builds and runs an example"]
fn dead_letters() {
    let page = Printed::by("messaging-examples", "dead_letters");
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
    let page = Printed::by("messaging-examples", "idempotent_consumer");
    assert_eq!(page.cells("delivered"), ["350", "350", "350", "350"]);
    assert_eq!(page.cells("booked once"), ["250", "250", "300", "300"]);
    assert_eq!(page.cells("booked twice and more"), ["50", "50", "0", "0"]);
    assert_eq!(page.cells("not booked"), ["0", "0", "0", "0"]);
    assert_eq!(page.cells("times PostgreSQL is waited for"), ["3", "4", "2"]);
    let twice = page.cells("booked twice");
    assert_eq!(twice, ["20 of 20", "20 of 20", "20 of 20", "0 of 20"]);
}
