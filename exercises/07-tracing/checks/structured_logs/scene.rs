//! A program that raises events, and its log.

use grading::history::Step;
use grading::{Evidence, Finding, World};
use observability::structured_logs::{BadDirective, REDACTED, Raised, StructuredLogs};
use serde_json::Value;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

pub(super) const NOW: &str = "2026-11-22T06:10:00.000000Z";

/// The subject with its type forgotten: so that the checks are compiled once, and not for each wrong
/// answer.
pub(super) trait AnyLog: Send + Sync {
    fn change(&self, wanted: &str) -> Result<(), BadDirective>;
    fn write(&self, event: &Raised<'_>, to: &mut dyn Write);
}

impl<D: StructuredLogs> AnyLog for D {
    fn change(&self, wanted: &str) -> Result<(), BadDirective> {
        D::change(self, wanted)
    }

    fn write(&self, event: &Raised<'_>, to: &mut dyn Write) {
        D::write(self, event, to);
    }
}

pub(super) type New = fn(&str) -> Result<Arc<dyn AnyLog>, BadDirective>;

/// What a check plays in. A clone is the same.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    new: New,
    pub(super) subject: Arc<dyn AnyLog>,
    request_id: Option<Arc<str>>,
}

/// An event is raised: `raise!(scene, info!(lines = 3, "placed"))`.
macro_rules! raise {
    ($scene:expr, $level:ident!($($event:tt)*)) => {
        $scene.raise(
            concat!(stringify!($level), "!(", stringify!($($event)*), ")"),
            &mut || tracing::$level!($($event)*),
        )
    };
}
pub(super) use raise;

impl Scene {
    /// A log of all events.
    pub(super) fn of<D: StructuredLogs>(world: World) -> Result<Scene, Finding> {
        Scene::wanting::<D>(world, "trace")
    }

    /// A log of what is wanted.
    pub(super) fn wanting<D: StructuredLogs>(world: World, wanted: &str) -> Result<Scene, Finding> {
        let new: New = |wanted| Ok(Arc::new(D::new(wanted)?));
        let subject = opened(new, wanted, &world)?;
        Ok(Scene { world: Arc::new(world), new, subject, request_id: None })
    }

    /// The same, opened anew.
    pub(super) fn again(&self, wanted: &str) -> Result<Scene, Finding> {
        self.world.history().turn_page();
        Ok(Scene { subject: opened(self.new, wanted, &self.world)?, ..self.clone() })
    }

    pub(super) fn try_new(&self, wanted: &str) -> Result<Arc<dyn AnyLog>, BadDirective> {
        (self.new)(wanted)
    }

    pub(super) fn for_request(&self, id: &str) -> Scene {
        Scene { request_id: Some(id.into()), ..self.clone() }
    }

    /// Raises an event, and reads what is written.
    pub(super) fn raise(&self, event: &str, raise: &mut dyn FnMut()) -> Written {
        self.raise_as(None, event, raise)
    }

    /// Raises it at another level and from another target than it says.
    pub(super) fn raise_as(
        &self,
        from: Option<(Level, &'static str)>,
        event: &str,
        raise: &mut dyn FnMut(),
    ) -> Written {
        let words: Vec<&str> = event.split_whitespace().collect();
        self.world.history().note("shop", words.join(" "));
        let log = Log::default();
        self.raise_to(from, log.clone(), raise);
        self.read(&log)
    }

    /// Raises it, and has it written to a writer that is no plain one.
    pub(super) fn raise_to(
        &self,
        from: Option<(Level, &'static str)>,
        to: impl Write + Clone + Send + Sync + 'static,
        raise: &mut dyn FnMut(),
    ) {
        let (subject, request_id) = (Arc::clone(&self.subject), self.request_id.clone());
        let write: Writes = Box::new(move |mut event| {
            if let Some((level, target)) = from {
                (event.level, event.target) = (level, target);
            }
            subject.write(&event, &mut to.clone());
        });
        let subscriber = tracing_subscriber::registry().with(Raising { write, request_id });
        tracing::subscriber::with_default(subscriber, raise);
    }

    /// Looks at what has been written.
    pub(super) fn read(&self, log: &Log) -> Written {
        let text = String::from_utf8_lossy(&log.bytes()).into_owned();
        let told = if text.is_empty() { "nothing".to_owned() } else { without_the_same(&text) };
        let told: String = told.trim_end_matches('\n').chars().map(visible).collect();
        let step = self.world.history().note("shop", format!("= {told}"));
        Written { text, step }
    }
}

fn opened(new: New, wanted: &str, world: &World) -> Result<Arc<dyn AnyLog>, Finding> {
    let step = world.history().note("shop", format!("a log of \"{wanted}\""));
    new(wanted).map_err(|bad| {
        let saw = format!("the error `{}`", bad.piece);
        Evidence::new(format!("a log of \"{wanted}\""), saw).at(step).into()
    })
}

/// Without what is the same in each line.
fn without_the_same(line: &str) -> String {
    let mut line = line.to_owned();
    let target = line.find("\"target\":\"observability_exercises").map(|from| {
        let end = line[from + 10..].find('"').map_or(line.len(), |end| from + 10 + end + 1);
        line[from..end].to_owned()
    });
    for same in [Some(format!("\"timestamp\":\"{NOW}\"")), target].into_iter().flatten() {
        let (before, after) = (format!(",{same}"), format!("{same},"));
        line = line.replace(&before, "").replace(&after, "");
    }
    line
}

/// What would move the cursor is shown as what it is.
fn visible(letter: char) -> char {
    match letter {
        '\n' => '⏎',
        c if c.is_control() => '␛',
        '\u{2028}' | '\u{2029}' => '⏎',
        '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '⇄',
        c => c,
    }
}

type Writes = Box<dyn Fn(Raised<'_>) + Send + Sync>;

struct Raising {
    write: Writes,
    request_id: Option<Arc<str>>,
}

impl<S: Subscriber> Layer<S> for Raising {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        (self.write)(Raised::of(event, NOW, self.request_id.as_deref()));
    }
}

/// What has been written, by all. A clone is the same.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Log {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(written);
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of one event.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) step: Step,
}

impl Written {
    fn wrong(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.step).into()
    }

    /// The one line, read.
    pub(super) fn line(&self) -> Result<Value, Finding> {
        if self.text.is_empty() {
            return Err(self.wrong("a line", "nothing"));
        }
        match serde_json::from_str::<Value>(&self.text) {
            Ok(line) if line.is_object() && self.text.ends_with("}\n") => Ok(line),
            Ok(_) => Err(self.wrong("one JSON object and a line's end", "JSON, and not that")),
            Err(error) => Err(self.wrong("one JSON object", format!("no JSON: {error}"))),
        }
    }

    pub(super) fn nothing(&self, why: &str) -> Result<(), Finding> {
        match self.text.is_empty() {
            true => Ok(()),
            false => Err(self.wrong(format!("nothing: {why}"), "a line")),
        }
    }

    /// What stands at this place, as in `/fields/lines`.
    pub(super) fn is(&self, at: &str, expected: impl Into<Value>) -> Result<(), Finding> {
        let (line, expected) = (self.line()?, expected.into());
        match line.pointer(at) {
            Some(saw) if *saw == expected => Ok(()),
            Some(saw) => Err(self.wrong(format!("{at}: {}", short(&expected)), short(saw))),
            None => Err(self.wrong(format!("{at}: {}", short(&expected)), "nothing there")),
        }
    }

    /// The text that stands there.
    pub(super) fn text_at(&self, at: &str) -> Result<String, Finding> {
        let line = self.line()?;
        let text = line.pointer(at).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| self.wrong(format!("a text at {at}"), short(&line)))
    }

    /// Nothing of `secrets` is left, and `words` are there as they were.
    pub(super) fn hides(&self, secrets: &[&str], words: &[&str]) -> Result<(), Finding> {
        self.line()?;
        for secret in secrets {
            if let Some(at) = self.text.find(secret) {
                let from = self.text[..at].char_indices().rev().nth(11).map_or(0, |(at, _)| at);
                let shown: String = self.text[from..].chars().take(40).map(visible).collect();
                let expected = format!("{REDACTED} in the place of {secret}");
                return Err(self.wrong(expected, format!("…{shown}…")));
            }
        }
        if !self.text.contains(REDACTED) {
            return Err(self.wrong(format!("{REDACTED} where the secret was"), "it nowhere"));
        }
        for word in words {
            if !self.text.contains(word) {
                let expected = format!("`{word}`, which is no secret, left as it was");
                return Err(self.wrong(expected, "it gone"));
            }
        }
        Ok(())
    }

    pub(super) fn expected(&self, holds: bool, what: &str, saw: &str) -> Result<(), Finding> {
        if holds { Ok(()) } else { Err(self.wrong(what, saw)) }
    }
}

fn short(value: &Value) -> String {
    let text: String = value.to_string().chars().map(visible).collect();
    match text.chars().count() > 60 {
        true => text.chars().take(59).chain(['…']).collect(),
        false => text,
    }
}
