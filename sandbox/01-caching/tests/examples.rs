//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p caching --test examples -- --ignored --nocapture`.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What an example has printed: rows of cells, which two spaces or more keep apart.
struct Page(Vec<Vec<String>>);

impl Page {
    /// Runs an example that is built already, so that its time is its own.
    fn of(example: &str) -> Page {
        let cargo = |task: &str| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([task, "--quiet", "--package", "caching-examples", "--example", example]);
            cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
            cargo
        };
        // The two would share the processors, and each would find the machine busy.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            cargo("build").status().expect("cargo starts").success(),
            "{example} does not build"
        );
        let began = Instant::now();
        let output = cargo("run").output().expect("cargo starts");
        let took = began.elapsed();
        let text = String::from_utf8(output.stdout).expect("text");
        println!("{text}\n{example} took {took:.1?}");

        assert!(output.status.success(), "{example} failed");
        assert!(took < Duration::from_secs(10), "{example} took {took:.1?}");
        assert!(!text.contains('\x1b'), "colour in a pipe");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
            assert!(!line.ends_with(' '), "spaces at the end: {line}");
        }
        let cells = |line: &str| {
            line.split("  ")
                .map(|cell| cell.trim().to_owned())
                .filter(|cell| !cell.is_empty())
                .collect()
        };
        Page(text.lines().map(cells).collect())
    }

    /// What stands right of `label`.
    fn cells(&self, label: &str) -> &[String] {
        let row = self.0.iter().find(|row| row.first().is_some_and(|cell| cell == label));
        &row.unwrap_or_else(|| panic!("there is no row `{label}`"))[1..]
    }

    /// The number in the cell `column` right of `label`, whatever its unit.
    fn number(&self, label: &str, column: usize) -> f64 {
        let cell = &self.cells(label)[column];
        let number = cell.split(' ').next().unwrap_or_default().replace(',', "");
        number.parse().unwrap_or_else(|_| panic!("`{cell}` is no number, right of `{label}`"))
    }
}

#[test]
#[ignore = "builds and runs an example"]
fn cache_aside() {
    let page = Page::of("cache_aside");
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
    let page = Page::of("stampede");
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
