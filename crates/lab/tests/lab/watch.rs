//! `watch`: grades on save, however the editor saves; goes on with Enter; stops with q.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use crate::sandbox::{DESK_FILE, STARTER, Sandbox};

const PATIENCE: Duration = Duration::from_secs(10);

struct Watch {
    child: Child,
    keys: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Watch {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .command(&["watch", "cache_aside"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { keys: child.stdin.take(), child, lines }
    }

    fn sees(&self, text: &str) {
        while !self
            .lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("never saw {text:?}"))
            .contains(text)
        {}
    }

    fn key(&mut self, line: &str) {
        writeln!(self.keys.as_mut().unwrap(), "{line}").unwrap();
    }

    fn ends(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn grades_every_save_and_goes_on_with_enter() {
    let sandbox = Sandbox::new();
    let mut watch = Watch::start(&sandbox);
    watch.sees("save to grade again");
    sandbox.write(DESK_FILE, "SYNTAX");
    watch.sees("It does not compile yet");
    watch.sees("save to grade again");
    // As vim and many others save: a new file takes the place of the old one.
    sandbox.write("desk/01-caching/.new", "still wrong");
    fs::rename(sandbox.root.join("desk/01-caching/.new"), sandbox.root.join(DESK_FILE)).unwrap();
    watch.sees("1 of 3 checks passed");
    watch.sees("save to grade again");
    fs::remove_file(sandbox.root.join(DESK_FILE)).unwrap();
    thread::sleep(Duration::from_millis(300));
    sandbox.write(DESK_FILE, "RIGHT");
    watch.sees("cache_aside passes: 2 checks.");
    watch.sees("Enter: on to 01.5 stampede");
    watch.key("");
    watch.sees("stampede · desk/01-caching/stampede.rs");
    watch.sees("save to grade again");
    assert!(sandbox.progress().contains("- **Lesson:** 01.5 stampede, in progress"));
    watch.key("q");
    assert_eq!(watch.ends(), Some(0));
    assert!(
        sandbox.row("01.2").contains("| completed | 2026-11-21 | 2/2 | 3 |"),
        "{}",
        sandbox.row("01.2")
    );
}

#[test]
fn q_stops_it() {
    let sandbox = Sandbox::new();
    let mut watch = Watch::start(&sandbox);
    watch.sees("save to grade again");
    watch.key("q");
    assert_eq!(watch.ends(), Some(0));
}

#[test]
fn a_closed_keyboard_does_not_stop_it() {
    let sandbox = Sandbox::new();
    let mut watch = Watch::start(&sandbox);
    watch.keys = None;
    watch.sees("save to grade again");
    sandbox.write(DESK_FILE, "RIGHT");
    watch.sees("cache_aside passes");
    assert_eq!(watch.ends(), Some(0));
}

#[test]
fn a_file_that_was_deleted_is_missed_and_enter_begins_anew() {
    let sandbox = Sandbox::new();
    let mut watch = Watch::start(&sandbox);
    watch.sees("save to grade again");
    fs::remove_file(sandbox.root.join(DESK_FILE)).unwrap();
    watch.sees("cache_aside.rs is gone, or empty.");
    watch.key("");
    watch.sees("save to grade again");
    assert_eq!(sandbox.read(DESK_FILE), STARTER);
    watch.key("q");
    assert_eq!(watch.ends(), Some(0));
}
