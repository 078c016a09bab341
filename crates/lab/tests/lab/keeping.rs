//! Nothing of the learner's is lost: damage, edits by hand, read-only folders, two labs at once.

use std::{fs, os::unix::fs::PermissionsExt as _, thread};

use crate::sandbox::{DESK_FILE, Sandbox};

#[test]
fn notes_survive_every_command() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["note", "first"]);
    let mine = "\n## My own chapter\r\n\nä, | bars |, no newline at the end";
    sandbox.write("desk/PROGRESS.md", sandbox.progress() + mine);
    sandbox.lab(&["check", "cache_aside"]);
    sandbox.passes(&["hint"]);
    sandbox.passes(&["note", "second\nwith a second line"]);
    let text = sandbox.progress();
    assert!(text.ends_with(mine), "{text}");
    assert!(
        text.contains(
            "- 2026-11-21 10:56 · first\n- 2026-11-21 10:56 · second\n  with a second line\n"
        ),
        "{text}"
    );
    assert_eq!(sandbox.names("desk/backups"), [""; 0], "text of one's own is no damage");
}

#[test]
fn a_damaged_file_is_kept_named_and_mended() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    sandbox.passes(&["note", "keep me"]);
    let damaged = sandbox
        .progress()
        .replace("| completed ", "| finished! ")
        .replace("<!-- lab:end topics -->\n", "");
    let line = damaged.lines().position(|line| line.contains("finished!")).unwrap() + 1;
    sandbox.write("desk/PROGRESS.md", &damaged);
    // Also a command that only looks mends it.
    let seen = sandbox.passes(&[]);
    assert!(
        seen.err.contains(&format!("line {line}: a status cannot be \"finished!\"")),
        "{}",
        seen.err
    );
    assert!(seen.err.contains("the part topics has lost its end marker"), "{}", seen.err);
    assert!(seen.err.contains("desk/backups/PROGRESS.20261121-105600.md"), "{}", seen.err);
    assert_eq!(sandbox.read("desk/backups/PROGRESS.20261121-105600.md"), damaged);
    assert!(sandbox.progress().contains("- 2026-11-21 10:56 · keep me\n"));
    let again = sandbox.passes(&["list"]);
    assert_eq!(again.err, "");
}

#[test]
fn a_foreign_file_loses_nothing() {
    for text in ["just my notes\n", "\u{0}\u{1}rubbish"] {
        let sandbox = Sandbox::new();
        sandbox.write("desk/PROGRESS.md", text);
        sandbox.passes(&["hint", "cache_aside"]);
        assert!(sandbox.progress().ends_with(text));
        assert_eq!(sandbox.read("desk/backups/PROGRESS.20261121-105600.md"), text);
        assert!(sandbox.row("01.2").contains("| 1 | no |"));
    }
}

#[test]
fn goals_edited_by_hand_count_and_a_copy_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["start", "cache_aside"]);
    sandbox.write("desk/PROGRESS.md", sandbox.progress().replacen("100 %", "60 %", 1));
    assert!(sandbox.passes(&["progress"]).out.contains("target 60 %"));
    let seen = sandbox.passes(&["hint"]);
    assert!(seen.err.contains("was edited by hand"), "{}", seen.err);
    assert!(sandbox.progress().contains("| 60 % "));
    assert_eq!(sandbox.names("desk/backups").len(), 1);
    assert_eq!(sandbox.passes(&["hint"]).err, "", "noticed once");
}

#[test]
fn rows_of_another_version_and_renamed_lessons_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    let topic = sandbox.read("sandbox/01-caching/topic.toml");
    // A version in which the lesson is called otherwise, and one in which it does not exist.
    for (file, text) in [
        ("exercises/01-caching/starters/read_through.rs", "x"),
        ("exercises/01-caching/checks/read_through.rs", "x"),
        (
            "sandbox/01-caching/topic.toml",
            topic.replace("name = \"cache_aside\"", "name = \"read_through\"").as_str(),
        ),
    ] {
        sandbox.write(file, text);
    }
    sandbox.passes(&["goto", "stampede"]);
    assert!(
        sandbox.row("01.2").starts_with("01.2 | read_through | stale"),
        "{}",
        sandbox.row("01.2")
    );
    sandbox.write("sandbox/01-caching/topic.toml", topic.replace("id = \"01.2\"", "id = \"01.7\""));
    sandbox.passes(&["goto", "stampede"]);
    assert!(sandbox.progress().contains("### From another version"));
    assert!(sandbox.row("01.2").contains("| 2/2 | 1 |"), "{}", sandbox.row("01.2"));
    sandbox.write("sandbox/01-caching/topic.toml", topic);
    sandbox.passes(&["goto", "stampede"]);
    assert_eq!(
        sandbox.row("01.2"),
        "01.2 | cache_aside | completed | 2026-11-21 | 2/2 | 1 | 0 | no | 2 checks in 1.6 s"
    );
}

/// Whether permissions bind us: they do not bind root.
fn bound_by_permissions(sandbox: &Sandbox) -> bool {
    let probe = sandbox.root.join("probe");
    fs::create_dir(&probe).unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o500)).unwrap();
    fs::write(probe.join("x"), "x").is_err()
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["start", "cache_aside"]);
    let before = sandbox.progress();
    if bound_by_permissions(&sandbox) {
        fs::set_permissions(sandbox.root.join("desk"), fs::Permissions::from_mode(0o500)).unwrap();
    } else {
        // Root may write anywhere, but not below a file.
        fs::remove_dir_all(sandbox.root.join(".lab")).unwrap();
        sandbox.write(".lab", "a file where a folder should be");
    }
    sandbox.passes(&[]);
    let seen = sandbox.lab(&["note", "lost?"]);
    let doctor = sandbox.lab(&["doctor"]);
    fs::set_permissions(sandbox.root.join("desk"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(seen.code, 1);
    assert!(seen.err.contains("ROOT/desk") || seen.err.contains("ROOT/.lab"), "{}", seen.err);
    assert!(seen.err.ends_with("Next  cargo lab doctor\n"), "{}", seen.err);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("missing  "), "{}", doctor.out);
    assert_eq!(sandbox.progress(), before);
}

#[test]
fn a_verdict_that_cannot_be_recorded_is_shown_all_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    // No program can write a file where a folder stands, not even root's.
    fs::create_dir_all(sandbox.root.join(".lab/progress.lock")).unwrap();
    let seen = sandbox.lab(&["check", "cache_aside"]);
    assert_eq!(seen.code, 1);
    assert!(seen.out.ends_with("cache_aside passes: 2 checks.\n"), "{}", seen.out);
    assert!(seen.err.starts_with("error: the verdict above could not be recorded\n"), "{seen:#?}");
    assert!(seen.err.ends_with("Next  cargo lab doctor\n"), "{}", seen.err);
}

#[test]
fn a_completion_that_no_check_earned_is_in_progress_and_named() {
    let sandbox = Sandbox::new();
    sandbox.lab(&["check", "cache_aside"]);
    let claimed = sandbox.progress().replace("| in progress ", "| completed   ");
    sandbox.write("desk/PROGRESS.md", claimed);
    let seen = sandbox.passes(&[]);
    assert!(seen.err.contains("cache_aside says completed without"), "{}", seen.err);
    assert!(sandbox.row("01.2").contains("| in progress |"), "{}", sandbox.row("01.2"));
    assert!(seen.err.lines().all(|line| line.chars().count() <= 80), "{}", seen.err);
    assert_eq!(sandbox.passes(&[]).err, "", "named once");
}

#[test]
fn an_emptied_progress_file_begins_anew() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["start", "cache_aside"]);
    let whole = sandbox.progress();
    sandbox.write("desk/PROGRESS.md", "\n");
    let seen = sandbox.passes(&["start", "cache_aside"]);
    assert!(seen.err.contains("desk/PROGRESS.md was empty and begins anew"), "{}", seen.err);
    assert_eq!(sandbox.progress(), whole);
    assert!(!sandbox.has("desk/backups"), "of nothing, no copy is kept");
}

#[test]
fn two_labs_at_once_lose_no_update() {
    let sandbox = Sandbox::new();
    const WRITERS: usize = 8;
    const NOTES: usize = 8;
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for note in 0..NOTES {
                    sandbox.passes(&["note", &format!("writer {writer} note {note}")]);
                }
            });
        }
    });
    let text = sandbox.progress();
    for writer in 0..WRITERS {
        for note in 0..NOTES {
            assert!(text.contains(&format!("writer {writer} note {note}\n")), "{writer} {note}");
        }
    }
    assert_eq!(
        sandbox.names("desk"),
        ["LEARNING_PATH.md", "PROGRESS.md"],
        "nothing is left lying about"
    );
}
