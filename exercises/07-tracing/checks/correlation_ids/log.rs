//! What a service has logged, line by line, as its collector would read it.

use grading::history::Step;
use grading::{Evidence, Finding, History, SOON};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

/// One line of a log.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) message: String,
    pub(super) id: Option<String>,
    pub(super) step: Step,
}

/// A log that is read while it is written. A clone is the same log.
#[derive(Clone)]
pub(super) struct Log {
    lane: &'static str,
    history: History,
    names: Names,
    lines: Arc<watch::Sender<Vec<Line>>>,
}

impl Log {
    pub(super) fn new(lane: &'static str, history: &History, names: &Names) -> Log {
        let (history, names) = (history.clone(), names.clone());
        Log { lane, history, names, lines: Arc::new(watch::Sender::new(Vec::new())) }
    }

    /// Reads what was written in one go.
    pub(super) fn read(&self, written: &[u8]) {
        let line: serde_json::Value = serde_json::from_slice(written).unwrap_or_default();
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        // The libraries below the services say what they do, too, and not always for a request.
        let target = text("target").unwrap_or_default();
        if !target.starts_with(env!("CARGO_CRATE_NAME")) {
            return;
        }
        let message = text("message").unwrap_or_default();
        let id = text("request_id");
        let by = id.as_ref().map_or_else(|| "no id".to_owned(), |id| self.names.of(id));
        let step = self.history.note(self.lane, format!("{message} · {by}"));
        self.lines.send_modify(|lines| lines.push(Line { message, id, step }));
    }

    /// All that was logged so far.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines.borrow().clone()
    }

    /// The line that says this, as soon as it is there.
    pub(super) async fn line(&self, message: &str) -> Result<Line, Finding> {
        let find = |lines: &[Line]| lines.iter().rfind(|line| line.message == message).cloned();
        let mut lines = self.lines.subscribe();
        let came = tokio::time::timeout(SOON, lines.wait_for(|lines| find(lines).is_some())).await;
        let found = came.ok().and_then(Result::ok).and_then(|lines| find(&lines));
        found.ok_or_else(|| {
            let expected = format!("{} to log \"{message}\"", self.lane);
            Evidence::new(expected, format!("nothing of it in {SOON:?}")).into()
        })
    }

    /// These lines are there, and each of them carries this id.
    pub(super) async fn carry(&self, id: &str, messages: &[&str]) -> Result<(), Finding> {
        for message in messages {
            let line = self.line(message).await?;
            if line.id.as_deref() != Some(id) {
                let expected = format!("\"{message}\" with the id {}", self.names.of(id));
                return Err(Evidence::new(expected, self.with(&line)).at(line.step).into());
            }
        }
        Ok(())
    }

    /// These lines are there, and in nobody's name.
    pub(super) async fn nobodys(&self, messages: &[&str]) -> Result<(), Finding> {
        for message in messages {
            let line = self.line(message).await?;
            if line.id.is_some() {
                let expected = format!("\"{message}\" without an id: it is no request's");
                return Err(Evidence::new(expected, self.with(&line)).at(line.step).into());
            }
        }
        Ok(())
    }

    fn with(&self, line: &Line) -> String {
        match &line.id {
            None => "it without an id".to_owned(),
            Some(id) => format!("it with the id {}", self.names.of(id)),
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.read(written);
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Short names for ids in timelines: what customers have sent as it is, what was made by number.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<(Vec<String>, Vec<String>)>>);

impl Names {
    /// A customer sends this.
    pub(super) fn given(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(id.to_owned());
    }

    pub(super) fn of(&self, id: &str) -> String {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.0.iter().any(|given| given == id) || id.len() < 9 {
            let escaped: String = id.escape_debug().collect();
            let is_bare = !escaped.is_empty() && escaped == id && !id.contains(' ');
            let shown: String = escaped.chars().take(16).collect();
            let end = if shown.len() < escaped.len() { "…" } else { "" };
            return if is_bare { format!("{shown}{end}") } else { format!("\"{shown}{end}\"") };
        }
        let known = names.1.iter().position(|known| known == id).unwrap_or_else(|| {
            names.1.push(id.to_owned());
            names.1.len() - 1
        });
        format!("new-{}", known + 1)
    }
}
