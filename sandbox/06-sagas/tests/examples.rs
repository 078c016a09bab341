//! The examples run, in the time that a learner has, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p sagas --test examples -- --ignored --nocapture`.

use page::printed::Printed;

#[test]
#[ignore = "builds and runs an example"]
fn outbox() {
    let page = Printed::by("sagas-examples", "outbox");
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
