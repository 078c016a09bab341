//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p messaging --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "messaging-examples";

#[test]
#[ignore = "builds and runs an example"]
fn confirms() {
    let page = Printed::by(EXAMPLES, "confirms");
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
