//! The words and the shape of the main screens.

use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::sandbox::{DESK_FILE, Sandbox};

#[test]
fn a_first_visit() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.passes(&[]).out);
    assert!(!sandbox.has("desk"), "looking writes nothing");
    assert!(!sandbox.has(".lab"), "looking writes nothing");
}

#[test]
fn the_list() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["start", "cache_aside"]);
    assert_snapshot!(sandbox.passes(&["list"]).out);
}

#[test]
fn a_task() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.passes(&["start", "cache"]).out);
    assert!(sandbox.has(DESK_FILE));
}

#[test]
fn a_failed_check() {
    let sandbox = Sandbox::new();
    let seen = sandbox.lab(&["check", "cache_aside"]);
    assert_eq!(seen.code, 1);
    assert_snapshot!(seen.out);
}

#[test]
fn a_passed_check_and_where_it_leads() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    assert_snapshot!("passed", sandbox.passes(&["check", "01.2"]).out);
    assert_snapshot!("home_after_a_pass", sandbox.passes(&[]).out);
}

#[test]
fn a_wrong_answer() {
    let sandbox = Sandbox::new();
    assert_snapshot!("why_first", sandbox.passes(&["why", "cache_aside"]).out);
    let second = sandbox.passes(&["why", "cache_aside"]).out;
    assert!(second.contains("✓ plain_delete"), "{second}");
    assert!(second.contains("Stores, and sets the time to live in a second step."), "{second}");
    let named = sandbox.passes(&["why", "cache_aside", "same_ttl"]).out;
    assert!(named.starts_with("same_ttl\n"), "{named}");
}

#[test]
fn the_progress_screen() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    assert_snapshot!(sandbox.passes(&["progress"]).out);
}

#[test]
fn the_progress_file_after_a_first_lesson() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["hint", "cache_aside"]);
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    sandbox.passes(&["note", "a lease beats a lock"]);
    assert_snapshot!(sandbox.progress());
}

#[test]
fn the_map() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["audit", "--fix"]);
    assert_snapshot!(sandbox.read("LEARNING_PATH.md"));
}

#[test]
fn hints_come_one_by_one() {
    let sandbox = Sandbox::new();
    assert!(sandbox.passes(&["hint", "cache_aside", "--again"]).out.contains("no hint"));
    let first = sandbox.passes(&["hint", "cache_aside"]).out;
    assert!(
        first.contains("Hint 1 of 3")
            && first.contains("What may happen between the read and the SET?")
    );
    assert!(sandbox.passes(&["hint", "cache_aside"]).out.contains("Take a lease."));
    assert!(sandbox.passes(&["hint"]).out.contains("Hint 3 of 3"));
    let last = sandbox.passes(&["hint"]).out;
    assert!(last.contains("Hint 3 of 3") && last.contains("cargo lab why cache_aside"), "{last}");
    let all = sandbox.passes(&["hint", "--again"]).out;
    assert!(all.contains("Hint 1 of 3") && all.contains("Hint 3 of 3"), "{all}");
    assert_eq!(
        sandbox.row("01.2"),
        "01.2 | cache_aside | in progress | 2026-11-21 | – | 0 | 3 | no | –"
    );
}

#[test]
fn lessons_are_found_by_what_people_type() {
    let sandbox = Sandbox::new();
    for word in ["cache_aside", "01.2", "cache", "CACHE-ASIDE"] {
        assert!(sandbox.passes(&["goto", word]).out.contains("01.2 cache_aside"), "{word}");
    }
    for (word, said) in [
        ("cashe_aside", "Did you mean cache_aside?"),
        ("stampeed", "Did you mean stampede?"),
        ("zzz", "there is no lesson zzz Next"),
        ("standard", "there is no lesson standard Next"),
        ("oversell", "02.1 oversell is planned and not built yet. Ready now: cache_aside"),
        ("02", "02 is a topic and not a lesson"),
    ] {
        let seen = sandbox.lab(&["check", word]);
        assert_eq!(seen.code, 2, "{word}");
        let flat = seen.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(said), "{word}: {flat}");
        assert!(flat.contains("Next cargo lab list"), "{word}: {flat}");
    }
}

#[test]
fn a_line_that_cannot_be_read_ends_with_the_way_out() {
    let sandbox = Sandbox::new();
    for arguments in [&["nonsense"][..], &["reset"], &["list", "--nonsense"]] {
        let seen = sandbox.lab(arguments);
        assert_eq!(seen.code, 2);
        assert!(seen.err.starts_with("error: "), "{}", seen.err);
        assert!(seen.err.ends_with("\n\nNext  cargo lab --help\n"), "{}", seen.err);
    }
    assert_eq!(sandbox.passes(&["--help"]).err, "");
}

#[test]
fn no_screen_has_two_blank_lines() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["list"][..],
        &["list", "01"],
        &["list", "--all"],
        &["hint", "cache_aside"],
        &["hint", "cache_aside"],
        &["hint", "cache_aside"],
        &["hint", "cache_aside"],
        &["hint", "--again"],
    ] {
        let out = sandbox.passes(arguments).out;
        assert!(!out.contains("\n\n\n"), "{arguments:?}: {out}");
    }
}

#[test]
fn what_the_lab_passes_on() {
    let sandbox = Sandbox::new();
    let run = sandbox.passes(&["run", "cache_aside"]).out;
    assert_eq!(run, "the example speaks\n");
    assert!(sandbox.passes(&["bench", "cache_aside"]).out.contains("the benchmark speaks"));
    assert_eq!(
        sandbox.passes(&["up", "redis", "--port", "6380"]).out,
        "testbed: up redis --port 6380\n"
    );
    assert_eq!(sandbox.passes(&["down"]).out, "testbed: down\n");
    assert_eq!(sandbox.passes(&["setup", "--print"]).out, "testbed: setup --print\n");
    assert_eq!(sandbox.passes(&["setup", "postgres"]).out, "testbed: setup postgres\n");
    assert_eq!(sandbox.lab(&["up", "--port", "no"]).code, 2);
    assert!(sandbox.passes(&["doctor", "postgres"]).out.contains("ok       redis"));
    assert!(sandbox.read("bin/calls").contains("-p testbed -- doctor postgres"));
    let calls = sandbox.read("bin/calls");
    assert!(calls.contains("run -q --example cache_aside"), "{calls}");
    assert!(calls.contains("bench -q -p caching --bench cache_aside"), "{calls}");
}

#[test]
fn the_doctor_says_what_there_is() {
    let sandbox = Sandbox::new();
    sandbox.passes(&["start", "cache_aside"]);
    let seen = sandbox.passes(&["doctor"]).out;
    for line in [
        "ok       toolchain  cargo 1.95.0 (fixture)",
        "ok       desk       can be written",
        "ok       lessons    1 of 2 ready lessons on the desk",
        "ok       progress   desk/PROGRESS.md is whole",
        "ok       redis      Redis 7.0.15",
    ] {
        assert!(seen.contains(line), "{line} in\n{seen}");
    }
}

#[test]
fn outside_of_the_sandbox_the_way_back_is_named() {
    let sandbox = Sandbox::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let output = sandbox.command(&[]).current_dir(elsewhere.path()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("is not inside the sandbox") && err.contains("cd to your clone"), "{err}");
    // Cargo says where the lab belongs; and any folder below the root will do.
    let told = sandbox
        .command(&[])
        .current_dir(elsewhere.path())
        .env("CARGO_MANIFEST_DIR", sandbox.root.join("sandbox"))
        .output();
    assert!(told.unwrap().status.success());
    let below =
        sandbox.command(&[]).current_dir(sandbox.root.join("docs/lessons")).output().unwrap();
    assert!(below.status.success());
}

#[test]
fn without_cargo_the_way_out_is_named() {
    let sandbox = Sandbox::new();
    let output =
        sandbox.command(&["check", "cache_aside"]).env("CARGO", "/no/such/cargo").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err.contains("cannot find /no/such/cargo") && err.contains("https://rustup.rs"),
        "{err}"
    );
}

#[test]
fn a_pipe_gets_neither_colour_nor_a_panic_when_it_closes() {
    let sandbox = Sandbox::new();
    for arguments in [&[][..], &["list"], &["--help"], &["check"], &["why"]] {
        let seen = sandbox.lab(arguments);
        assert!(!(seen.out + &seen.err).contains('\x1b'), "{arguments:?}");
    }
    let lab = env!("CARGO_BIN_EXE_lab");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{lab} list --all | head -n 1")]).current_dir(&sandbox.root);
    let output = shell.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // Nobody reads, and the grading counts all the same.
    sandbox.write(DESK_FILE, "RIGHT");
    let mut shell = sandbox.command(&["check", "cache_aside"]);
    let mut lab = shell.stdout(Stdio::piped()).spawn().unwrap();
    drop(lab.stdout.take());
    assert_eq!(lab.wait().unwrap().code(), Some(0));
    assert!(sandbox.row("01.2").contains("| completed |"));
}

#[test]
fn a_terminal_gets_colour_unless_it_is_refused() {
    let sandbox = Sandbox::new();
    let forced = sandbox.command(&["list"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(forced.stdout.contains(&0x1b));
    let refused = sandbox
        .command(&["list"])
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!refused.stdout.contains(&0x1b));
}

#[test]
fn no_screen_is_wider_than_eighty_columns() {
    let sandbox = Sandbox::new();
    sandbox.write("desk/01-caching/stampede.rs", "RIGHT");
    for arguments in [
        &["check", "stampede"][..],
        &["check", "cache_aside"],
        &["start", "cache_aside"],
        &["hint", "cache_aside"],
        &["why", "cache_aside"],
        &["list", "--all"],
        &["diff", "cache_aside"],
        &["progress"],
        &["doctor"],
        &["--help"],
        &["check", "--help"],
        &[],
    ] {
        let seen = sandbox.lab(arguments);
        for line in seen.out.lines().chain(seen.err.lines()) {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
}
