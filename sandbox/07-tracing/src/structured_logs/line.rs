//! What an event says, in values that JSON can carry, and the line of it.

use super::policy::FAR;
use super::{Policy, REDACTED, Raised, Said, UNPRINTABLE};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What an event says, without its secrets.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    /// Nobody outside has any say in it, so nothing is hidden in it.
    pub(crate) trace_id: Option<Arc<str>>,
    pub(crate) fields: BTreeMap<&'static str, Value>,
}

// ANCHOR: told
impl Told {
    pub(crate) fn of(event: &Raised<'_>, policy: &Policy) -> Told {
        let request_id = event.request_id.map(|id| policy.text(id).into_owned());
        let (mut message, mut fields) = (None, BTreeMap::new());
        event.each(&mut |name, said| {
            if name == "message" && message.is_none() {
                message = Some(text(said, policy));
            } else if policy.hides(name) {
                fields.insert(name, REDACTED.into());
            } else {
                fields.insert(name, value(said, policy));
            }
        });
        Told { message: message.unwrap_or_default(), request_id, trace_id: None, fields }
    }
}

/// Beyond these a reader that counts in 64-bit floats, as JavaScript does, may round: RFC 8259,
/// section 6.
const EXACT: i128 = (1 << 53) - 1;

fn value(said: Said<'_>, policy: &Policy) -> Value {
    let number = match said {
        Said::Bool(yes) => return yes.into(),
        Said::Signed(whole) => exact(whole),
        Said::Unsigned(whole) => i128::try_from(whole).ok().and_then(exact),
        // There is no NaN in JSON, and no infinity: it would be `null`, of which nobody knows what
        // it was.
        Said::Real(real) if real.is_finite() => Some(real.into()),
        _ => None,
    };
    let Some(number) = number else { return text(said, policy).into() };
    // A card may come as a number; what is shorter than one needs no second look.
    match number.as_f64() {
        Some(size) if size.abs() < 1e12 => number,
        _ => match text(said, policy) {
            hidden if hidden.contains(REDACTED) => hidden.into(),
            _ => number,
        },
    }
}

fn exact(whole: i128) -> Option<Value> {
    let is_exact = (-EXACT..=EXACT).contains(&whole);
    i64::try_from(whole).ok().filter(|_| is_exact).map(Value::from)
}

fn text(said: Said<'_>, policy: &Policy) -> String {
    match said {
        Said::Text(text) => policy.shown(text).into_owned(),
        Said::Bool(yes) => yes.to_string(),
        Said::Signed(whole) => policy.text(&whole.to_string()).into_owned(),
        Said::Unsigned(whole) => policy.text(&whole.to_string()).into_owned(),
        Said::Real(real) => policy.text(&real.to_string()).into_owned(),
        Said::Error(error) => printed(policy, |to| chain(to, error)),
        Said::Debug(value) => printed(policy, |to| write!(to, "{value:?}")),
    }
}
// ANCHOR_END: told

/// An error and its sources: "could not pay: connection refused".
fn chain(to: &mut Beginning, error: &(dyn Error + 'static)) -> fmt::Result {
    write!(to, "{error}")?;
    // As many as there are; a chain in a ring ends when the text is full.
    let mut source = error.source();
    while let Some(error) = source {
        write!(to, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

// ANCHOR: printed
/// What `print` prints, which is code that somebody else has written.
fn printed(policy: &Policy, print: impl FnOnce(&mut Beginning) -> fmt::Result) -> String {
    let mut begun = Beginning::default();
    let ended = catch_unwind(AssertUnwindSafe(|| print(&mut begun)));
    match ended {
        Ok(Ok(())) => policy.shown(&begun.text).into_owned(),
        // It was told that there is no more room, and what it makes of that does not matter.
        _ if begun.is_full => policy.shown(&begun.text).into_owned(),
        // Half a value may be half a secret.
        _ => UNPRINTABLE.to_owned(),
    }
}

/// The beginning of a text, which may be endless.
#[derive(Default)]
struct Beginning {
    text: String,
    is_full: bool,
}

impl Write for Beginning {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = FAR.saturating_sub(self.text.len());
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        self.is_full |= more.len() > room;
        if self.is_full { Err(fmt::Error) } else { Ok(()) }
    }
}
// ANCHOR_END: printed

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<&'static str, Value>,
}

// ANCHOR: json
/// The line, with its end.
pub(crate) fn json(event: &Raised<'_>, told: &Told) -> String {
    let line = Line {
        timestamp: event.timestamp,
        level: event.level.as_str(),
        target: event.target,
        message: &told.message,
        request_id: told.request_id.as_deref(),
        trace_id: told.trace_id.as_deref(),
        fields: &told.fields,
    };
    // Texts and numbers, all of which JSON can carry.
    let json = serde_json::to_string(&line).unwrap_or_default();
    // JSON escapes what is below U+0020. What else can begin a line, or command a terminal, may stand
    // in its texts as it is, and nowhere else: so it can be escaped afterwards.
    escaped(&json) + "\n"
}

/// With `\u` and four digits for each character that does not show itself where it stands.
pub(crate) fn escaped(text: &str) -> String {
    // Most lines are of plain letters.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match is_unruly(letter) {
            true => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            false => out.push(letter),
        }
    }
    out
}

fn is_unruly(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
// ANCHOR_END: json
