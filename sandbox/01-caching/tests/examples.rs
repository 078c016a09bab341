//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p caching --test examples -- --ignored --nocapture`.

use page::printed::Printed;

#[test]
#[ignore = "builds and runs an example"]
fn cache_aside() {
    let page = Printed::by("caching-examples", "cache_aside");
    let reads = page.number("reads", 0);
    assert_eq!(page.cells("errors"), ["0", "0"]);
    assert_eq!(page.number("answered by the database", 0), reads, "without a cache");
    assert!(page.number("answered by the database", 1) < reads / 4.0, "with a cache");
    assert_eq!(page.cells("old price after the write"), ["20 of 20", "0 of 20"]);
    assert_eq!(page.number("errors that reached a caller", 0), 0.0);
    assert!(page.number("while Redis was gone, answered by the database", 0) > 100.0);
    assert_eq!(page.number("while Redis was gone, answered by Redis", 0), 0.0);
    assert!(page.number("first hit after Redis was back", 0) < 2_000.0, "milliseconds");
    assert!(page.number("hits among the reads after that", 0) > 0.0, "percent");
    page.cells("cargo lab start cache_aside");
}

#[test]
#[ignore = "builds and runs an example"]
fn stampede() {
    let page = Printed::by("caching-examples", "stampede");
    assert_eq!(page.cells("cache-aside, one process"), ["200 loads"]);
    assert_eq!(page.cells("single flight, one process"), ["1 load"]);
    assert!(page.number("single flight, two processes of 100 callers", 0) >= 2.0);
    assert_eq!(page.cells("single flight and leases, two processes"), ["1 load"]);
    let waited = "readers that waited for a load";
    assert!(page.number(waited, 0) > 50.0, "cache-aside");
    assert_eq!(page.number(waited, 1), 0.0, "serve stale");
    assert!(page.number(waited, 2) < page.number(waited, 0), "refresh early");
    // The lease of a killed leader is of one second, from a moment before it was killed.
    let killed = page.number("killed (kill -9), another process: all served after", 0);
    let cancelled = page.number("cancelled, in this process: all served after", 0);
    assert!((500.0..5_000.0).contains(&killed), "{killed} ms");
    assert!(cancelled < killed, "{cancelled} ms");
    page.cells("cargo lab start stampede");
}
