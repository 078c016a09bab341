//! What wrong answers do right: each goes one step another way, and takes the rest from here.

use observability::structured_logs::{
    BadDirective, CUT, LONGEST, Policy, REDACTED, Raised, Said, StructuredLogs, UNPRINTABLE,
};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fmt::Debug;
use std::io::Write;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, PoisonError, RwLock};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

pub(super) type Rules = Vec<(String, LevelFilter)>;

pub(super) static POLICY: LazyLock<Policy> = LazyLock::new(Policy::standard);

/// The steps of an answer.
pub trait Way: Sized + Send + Sync + 'static {
    fn rules(wanted: &str) -> Result<Rules, BadDirective> {
        rules(wanted)
    }

    fn change(log: &Whole<Self>, wanted: &str) -> Result<(), BadDirective> {
        log.set(Self::rules(wanted)?);
        Ok(())
    }

    fn wants(rules: &Rules, level: Level, target: &str) -> bool {
        let deciding = rules.iter().filter(|(of, _)| is_below(target, of));
        deciding.max_by_key(|(of, _)| of.len()).is_some_and(|(_, most)| level <= *most)
    }

    fn hides(name: &str, _: &Said<'_>) -> bool {
        POLICY.hides(name)
    }

    fn hidden(_: &Said<'_>) -> Value {
        REDACTED.into()
    }

    /// A text without what is secret in it.
    fn cleaned(text: &str) -> String {
        POLICY.text(text).into_owned()
    }

    fn shown(text: &str) -> String {
        let clean = Self::cleaned(text);
        if text.len() <= LONGEST { clean } else { cut(&clean) }
    }

    fn message(said: Said<'_>) -> String {
        Self::text(said)
    }

    fn text(said: Said<'_>) -> String {
        match said {
            Said::Text(text) => Self::shown(text),
            Said::Error(error) => Self::error(error),
            Said::Debug(value) => Self::debug(value),
            Said::Bool(yes) => yes.to_string(),
            Said::Signed(whole) => Self::cleaned(&whole.to_string()),
            Said::Unsigned(whole) => Self::cleaned(&whole.to_string()),
            Said::Real(real) => real.to_string(),
        }
    }

    fn error(error: &(dyn Error + 'static)) -> String {
        Self::caught(|| chain(error))
    }

    fn debug(value: &dyn Debug) -> String {
        Self::caught(|| format!("{value:?}"))
    }

    fn caught(print: impl FnOnce() -> String) -> String {
        match catch_unwind(AssertUnwindSafe(print)) {
            Ok(text) => Self::shown(&text),
            Err(_) => UNPRINTABLE.to_owned(),
        }
    }

    fn whole(whole: i128, said: Said<'_>) -> Value {
        let text = Self::text(said);
        match i64::try_from(whole) {
            Ok(small) if whole.abs() < 1 << 53 && !text.contains(REDACTED) => small.into(),
            _ => text.into(),
        }
    }

    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Bool(yes) => yes.into(),
            Said::Signed(whole) => Self::whole(whole, said),
            Said::Unsigned(whole) => Self::whole(i128::try_from(whole).unwrap_or(i128::MAX), said),
            Said::Real(real) if real.is_finite() => real.into(),
            _ => Self::text(said).into(),
        }
    }

    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let mut line = json!({
            "timestamp": event.timestamp,
            "level": event.level.as_str(),
            "target": event.target,
            "message": message,
        });
        if let Some(id) = event.request_id {
            line["request_id"] = Self::cleaned(id).into();
        }
        if !fields.is_empty() {
            line["fields"] = fields.into();
        }
        line.to_string()
    }

    fn escaped(json: String) -> String {
        escaped(&json, is_unruly)
    }

    fn line(event: &Raised<'_>) -> Option<String> {
        let (mut message, mut fields) = (None, Map::new());
        event.each(&mut |name, said| {
            if name == "message" && message.is_none() {
                message = Some(Self::message(said));
            } else if Self::hides(name, &said) {
                fields.insert(name.to_owned(), Self::hidden(&said));
            } else {
                fields.insert(name.to_owned(), Self::value(said));
            }
        });
        Some(Self::escaped(Self::object(event, message.unwrap_or_default(), fields)) + "\n")
    }

    fn put(line: &str, to: &mut dyn Write) {
        let _ = to.write_all(line.as_bytes());
    }

    fn write(log: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        let is_wanted = Self::wants(&log.rules(), event.level, event.target);
        if let Some(line) = is_wanted.then(|| Self::line(event)).flatten() {
            Self::put(&line, to);
        }
    }
}

/// An answer that goes its way.
pub struct Whole<W> {
    pub(super) rules: RwLock<Rules>,
    way: PhantomData<W>,
}

impl<W> Whole<W> {
    pub(super) fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }
}

impl<W: Way> StructuredLogs for Whole<W> {
    fn new(wanted: &str) -> Result<Whole<W>, BadDirective> {
        Ok(Whole { rules: RwLock::new(W::rules(wanted)?), way: PhantomData })
    }

    fn change(&self, wanted: &str) -> Result<(), BadDirective> {
        W::change(self, wanted)
    }

    fn write(&self, event: &Raised<'_>, to: &mut dyn Write) {
        W::write(self, event, to);
    }
}

pub(super) fn is_below(target: &str, of: &str) -> bool {
    let rest = target.strip_prefix(of);
    of.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

pub(super) fn level(text: &str) -> Option<LevelFilter> {
    let is_word = text.len() > 1;
    text.parse().ok().filter(|_| is_word)
}

/// One directive, or nothing.
pub(super) fn rule(piece: &str) -> Option<(String, LevelFilter)> {
    match piece.split_once('=') {
        Some((target, _)) if target.trim().is_empty() => None,
        Some((target, most)) => Some((target.trim().to_owned(), level(most.trim())?)),
        None => Some((String::new(), level(piece)?)),
    }
}

pub(super) fn pieces(wanted: &str) -> impl Iterator<Item = &str> {
    wanted.split(',').map(str::trim)
}

pub(super) fn bad(piece: &str) -> BadDirective {
    BadDirective { piece: piece.to_owned() }
}

pub(super) fn rules(wanted: &str) -> Result<Rules, BadDirective> {
    let mut rules = Rules::new();
    for piece in pieces(wanted) {
        let rule = rule(piece).filter(|(target, _)| rules.iter().all(|(known, _)| known != target));
        rules.push(rule.ok_or_else(|| bad(piece))?);
    }
    Ok(rules)
}

pub(super) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned() + CUT
}

pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        told += &format!(": {error}");
        source = error.source();
    }
    told
}

pub(super) fn escaped(json: &str, escapes: fn(char) -> bool) -> String {
    let one = |c: char| match escapes(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    json.chars().map(one).collect()
}

pub(super) fn is_unruly(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
