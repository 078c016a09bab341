//! Processes by their numbers: whether they live, and which have been started by which.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Whether the process lives. A dead one still has its number until its parent reaps it, and
/// in a container without an init nobody does: there it is a zombie for ever (proc(5)).
pub(super) fn running(pid: u32) -> bool {
    let numbered =
        Pid::from_raw(pid.cast_signed()).is_some_and(|pid| test_kill_process(pid).is_ok());
    numbered && stat(&format!("/proc/{pid}/stat")).is_none_or(|(state, _)| state != "Z")
}

/// Sends a signal. A process that is gone is no error: it needs none any more.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that `parent` has started and that it has not reaped. Only a parent that is
/// frozen cannot start another while this is read.
pub(super) fn children(parent: u32) -> Vec<u32> {
    if let Ok(processes) = Path::new("/proc/self/stat").metadata().and(fs::read_dir("/proc")) {
        let of_parent = |pid: &u32| {
            stat(&format!("/proc/{pid}/stat")).is_some_and(|(_, above)| above == parent)
        };
        let numbers =
            processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        return numbers.filter(of_parent).collect();
    }
    // macOS has no /proc, and always has ps.
    let listed = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid="]).output();
    let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned());
    let pair = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let pairs = listed.unwrap_or_default();
    pairs
        .lines()
        .filter_map(pair)
        .filter(|(_, above)| *above == parent)
        .map(|(pid, _)| pid)
        .collect()
}

/// State and parent, as Linux tells them: `4711 (redis-server) Z 1 …`. The name in the
/// parentheses may hold anything.
fn stat(path: &str) -> Option<(String, u32)> {
    let line = fs::read_to_string(path).ok()?;
    let mut fields = line.rsplit(')').next()?.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
