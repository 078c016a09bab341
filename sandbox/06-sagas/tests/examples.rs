//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p sagas --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "sagas-examples";

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
