//! A line for somebody who watches.

use crate::structured_logs::{Raised, Told, escaped};
use serde_json::Value;
use std::fmt::Write;
use tracing::Level;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// So wide is where from, so that messages begin below each other.
const TARGET: usize = 20;

/// `06:10:00.000  INFO  orders                placed  lines=3`, in colours only what is to be noticed,
/// and what is to be overlooked.
pub(super) fn line(event: &Raised<'_>, told: &Told, colours: bool) -> String {
    let coloured = |colour: &str, text: &str| match colours && !colour.is_empty() {
        true => format!("{colour}{text}{PLAIN}"),
        false => text.to_owned(),
    };
    let level = match event.level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => "",
        _ => DIM,
    };
    let time = event.timestamp.get(11..23).unwrap_or(event.timestamp);
    let target = escaped(event.target);
    let mut line = coloured(DIM, &escaped(time)) + "  ";
    line += &coloured(level, &format!("{:<5}", event.level.as_str()));
    line += "  ";
    line += &coloured(DIM, &format!("{target:<TARGET$}"));
    line += "  ";
    line += &escaped(&told.message);
    for (name, value) in &told.fields {
        let _ = write!(line, "  {}{}", coloured(DIM, &format!("{name}=")), shown(value));
    }
    if let Some(id) = &told.request_id {
        let _ = write!(line, "  {}", coloured(DIM, &format!("request_id={}", escaped(id))));
    }
    if let Some(id) = &told.trace_id {
        let _ = write!(line, "  {}", coloured(DIM, &format!("trace_id={id}")));
    }
    line.push('\n');
    line
}

/// Plain words as they are; what has spaces or more in it in quotes, so that it ends somewhere.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => escaped(&other.to_string()),
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/[]@+".contains(c))
}
