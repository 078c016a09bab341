//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p circuit_breakers --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "circuit-breakers-examples";

#[test]
#[ignore = "builds and runs an example"]
fn health_checks() {
    let page = Printed::by(EXAMPLES, "health_checks");
    for (state, live, ready) in [
        ("up", "200", "200"),
        ("stopped", "200", "503"),
        ("goes on", "200", "200"),
        ("killed", "200", "503"),
        ("a probe later", "200", "200"),
    ] {
        assert_eq!(page.cells(state)[..2], [live, ready], "{state}");
    }
    assert!(page.number("copies restarted", 0) > 0.0, "live asks");
    assert_eq!(page.cells("copies restarted")[1..], ["0", "0"]);
    assert_eq!(page.cells("copies left in service, of 3"), ["0", "0", "3"]);
    let questions = |fleet| page.number("questions to Redis", fleet);
    assert!(questions(1) < questions(0), "one round for three probers");
    assert!(page.number("requests lost", 0) > 0.0, "killed");
    assert_eq!(page.number("requests lost", 1), 0.0, "drained");
    assert_eq!(page.cells("lost by it"), ["0"]);
    page.cells("cargo lab start health_checks");
}
