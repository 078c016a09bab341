//! `audit`: a whole sandbox passes, and each lapse is found and named.

use std::fs;

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

fn whole() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.passes(&["audit", "--fix"]);
    sandbox
}

/// Times differ from run to run.
fn timeless(text: &str) -> String {
    text.lines()
        .map(|line| {
            if line.contains(" in ") && line.contains("round") { "N rounds in TIME" } else { line }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_whole_sandbox_passes() {
    let sandbox = whole();
    assert_snapshot!(timeless(&sandbox.passes(&["audit"]).out));
    assert!(
        sandbox.read("bin/calls").contains("test -q -p caching-exercises --test audit --no-run")
    );
}

#[test]
fn each_missing_part_is_named() {
    for (path, named) in [
        ("sandbox/01-caching/src/stampede.rs", "stampede lacks its module"),
        ("sandbox/01-caching/examples/stampede.rs", "stampede lacks its example"),
        ("sandbox/01-caching/benches/stampede.rs", "stampede lacks its benchmark"),
        ("exercises/01-caching/starters/stampede.rs", "stampede lacks its starter"),
        ("exercises/01-caching/checks/stampede.rs", "stampede lacks its checks"),
        ("exercises/01-caching/tests/stampede.rs", "stampede lacks its test target"),
        ("docs/lessons/stampede.md", "stampede lacks its page"),
        ("docs/SUMMARY.md", "stampede lacks its line in docs/SUMMARY.md"),
        ("sandbox/01-caching/README.md", "stampede lacks a mention in its topic's README"),
        ("PROGRESS.md", "PROGRESS.md is not what topic.toml says"),
        ("LEARNING_PATH.md", "LEARNING_PATH.md is not what topic.toml says"),
    ] {
        let sandbox = whole();
        fs::remove_file(sandbox.root.join(path)).unwrap();
        let seen = sandbox.lab(&["audit", "--repeat", "1"]);
        assert_eq!(seen.code, 1, "{path}");
        assert!(seen.out.contains(named), "{named} in\n{}", seen.out);
    }
}

#[test]
fn metadata_that_disagrees_is_named() {
    let sandbox = whole();
    let topic = sandbox.read("sandbox/02-locks/topic.toml");
    sandbox.write(
        "sandbox/02-locks/topic.toml",
        topic.replace("\"01\"", "\"77\"").replace("oversell", "stampede").replace("02.1", "03.1"),
    );
    let topic = sandbox.read("sandbox/01-caching/topic.toml");
    sandbox.write("sandbox/01-caching/topic.toml", topic.replace(", \"three\"]", "]"));
    let out = sandbox.lab(&["audit", "--repeat", "1"]).out;
    for named in [
        "the topic 02 requires 77, which there is not",
        "two lessons are called stampede",
        "the id 03.1 does not belong to the topic 02",
        "stampede lacks its three hints",
        "LEARNING_PATH.md is not what topic.toml says",
    ] {
        assert!(out.contains(named), "{named} in\n{out}");
    }
}

#[test]
fn a_decoy_that_nobody_explains_is_a_lapse() {
    let sandbox = whole();
    let decoys = "exercises/01-caching/decoys/cache_aside.rs";
    let mute = sandbox.read(decoys).replace("/// The database, always.\n", "");
    sandbox.write(decoys, mute.replace("type NeverCaches", "type Renamed"));
    let audit = sandbox.lab(&["audit", "cache_aside", "--repeat", "1"]);
    assert_eq!(audit.code, 1);
    let said = "nothing says what is wrong with the decoy never_caches of cache_aside";
    assert!(audit.out.contains(said), "{}", audit.out);
}

#[test]
fn a_decoy_that_survives_is_a_lapse() {
    let sandbox = whole();
    sandbox.write("bin/survives", "same_ttl");
    let seen = sandbox.lab(&["audit", "cache_aside"]);
    assert_eq!(seen.code, 1);
    assert!(seen.out.contains("✗ same_ttl                    19 of 20"), "{}", seen.out);
    assert!(
        seen.out
            .contains("cache_aside: same_ttl came out right 19 of 20 at ttl; then valid, SEED=9"),
        "{}",
        seen.out
    );
    assert!(!seen.out.contains("stampede"), "only what was asked for: {}", seen.out);
}

#[test]
fn as_many_rounds_as_fit() {
    let sandbox = whole();
    let out = sandbox.passes(&["audit", "cache_aside", "--for", "1s"]).out;
    let line = out.lines().find(|line| line.contains(" rounds in ")).unwrap();
    let rounds: u32 = line.split_whitespace().next().unwrap().parse().unwrap();
    assert!(rounds > 1, "{line}");
    assert!(out.contains(&format!("reference                   {rounds} of {rounds}")), "{out}");
    assert_eq!(sandbox.lab(&["audit", "--for", "1 week"]).code, 2);
    assert_eq!(sandbox.lab(&["audit", "--repeat", "0"]).code, 2);
}

#[test]
fn parts_alone_are_looked_at_without_a_build() {
    let sandbox = whole();
    let out = sandbox.passes(&["audit", "--parts"]).out;
    assert!(out.contains("✓ Nothing is missing.\n"), "{out}");
    assert!(!sandbox.has("bin/calls"), "nothing was built");
    assert_eq!(sandbox.lab(&["audit", "--parts", "--repeat", "2"]).code, 2);
}

#[test]
fn fix_writes_once() {
    let sandbox = Sandbox::new();
    assert!(sandbox.passes(&["audit", "--fix"]).out.contains("PROGRESS.md written."));
    assert!(sandbox.passes(&["audit", "--fix"]).out.contains("PROGRESS.md was in step."));
    assert!(
        sandbox
            .read("PROGRESS.md")
            .contains("This is the form as it looks before the first lesson.")
    );
}
