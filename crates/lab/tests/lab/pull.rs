//! Taking in a newer version: `git pull` meets nothing of the learner's, and the lab says what
//! changed since.

use std::{path::Path, process::Command};

use crate::sandbox::{DESK_FILE, Sandbox};

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "init.defaultBranch=main",
    ]);
    // The learner's own settings must not decide this test.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn git_pull_costs_neither_solutions_nor_progress() {
    let upstream = Sandbox::new();
    let home = tempfile::tempdir().unwrap();
    let bare = home.path().join("upstream.git");
    let clone = home.path().join("clone");
    upstream.passes(&["audit", "--fix"]);
    git(&upstream.root, &["init", "-q"]);
    git(&upstream.root, &["add", "-A"]);
    git(&upstream.root, &["commit", "-qm", "one"]);
    git(
        home.path(),
        &["clone", "-q", "--bare", &upstream.root.display().to_string(), "upstream.git"],
    );
    git(&upstream.root, &["remote", "add", "origin", &bare.display().to_string()]);
    git(home.path(), &["clone", "-q", "upstream.git", "clone"]);

    // The learner passes one lesson and is in the middle of another.
    let learner = Sandbox::at(&clone.canonicalize().unwrap());
    learner.write(DESK_FILE, "RIGHT\n");
    learner.passes(&["check", "cache_aside"]);
    learner.passes(&["start", "stampede"]);
    learner.write("desk/01-caching/stampede.rs", "half done\n");
    learner.passes(&["note", "remember the lease"]);
    let progress = learner.progress();

    // Upstream changes the very files that a learner's work hangs on.
    for lesson in ["cache_aside", "stampede"] {
        upstream
            .write(&format!("exercises/01-caching/starters/{lesson}.rs"), "//! A better task.\n");
    }
    upstream.write("exercises/01-caching/checks/cache_aside.rs", "// sharper checks\n");
    let topic = upstream
        .read("sandbox/01-caching/topic.toml")
        .replace("title = \"Stampede\"", "title = \"The stampede\"");
    upstream.write("sandbox/01-caching/topic.toml", topic);
    upstream.write("PROGRESS.md", "another form\n");
    upstream.write("LEARNING_PATH.md", "another map\n");
    git(&upstream.root, &["commit", "-qam", "two"]);
    git(&upstream.root, &["push", "-q", "origin", "HEAD"]);
    git(&clone, &["pull", "-q", "--ff-only"]);

    assert_eq!(learner.read("PROGRESS.md"), "another form\n");
    assert_eq!(learner.read(DESK_FILE), "RIGHT\n");
    assert_eq!(learner.read("desk/01-caching/stampede.rs"), "half done\n");
    assert_eq!(learner.progress(), progress);
    let home = learner.passes(&[]).out;
    for text in [
        "cache_aside: the task changed upstream",
        "cache_aside: the checks changed upstream",
        "stampede: the task changed upstream",
        "cargo lab diff stampede",
        "cargo lab check cache_aside",
    ] {
        assert!(home.contains(text), "{text} in\n{home}");
    }
    assert!(home.contains("1 of 2 ready lessons done"), "an update takes no progress away: {home}");
    assert!(learner.passes(&["list"]).out.contains("~ 01.2  cache_aside       stale"));

    // Looking at the new task settles the one, passing the new checks the other.
    let diff = learner.passes(&["diff", "stampede"]).out;
    assert!(diff.contains("-//! A better task.") && diff.contains("+half done"), "{diff}");
    assert!(!learner.passes(&[]).out.contains("stampede: the task changed"));
    learner.passes(&["check", "cache_aside"]);
    let settled = learner.passes(&[]).out;
    assert!(!settled.contains("upstream"), "{settled}");
    assert!(learner.progress().contains("remember the lease\n"));
    git(&clone, &["diff", "--quiet", "HEAD"]);
}
