//! A log of one JSON object a line, which is what every collector of logs can read.
//!
//! ```text
//! {"timestamp":"2026-11-22T06:10:00.000000Z","level":"INFO","target":"orders",
//!  "message":"placed","request_id":"0199f2c6-…","fields":{"lines":3}}
//! ```
//!
//! (Here in two, to fit.) The id stands beside the fields and not among them: whatever an event calls
//! its own fields, it cannot pretend to be of another request. What may stand in a line, and what is
//! hidden, is lesson 07.2, [`structured_logs`](crate::structured_logs).

mod aside;
mod people;

use crate::structured_logs::{Policy, Raised, Told, json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;

pub use aside::{Aside, Ending};

/// Writes each event as a line. A part of a subscriber:
///
/// ```
/// use observability::correlation_ids::{CorrelationIds, TaskIds};
/// use observability::lines::Lines;
/// use observability::structured_logs::Wanted;
/// use tracing_subscriber::Layer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let wanted = Wanted::parse("info,orders=debug")?;
/// let lines = Lines::new(std::io::stdout, TaskIds::current).with_filter(wanted);
/// let subscriber = tracing_subscriber::registry().with(lines);
/// # drop(subscriber);
/// // tracing::subscriber::set_global_default(subscriber)?;
/// # Ok::<(), observability::structured_logs::BadDirective>(())
/// ```
///
/// A line that cannot be written is lost, and nobody is told. A writer that blocks, such as a pipe
/// whose reader hangs, holds up whoever logs, unless the lines go [`Aside`].
pub struct Lines<W> {
    to: W,
    id: fn() -> Option<Arc<str>>,
    trace: fn() -> Option<Arc<str>>,
    policy: Policy,
    form: Form,
    also: Option<Tell>,
}

type Tell = Box<dyn Fn(Record) + Send + Sync>;

/// A line as data: what was written, without its secrets.
#[derive(Clone, Debug)]
pub struct Record {
    /// When.
    pub at: std::time::SystemTime,
    /// How grave.
    pub level: tracing::Level,
    /// Where from.
    pub target: String,
    /// In words.
    pub message: String,
    /// And its fields.
    pub fields: BTreeMap<&'static str, Value>,
    /// Whose request it was about.
    pub request_id: Option<String>,
}

/// For whom the lines are.
#[derive(Clone, Copy)]
enum Form {
    Machines,
    People { colours: bool },
}

impl<W> Lines<W> {
    /// Lines to `to`, each with what `id` says on the thread that logs, at the moment at which it
    /// logs. Secrets are hidden by [`Policy::standard`]: who forgets to say anything is safe.
    pub fn new(to: W, id: fn() -> Option<Arc<str>>) -> Lines<W> {
        let (policy, form) = (Policy::standard(), Form::Machines);
        Lines { to, id, trace: || None, policy, form, also: None }
    }

    /// Each line also names the trace that `trace` says, on the same thread and at the same moment: from
    /// a line to its waterfall, and back. [`propagation::trace`](crate::propagation::trace) is one.
    pub fn traced(self, trace: fn() -> Option<Arc<str>>) -> Lines<W> {
        Lines { trace, ..self }
    }

    /// Tells each line to somebody else as well, on the thread that logs and after it was written: it
    /// should not wait there.
    pub fn also(self, tell: impl Fn(Record) + Send + Sync + 'static) -> Lines<W> {
        Lines { also: Some(Box::new(tell)), ..self }
    }

    /// Hides what `policy` says instead.
    pub fn redacting(self, policy: Policy) -> Lines<W> {
        Lines { policy, ..self }
    }

    /// For somebody who watches: the time, the level, where from, what, and the fields; in colours or
    /// without. What is hidden and escaped is the same.
    ///
    /// ```
    /// use observability::lines::{Lines, shows_colours};
    ///
    /// let colours = shows_colours(&std::io::stdout());
    /// let lines = Lines::new(std::io::stdout, || None).for_people(colours);
    /// # drop(lines);
    /// ```
    pub fn for_people(self, colours: bool) -> Lines<W> {
        Lines { form: Form::People { colours }, ..self }
    }
}

/// Whether somebody may see colours there: it is a terminal, and `NO_COLOR` is not set, or empty
/// (<https://no-color.org>).
pub fn shows_colours(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

impl<W> Debug for Lines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut timestamp = String::new();
        // Where the clock cannot be told, the rest of the line still can.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let id = (self.id)();
        let raised = Raised::of(event, &timestamp, id.as_deref());
        let told = Told { trace_id: (self.trace)(), ..Told::of(&raised, &self.policy) };
        let line = match self.form {
            Form::Machines => json(&raised, &told),
            Form::People { colours } => people::line(&raised, &told, colours),
        };
        // In one write: two threads that log at once must not share a line. And if nobody reads it
        // any more, that is no reason to refuse the request.
        let _ = self.to.make_writer_for(event.metadata()).write_all(line.as_bytes());
        if let Some(tell) = &self.also {
            let Told { message, fields, request_id, .. } = told;
            let (at, target) = (std::time::SystemTime::now(), raised.target.to_owned());
            tell(Record { at, level: raised.level, target, message, fields, request_id });
        }
    }
}
