//! `check`, `solution`, `reset`: verdicts, exit codes and what is recorded.

use crate::sandbox::{DESK_FILE, STARTER, Sandbox, seen};

#[test]
fn only_a_full_pass_completes_a_lesson() {
    let sandbox = Sandbox::new();
    for (word, code, row) in [
        ("nothing", 1, "01.2 | cache_aside | in progress | 2026-11-21 | 1/3 | 1 | 0 | no | –"),
        ("UNSURE", 1, "01.2 | cache_aside | in progress | 2026-11-21 | 1/3 | 1 | 0 | no | –"),
        ("SYNTAX", 1, "01.2 | cache_aside | in progress | 2026-11-21 | 1/3 | 1 | 0 | no | –"),
        ("CRASH", 1, "01.2 | cache_aside | in progress | 2026-11-21 | 1/3 | 1 | 0 | no | –"),
        (
            "RIGHT",
            0,
            "01.2 | cache_aside | completed | 2026-11-21 | 2/2 | 2 | 0 | no | 2 checks in 1.6 s",
        ),
    ] {
        sandbox.write(DESK_FILE, word);
        let seen = sandbox.lab(&["check", "cache_aside"]);
        assert_eq!(seen.code, code, "{word}: {seen:#?}");
        assert_eq!(sandbox.row("01.2"), row, "{word}");
    }
    assert_eq!(sandbox.names(".lab"), ["progress.lock"], "reports are cleared away");
}

#[test]
fn a_file_that_does_not_compile_shows_cargos_words() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "SYNTAX");
    let out = sandbox.lab(&["check", "cache_aside"]).out;
    assert!(out.contains("error: expected item, found SYNTAX"), "{out}");
    assert!(out.contains("It does not compile yet, so nothing was graded."), "{out}");
}

#[test]
fn an_inconclusive_check_points_to_the_doctor() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "UNSURE");
    let out = sandbox.lab(&["check", "cache_aside"]).out;
    assert!(
        out.contains("  ? No reader leaves")
            && out.contains("1 of 2 checks passed, 1 proved nothing."),
        "{out}"
    );
    assert!(
        out.contains("because   Redis is missing") && out.ends_with("Next  cargo lab doctor\n"),
        "{out}"
    );
}

#[test]
fn a_grader_that_falls_over_is_not_a_pass() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "CRASH");
    let out = sandbox.lab(&["check", "cache_aside"]).out;
    assert!(out.contains("the grader fell over") && out.contains("nothing is counted"), "{out}");
}

#[test]
fn an_edit_after_the_pass_makes_it_stale_and_undoing_it_does_not() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    sandbox.write(DESK_FILE, "RIGHT, edited");
    let home = sandbox.passes(&["goto", "cache_aside"]).out + &sandbox.passes(&[]).out;
    assert!(home.contains("stale") && home.contains("your file changed since it passed"), "{home}");
    sandbox.write(DESK_FILE, "RIGHT");
    assert!(!sandbox.passes(&[]).out.contains("stale"));
    sandbox.write(DESK_FILE, "broken now");
    assert_eq!(sandbox.lab(&["check", "cache_aside"]).code, 1);
    assert!(sandbox.row("01.2").contains("| in progress |"), "{}", sandbox.row("01.2"));
}

#[test]
fn a_missing_server_points_to_its_installation() {
    let sandbox = Sandbox::new();
    for (message, next) in [
        ("cargo lab setup", "cargo lab setup"),
        ("cargo lab setup postgres", "cargo lab setup postgres"),
        ("install one with `cargo lab setup`, then", "cargo lab setup"),
    ] {
        sandbox.write(DESK_FILE, format!("UNSURE {message}"));
        let out = sandbox.lab(&["check", "cache_aside"]).out;
        assert!(out.ends_with(&format!("Next  {next}\n")), "{out}");
    }
}

#[test]
fn a_seed_that_is_none_is_refused_before_anything_is_built() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["check", "cache_aside"]);
    let seen = seen(&command.env("SEED", "abc").output().unwrap(), &sandbox.root);
    assert_eq!(seen.code, 2);
    assert_eq!(
        seen.err,
        "error: SEED=abc is not a whole number\n\nNext  SEED=7 cargo lab check cache_aside\n"
    );
    assert!(!sandbox.has("bin/calls"), "no cargo ran");
}

#[test]
fn a_grading_is_repeated_where_the_environment_asks_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    let mut command = sandbox.command(&["check", "cache_aside"]);
    let seen = seen(&command.env("GRADING_REPEAT", "3").output().unwrap(), &sandbox.root);
    assert_eq!(seen.code, 0);
    assert!(seen.out.contains("each check runs 3 times"), "{}", seen.out);
}

#[test]
fn reports_of_labs_that_are_gone_are_swept_away() {
    let sandbox = Sandbox::new();
    let mine = format!("report-{}-0.jsonl", std::process::id());
    // No process has an id that is not a number.
    for name in ["report-gone-0.jsonl", "report-gone-0.out", mine.as_str(), "kept"] {
        sandbox.write(&format!(".lab/{name}"), "");
    }
    sandbox.passes(&[]);
    assert_eq!(sandbox.names(".lab"), ["kept", mine.as_str()]);
}

#[test]
fn what_proves_nothing_takes_no_pass_away() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    sandbox.write(DESK_FILE, "UNSURE");
    assert_eq!(sandbox.lab(&["check", "cache_aside"]).code, 1);
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["note", "the server is back"]);
    assert!(sandbox.row("01.2").contains("| completed | 2026-11-21 | 2/2 | 1 |"));
}

#[test]
fn an_empty_file_on_the_desk_counts_as_missing() {
    let sandbox = Sandbox::new();
    for arguments in [["start", "cache_aside"], ["check", "cache_aside"]] {
        sandbox.write(DESK_FILE, "");
        sandbox.lab(&arguments);
        assert_eq!(sandbox.read(DESK_FILE), STARTER, "{arguments:?}");
    }
}

#[test]
fn start_never_overwrites_and_reset_keeps_a_copy() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "mine");
    assert!(sandbox.passes(&["start", "cache_aside"]).out.contains("as you left it"));
    assert_eq!(sandbox.read(DESK_FILE), "mine");
    for _ in 0..2 {
        assert!(
            sandbox
                .passes(&["reset", "cache_aside"])
                .out
                .contains("desk/backups/01-caching/cache_aside.")
        );
        assert_eq!(sandbox.read(DESK_FILE), STARTER);
    }
    assert_eq!(
        sandbox.names("desk/backups/01-caching"),
        ["cache_aside.20261121-105600-2.rs", "cache_aside.20261121-105600.rs"]
    );
    assert_eq!(sandbox.read("desk/backups/01-caching/cache_aside.20261121-105600.rs"), "mine");
}

#[test]
fn start_opens_the_editor_of_ones_choice() {
    let sandbox = Sandbox::new();
    let mut with = sandbox.command(&["start", "cache_aside", "--edit"]);
    let status = with.env_remove("VISUAL").env("EDITOR", "cp Cargo.toml").status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(sandbox.read(DESK_FILE), sandbox.read("Cargo.toml"), "the editor got the file");
    let mut without = sandbox.command(&["start", "cache_aside", "--edit"]);
    let output = without.env_remove("VISUAL").env_remove("EDITOR").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("neither $VISUAL nor $EDITOR is set"));
    let mut empty = sandbox.command(&["start", "cache_aside", "--edit"]);
    let output = empty.env("VISUAL", "").env("EDITOR", "no-such-editor -w").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("the editor no-such-editor of $EDITOR does not start"), "{err}");
    assert!(err.ends_with("Next  EDITOR=nano cargo lab start --edit\n"), "{err}");
}

#[test]
fn the_solution_asks_first_and_records_the_look() {
    let sandbox = Sandbox::new();
    let refused = sandbox.lab(&["solution", "cache_aside"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("cargo lab solution cache_aside --yes"), "{}", refused.err);
    let shown = sandbox.passes(&["solution", "cache_aside", "--yes"]).out;
    assert!(
        shown.contains("+pub struct Reference;") && shown.contains("-pub struct MyCache;"),
        "{shown}"
    );
    assert!(sandbox.row("01.2").contains("| 2026-11-21 | –"), "{}", sandbox.row("01.2"));
    sandbox.write("desk/01-caching/stampede.rs", "RIGHT");
    sandbox.passes(&["check", "stampede"]);
    sandbox.passes(&["solution", "stampede"]);
}

#[test]
fn the_current_lesson_moves_on() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "RIGHT");
    let out = sandbox.passes(&["check"]).out;
    assert!(
        out.contains("cache_aside passes: 2 checks.")
            && out.ends_with("Next  cargo lab start stampede\n"),
        "{out}"
    );
    sandbox.passes(&["start", "stampede"]);
    assert_eq!(sandbox.lab(&["check"]).code, 1);
    assert!(sandbox.row("01.5").contains("| in progress |"));
    sandbox.write("desk/01-caching/stampede.rs", "RIGHT");
    assert!(sandbox.passes(&["check"]).out.ends_with("Next  cargo lab progress\n"));
}
