//! Processes by their numbers: whether they live, which have been started by which, and F5: a
//! process that is stopped, as a long pause of a garbage collector, a laptop's lid or a moved
//! virtual machine stops it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Whether the process lives. A dead one still has its number until its parent reaps it, and
/// in a container without an init nobody does: there it is a zombie for ever (proc(5)).
pub(crate) fn running(pid: u32) -> bool {
    let numbered =
        Pid::from_raw(pid.cast_signed()).is_some_and(|pid| test_kill_process(pid).is_ok());
    numbered && stat(&format!("/proc/{pid}/stat")).is_none_or(|(state, _)| state != "Z")
}

/// A process did not do as its signal said.
#[derive(Debug, thiserror::Error)]
#[error("process {pid} did not {order} within {PATIENCE:?}, or has ended")]
pub struct Disobeyed {
    pid: u32,
    order: &'static str,
}

/// How long a signal may take. The kernel stops a process at once, unless it waits for a disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// F5: stops a process with SIGSTOP, and waits until each of its threads stands still. From then
/// on its clock goes on and it does not: it wakes with everything it knew before.
///
/// # Errors
/// [`Disobeyed`] when it has not stopped in five seconds, or is gone.
pub fn freeze(pid: u32) -> Result<(), Disobeyed> {
    signal(pid, Signal::STOP);
    wait(pid, "stop", frozen)
}

/// Wakes a process that [`freeze`] has stopped, with SIGCONT.
///
/// # Errors
/// [`Disobeyed`] when it still stands after five seconds.
pub fn thaw(pid: u32) -> Result<(), Disobeyed> {
    signal(pid, Signal::CONT);
    wait(pid, "go on", |pid| !frozen(pid))
}

fn wait(pid: u32, order: &'static str, done: fn(u32) -> bool) -> Result<(), Disobeyed> {
    let began = Instant::now();
    while !done(pid) {
        if !running(pid) || began.elapsed() > PATIENCE {
            return Err(Disobeyed { pid, order });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Whether no thread of the process runs. The signal reaches one thread after the other.
fn frozen(pid: u32) -> bool {
    if let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) {
        return threads.flatten().all(|thread| {
            let file = thread.path().join("stat");
            file.to_str().and_then(stat).is_some_and(|(state, _)| state == "T" || state == "t")
        });
    }
    let shown = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output();
    shown.is_ok_and(|shown| shown.stdout.first() == Some(&b'T'))
}

/// Sends a signal. A process that is gone is no error: it needs none any more.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes that `parent` has started and that it has not reaped. Only a parent that is
/// frozen cannot start another while this is read.
pub(crate) fn children(parent: u32) -> Vec<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_frozen_process_stands_still_and_goes_on_where_it_was() {
        static LINES: AtomicUsize = AtomicUsize::new(0);
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do echo .; done"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = busy.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            for _ in BufReader::new(out).lines() {
                LINES.fetch_add(1, Ordering::SeqCst);
            }
        });
        let grows = |from: usize| {
            let began = Instant::now();
            while LINES.load(Ordering::SeqCst) <= from && began.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
            LINES.load(Ordering::SeqCst) > from
        };
        assert!(grows(0));
        freeze(busy.id()).unwrap();
        // What lies in the pipe is read first.
        let mut seen = usize::MAX;
        while LINES.load(Ordering::SeqCst) != seen {
            seen = LINES.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(LINES.load(Ordering::SeqCst), seen, "it stands still");
        thaw(busy.id()).unwrap();
        assert!(grows(seen), "it goes on");
        busy.kill().unwrap();
        busy.wait().unwrap();
        reader.join().unwrap();
        assert!(freeze(busy.id()).is_err(), "what is gone cannot be stopped");
    }
}
