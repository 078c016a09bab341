//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p circuit_breakers --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "circuit-breakers-examples";

#[test]
#[ignore = "builds and runs an example"]
fn circuit_breaker() {
    let page = Printed::by(EXAMPLES, "circuit_breaker");
    assert_eq!(page.cells("callers"), ["520", "520"]);
    assert_eq!(page.number("told at once: try later", 0), 0.0, "there is no breaker");
    assert!(page.number("told at once: try later", 1) > 150.0, "of three hundred");
    for what in ["waited 100 ms for nothing", "calls sent to the provider"] {
        let (without, with) = (page.number(what, 0), page.number(what, 1));
        assert!(with * 2.0 < without, "{what}: {without}, {with}");
    }
    let waited = "half waited at most";
    assert!(page.number(waited, 1) * 4.0 < page.number(waited, 0), "milliseconds");
    // It opens for 200 ms, and probes take no time; a busy machine does.
    assert!(page.number("all well again after", 1) < 1_000.0, "milliseconds");
    assert_eq!(page.cells("sent to the provider")[..2], ["100", "3"]);
    assert_eq!(page.cells("and after they gave up, it"), ["lets all in", "open anew"]);
    page.cells("cargo lab start circuit_breaker");
}

#[test]
#[ignore = "builds and runs an example"]
fn retry() {
    let page = Printed::by(EXAMPLES, "retry");
    assert_eq!(page.cells("all fail: load"), ["1.00", "3.00", "1.10"]);
    assert_eq!(page.cells("3 layers, all fail: load"), ["1.00", "27.00", "1.10"]);
    assert!(page.number("30 % fails: load", 2) <= 1.1, "a budget of 10 %");
    let well = |column| page.number("1 % fails: well", column);
    assert!(well(2) > well(0), "a bad moment is what a budget is for");
    let herd = |column| page.number("most of them in 10 ms", column);
    assert!(herd(0) > 900.0 && herd(2) < 80.0, "no jitter, and full jitter");
    assert_eq!(page.cells("orders acknowledged")[1..], ["80", "100"]);
    assert_eq!(page.cells("orders in Redis")[1..], ["100", "100"]);
    assert!(page.number("orders in Redis", 0) > 115.0, "INCR, naive");
    page.cells("cargo lab start retry");
}

#[test]
#[ignore = "builds and runs an example"]
fn timeouts() {
    let page = Printed::by(EXAMPLES, "timeouts");
    assert!(page.number("commands afterwards", 0) > 10.0, "a timeout each");
    // One may be on its way at the moment in which the customer leaves.
    assert!(page.number("commands afterwards", 1) <= 1.0, "one deadline");
    let (each, one) = (page.number("commands", 0), page.number("commands", 1));
    assert!(one < each, "{one}, {each}");
    assert!(page.number("of those, for nobody", 0) > 200.0, "a timeout each");
    assert!(page.number("of those, for nobody", 1) <= 0.02 * one, "one deadline");
    let answered = "of those, answered in time";
    assert!(page.number(answered, 0) < page.number(answered, 1));
    assert_eq!(page.cells("the caller was told")[0], "not in 0.6 s");
    assert!(page.number("the caller was told", 1) >= 300.0, "milliseconds");
    page.cells("cargo lab start timeouts");
}

#[test]
#[ignore = "builds and runs an example"]
fn bulkhead() {
    let page = Printed::by(EXAMPLES, "bulkhead");
    assert_eq!(page.cells("catalogue: asked"), ["100", "100"]);
    let meanwhile = "catalogue: answered meanwhile";
    assert!(page.number(meanwhile, 0) < 50.0, "without");
    assert!(page.number(meanwhile, 1) > 90.0, "with: all but the last, on a busy machine");
    let waited = "catalogue: 99 of 100";
    assert!(page.number(waited, 1) < page.number(waited, 0), "milliseconds");
    assert_eq!(page.number("payment: most workers at once", 0), 16.0);
    // Three places, two in the queue, and one who is being refused.
    assert!(page.number("payment: most workers at once", 1) <= 6.0 + 2.0);
    assert_eq!(page.number("payment: refused", 0), 0.0);
    assert!(page.number("payment: refused", 1) >= 90.0, "all but three, if nobody is late");
    assert!(page.number("refused at once", 0) > 50.0, "two places are too few");
    assert!(page.number("refused at once", 2) < 20.0, "ten are enough");
    page.cells("cargo lab start bulkhead");
}

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

#[test]
#[ignore = "builds and runs an example"]
fn composition() {
    let page = Printed::by(EXAMPLES, "composition");
    assert_eq!(page.cells("reached the dependency"), ["5", "15", "5"]);
    assert_eq!(page.cells("calls until it is open"), ["2", "5", "2"]);
    assert_eq!(page.cells("refused by it"), ["19", "15", "55"]);
    assert_eq!(page.cells("pauses"), ["4", "10", "40"]);
    assert_eq!(page.cells("answered, of 10"), ["10", "5"]);
    assert_eq!(page.cells("waited in vain"), ["5", "20", "5"]);
    assert_eq!(page.cells("refused at once"), ["15", "0", "15"]);
    assert_eq!(page.cells("places held in the pause"), ["0", "2"]);
    assert_eq!(page.number("answered, of 8", 0), 8.0);
    assert!(page.number("answered, of 8", 1) < 8.0, "its clock runs in our own queue");
    assert_eq!(page.cells("the breaker opened"), ["0", "1"]);
    page.cells("cargo lab start bulkhead");
}
