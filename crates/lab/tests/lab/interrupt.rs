//! Ctrl-C and `kill`: the child dies with the lab, and nothing is recorded by halves.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::sandbox::{DESK_FILE, Sandbox, seen};

const PATIENCE: Duration = Duration::from_secs(10);

fn until(what: &str, mut true_yet: impl FnMut() -> bool) {
    let began = Instant::now();
    while !true_yet() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn signal(name: &str, pid: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}

/// A killed process that nobody has waited for yet is gone all the same.
fn alive(pid: u32) -> bool {
    let mut ps = Command::new("ps");
    let state = ps.args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// The child that hangs, once it does. The file is there before its text is.
fn hanging(sandbox: &Sandbox) -> u32 {
    let mut pid = None;
    until("the child runs", || {
        let text = fs::read_to_string(sandbox.root.join("bin/pid")).unwrap_or_default();
        pid = text.strip_suffix('\n').and_then(|pid| pid.parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}

fn interrupt(arguments: &[&str], name: &str) {
    let sandbox = Sandbox::new();
    sandbox.write("bin/hang", "");
    sandbox.write(DESK_FILE, "HANG");
    sandbox.passes(&["goto", "cache_aside"]);
    let before = sandbox.progress();
    let mut command = sandbox.command(arguments);
    let lab = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = hanging(&sandbox);
    // To the lab alone: a terminal would reach the child as well.
    assert!(signal(name, lab.id()));
    let seen = seen(&lab.wait_with_output().unwrap(), &sandbox.root);
    assert_eq!(seen.code, 130, "{arguments:?} {name}: {seen:#?}");
    assert!(seen.err.contains("Stopped. Nothing is lost"), "{}", seen.err);
    until("the child is gone", || !alive(pid));
    assert_eq!(sandbox.progress(), before);
    // And the next run is as good as ever.
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
}

#[test]
fn a_grading() {
    interrupt(&["check", "cache_aside"], "INT");
    interrupt(&["check", "cache_aside"], "TERM");
}

#[test]
fn an_example() {
    interrupt(&["run", "cache_aside"], "INT");
    interrupt(&["run", "cache_aside"], "HUP");
}

#[test]
fn a_watch() {
    interrupt(&["watch", "cache_aside"], "INT");
}

/// `kill -9` cannot be caught: the next command copes with whatever it left.
#[test]
fn a_lab_that_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.write(DESK_FILE, "HANG");
    sandbox.passes(&["goto", "cache_aside"]);
    let mut lab = sandbox.command(&["check", "cache_aside"]).stdout(Stdio::null()).spawn().unwrap();
    let grader = hanging(&sandbox);
    sandbox.write(".lab/report-1-0.jsonl", "left by another, long ago");
    let old = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    File::open(sandbox.root.join(".lab/report-1-0.jsonl")).unwrap().set_modified(old).unwrap();
    lab.kill().unwrap();
    lab.wait().unwrap();
    signal("KILL", grader);
    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.passes(&["check", "cache_aside"]);
    assert!(sandbox.row("01.2").contains("| completed |"));
    assert!(!sandbox.has(".lab/report-1-0.jsonl"), "what is old is swept up");
}
