//! `cargo lab watch`: grades on save, stops at a success, goes on with Enter.
//!
//! It looks at one file five times a second instead of asking the system for events: that costs
//! nothing that can be measured, and holds where events do not come (network folders, containers)
//! or come twice (editors that save by rename).

use std::{
    fs,
    io::{BufRead as _, stdin},
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    check::{self, Ending, Grade},
    chosen,
};
use crate::{
    clock, desk,
    failure::{FAILED, PASSED},
    fingerprint,
    progress::file,
    screen::{self, DIM, WARN, command, paint, say},
    workspace::{Located, Workspace},
};

const LOOK: Duration = Duration::from_millis(200);
/// A save may come in several writes: the file has to stay the same for this long.
const SETTLE: Duration = Duration::from_millis(80);

/// Away for longer than this, a file is gone, and no editor is just saving it.
const MISSED: Duration = Duration::from_secs(2);

enum Event {
    Saved,
    Enter,
    Quit,
}

pub(crate) fn run(workspace: &Workspace, word: Option<&str>) -> Result<u8> {
    let progress = file::load(workspace)?;
    let mut found = chosen(workspace, &progress, word)?;
    let keys = keys();
    loop {
        clear();
        let path = found.desk_file(workspace);
        desk::ensure(workspace, found)?;
        let graded = fingerprint::of_file(&path);
        let Ending { grade, way_out } = check::grade(workspace, found)?;
        let next = if grade == Grade::Passed { next_lesson(workspace, found)? } else { None };
        invite(found, grade, &way_out, next);
        if screen::is_closed() {
            return Ok(if grade == Grade::Passed { PASSED } else { FAILED });
        }
        match wait(&path, graded.as_deref(), grade, &keys, || lost(found)) {
            Event::Saved => {}
            Event::Quit => return Ok(PASSED),
            Event::Enter => match next {
                Some(next) => {
                    found = next;
                    take_up(workspace, found)?;
                }
                None if grade == Grade::Passed => return Ok(PASSED),
                // Enter without a success grades again.
                None => {}
            },
        }
    }
}

fn take_up(workspace: &Workspace, found: Located<'_>) -> Result<()> {
    desk::ensure(workspace, found)?;
    file::update(workspace, |progress| {
        desk::take_up(workspace, found, progress, &clock::day());
        progress.did(clock::minute(), format!("started {}", found.lesson.name));
    })
}

fn next_lesson<'w>(workspace: &'w Workspace, found: Located<'w>) -> Result<Option<Located<'w>>> {
    let progress = file::load(workspace)?;
    Ok(progress.next_open(workspace, Some(&found.lesson.id)))
}

fn lost(found: Located<'_>) {
    let text = format!(
        "\n{}.rs is gone, or empty. Save it again, or Enter: begin from the starter.",
        found.lesson.name
    );
    say!("{}", paint(WARN, &text));
}

fn invite(found: Located<'_>, grade: Grade, way_out: &str, next: Option<Located<'_>>) {
    let text = match (grade, next) {
        (Grade::Passed, Some(next)) => {
            format!("Enter: on to {} {}; q and Enter: stop.", next.lesson.id, next.lesson.name)
        }
        (Grade::Passed, None) => "That was the last lesson that is ready. Enter: stop.".to_owned(),
        _ => format!("Watching {}.rs: save to grade again; q and Enter: stop.", found.lesson.name),
    };
    say!("\n{}", paint(DIM, &text));
    match grade {
        Grade::Inconclusive => say!("{}  {}", paint(DIM, "Next"), command(way_out)),
        Grade::Failed => say!("{}  cargo lab hint {}", paint(DIM, "Stuck?"), found.lesson.name),
        Grade::Passed | Grade::Broken => {}
    }
}

/// Waits until the file holds something else than what was graded, or a key.
///
/// `lost` is called once when the file stays away.
fn wait(
    path: &Path,
    graded: Option<&str>,
    grade: Grade,
    keys: &Receiver<Event>,
    lost: impl FnOnce(),
) -> Event {
    let mut lost = Some(lost);
    let mut seen = Instant::now();
    loop {
        match keys.recv_timeout(LOOK) {
            Ok(event) => return event,
            Err(RecvTimeoutError::Timeout) => {}
            // Standard input is closed. After a success nobody is there to say "on"; before it, saves
            // still count.
            Err(RecvTimeoutError::Disconnected) if grade == Grade::Passed => return Event::Quit,
            Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
        }
        // In the middle of a save there is no file for a moment, or an empty one.
        if fs::metadata(path).is_ok_and(|data| data.len() > 0) {
            seen = Instant::now();
        } else {
            if seen.elapsed() > MISSED
                && let Some(lost) = lost.take()
            {
                lost();
            }
            continue;
        }
        if let Some(now) = fingerprint::of_file(path)
            && graded != Some(now.as_str())
        {
            thread::sleep(SETTLE);
            if fingerprint::of_file(path).as_deref() == Some(now.as_str()) {
                return Event::Saved;
            }
        }
    }
}

/// Lines from the keyboard, read on a thread of their own because reading waits.
fn keys() -> Receiver<Event> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            let event =
                if line.trim().eq_ignore_ascii_case("q") { Event::Quit } else { Event::Enter };
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Clears a terminal, and its scroll-back stays; a pipe or a file keeps everything.
fn clear() {
    if screen::stdout_is_terminal() {
        screen::print("\x1b[2J\x1b[H");
    }
}
