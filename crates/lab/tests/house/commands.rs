//! NO-ROT: a command that a page shows as runnable runs.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

/// Commands in `console` blocks that stand after `<!-- run -->`.
fn shown() -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for page in super::markdown() {
        let text = std::fs::read_to_string(super::root().join(&page)).expect("a readable page");
        for block in text.split("\n<!-- run -->\n```console\n").skip(1) {
            let block = block.split("\n```").next().unwrap_or_default();
            let shown = block.lines().filter_map(|line| line.strip_prefix("$ "));
            commands.extend(shown.map(str::to_owned));
        }
    }
    commands
}

#[test]
fn the_pages_show_commands_to_run() {
    let commands = shown();
    assert!(commands.contains("cargo run --example cache_aside"), "{commands:?}");
    assert!(!commands.contains("cargo test --workspace"), "a test cannot run itself");
}

/// Builds and runs, and so is left to `.ci/run`: `cargo test -p lab --test house -- --ignored`. Not
/// the examples: each topic's tests run those, and look at what they print.
#[test]
#[ignore = "runs every command that the pages show; .ci/run does"]
fn every_shown_command_runs() {
    for command in shown().iter().filter(|shown| !shown.starts_with("cargo run --example")) {
        let began = Instant::now();
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command has a first word");
        let ran = Command::new(program)
            .args(words)
            .current_dir(super::root())
            .output()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(
            ran.status.success(),
            "{command} ended with {}\n{}{}",
            ran.status,
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        println!("{command}: {:.1} s", began.elapsed().as_secs_f64());
    }
}
