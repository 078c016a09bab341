//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p sagas --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "sagas-examples";

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
