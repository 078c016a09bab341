//! Those who are wrong about what a line is.

use super::right::{POLICY, Way, cut, escaped, is_unruly};
use observability::structured_logs::{LONGEST, Raised, Said};
use serde_json::{Map, Value, json};

/// `format!` and a few quotes: it is only JSON, after all. Until somebody's name has a quote in it,
/// and the collector throws the line away. Rejected by `one_object`.
pub struct ByHand;

impl Way for ByHand {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let mut line = format!(
            r#"{{"timestamp":"{}","level":"{}","target":"{}","message":"{message}""#,
            event.timestamp, event.level, event.target
        );
        if let Some(id) = event.request_id {
            line += &format!(r#","request_id":"{id}""#);
        }
        if !fields.is_empty() {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => format!(r#""{name}":"{text}""#),
                    other => format!(r#""{name}":{other}"#),
                })
                .collect();
            line += &format!(r#","fields":{{{}}}"#, fields.join(","));
        }
        line + "}"
    }
}

/// A sentence with all that matters in it, as one has always written it. It reads well, and no query
/// finds a number in it. Rejected by `one_object`.
pub struct AllInTheMessage;

impl Way for AllInTheMessage {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let told = fields.iter().map(|(name, value)| format!(" {name}={value}"));
        let message = message + &told.collect::<String>();
        json!({
            "timestamp": event.timestamp, "level": event.level.as_str(), "target": event.target,
            "message": message, "request_id": event.request_id,
        })
        .to_string()
    }
}

/// Everything is text in the end. And then "9" is more than "12", and no sum can be taken. Rejected by
/// `typed`.
pub struct AllIsText;

impl Way for AllIsText {
    fn value(said: Said<'_>) -> Value {
        Self::text(said).into()
    }
}

/// `Visit` has one method that must be written, `record_debug`, and all others end there. Texts have
/// quotes around them then, and are found only by who asks for the quotes as well. Rejected by
/// `typed`.
pub struct DebugOfAll;

impl Way for DebugOfAll {
    fn text(said: Said<'_>) -> String {
        match said {
            Said::Text(text) => Self::debug(&text),
            Said::Error(error) => Self::error(error),
            Said::Debug(value) => Self::debug(value),
            Said::Bool(yes) => yes.to_string(),
            Said::Signed(whole) => whole.to_string(),
            Said::Unsigned(whole) => whole.to_string(),
            Said::Real(real) => real.to_string(),
        }
    }
}

/// Sees a number in each text that looks like one. The size "7" is then a number and "XL" is none, in
/// the same field, and the index refuses one of them. Rejected by `typed`.
pub struct ReadsNumbers;

impl Way for ReadsNumbers {
    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Text(text) => {
                text.parse::<i64>().map_or_else(|_| Self::shown(text).into(), Value::from)
            }
            Said::Bool(yes) => yes.into(),
            Said::Signed(whole) => Self::whole(whole, said),
            Said::Unsigned(whole) => Self::whole(i128::try_from(whole).unwrap_or(i128::MAX), said),
            Said::Real(real) if real.is_finite() => real.into(),
            _ => Self::text(said).into(),
        }
    }
}

/// `Value::from(f64::NAN)` is `null`. Of three odd numbers nobody knows any more which it was.
/// Rejected by `odd_numbers`.
pub struct NanIsNull;

impl Way for NanIsNull {
    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Bool(yes) => yes.into(),
            Said::Signed(whole) => Self::whole(whole, said),
            Said::Unsigned(whole) => Self::whole(i128::try_from(whole).unwrap_or(i128::MAX), said),
            Said::Real(real) => real.into(),
            _ => Self::text(said).into(),
        }
    }
}

/// Numbers are written as they print themselves. `NaN` is how a division by zero prints itself, and no
/// JSON. Rejected by `odd_numbers`.
pub struct NanIsNan;

impl Way for NanIsNan {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let line = <Right as Way>::object(event, message, fields);
        line.replace("\"NaN\"", "NaN").replace("\"inf\"", "inf").replace("\"-inf\"", "-inf")
    }
}

/// The object as it should be.
struct Right;

impl Way for Right {}

/// JSON has no largest number. Its readers have: 9007199254740993 is 9007199254740992 in a browser,
/// and the order of that id is another. Rejected by `odd_numbers`.
pub struct JustNumbers;

impl Way for JustNumbers {
    fn whole(whole: i128, said: Said<'_>) -> Value {
        let (signed, unsigned) = (i64::try_from(whole), u64::try_from(whole));
        match (signed, unsigned) {
            (Ok(signed), _) => signed.into(),
            (_, Ok(unsigned)) => unsigned.into(),
            _ => Self::text(said).into(),
        }
    }
}

/// All numbers are `f64`, as in JavaScript. Rejected by `odd_numbers`.
pub struct Rounds;

impl Way for Rounds {
    #[allow(clippy::cast_precision_loss)]
    fn whole(whole: i128, _: Said<'_>) -> Value {
        match whole as f64 {
            small if small.abs() < 1e15 => i64::try_from(whole).unwrap_or_default().into(),
            large => format!("{large:.0}").into(),
        }
    }
}

/// `as i64`, since what is larger does not come up. Rejected by `odd_numbers`.
pub struct Wraps;

impl Way for Wraps {
    #[allow(clippy::cast_possible_truncation)]
    fn whole(whole: i128, _: Said<'_>) -> Value {
        match whole as i64 {
            small if small.unsigned_abs() < 1 << 53 => small.into(),
            large => large.to_string().into(),
        }
    }
}

/// serde escapes what JSON wants escaped, which is what is below U+0020. U+2028 and U+009B are not.
/// Rejected by `no_second_line`.
pub struct JustJson;

impl Way for JustJson {
    fn escaped(json: String) -> String {
        json
    }
}

/// Escapes what ends a line. What colours a terminal, wipes it, or turns the text around is left.
/// Rejected by `no_second_line`.
pub struct LineEndsOnly;

impl Way for LineEndsOnly {
    fn escaped(json: String) -> String {
        escaped(&json, |c| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
    }
}

/// Takes out what it does not like. The text that is read is another than was written, and two names
/// can become one. Rejected by `no_second_line`.
pub struct Strips;

impl Way for Strips {
    fn shown(text: &str) -> String {
        let text: String = text.chars().filter(|c| !is_unruly(*c)).collect();
        let clean = Self::cleaned(&text);
        if text.len() <= LONGEST { clean } else { cut(&clean) }
    }
}

/// The fields beside level and message, as it looks nicer. `level = "TRACE"` is then the level.
/// Rejected by `own_names`.
pub struct Flattened;

impl Way for Flattened {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let line = <Right as Way>::object(event, message, Map::new());
        let mut line: Map<String, Value> = serde_json::from_str(&line).unwrap_or_default();
        line.extend(fields);
        Value::from(line).to_string()
    }
}

/// Whatever is called `message` is the message, and the last one wins. Rejected by `own_names`.
pub struct LastMessage;

impl Way for LastMessage {
    fn line(event: &Raised<'_>) -> Option<String> {
        let (mut message, mut fields) = (String::new(), Map::new());
        event.each(&mut |name, said| {
            if name == "message" {
                message = Self::message(said);
            } else if Self::hides(name, &said) {
                fields.insert(name.to_owned(), Self::hidden(&said));
            } else {
                fields.insert(name.to_owned(), Self::value(said));
            }
        });
        Some(Self::escaped(Self::object(event, message, fields)) + "\n")
    }
}

/// The message is what `format_args!` made, so it comes by `record_debug`. `message = "placed"` comes by
/// `record_str`, and then the line has none. Rejected by `one_object`.
pub struct OnlyFormatted;

impl Way for OnlyFormatted {
    fn line(event: &Raised<'_>) -> Option<String> {
        let (mut message, mut fields) = (None, Map::new());
        event.each(&mut |name, said| {
            let is_formatted = matches!(said, Said::Debug(_));
            if name == "message" && is_formatted && message.is_none() {
                message = Some(Self::message(said));
            } else if Self::hides(name, &said) {
                fields.insert(name.to_owned(), Self::hidden(&said));
            } else {
                fields.insert(name.to_owned(), Self::value(said));
            }
        });
        let line = Self::object(event, message.unwrap_or_default(), fields);
        Some(Self::escaped(line) + "\n")
    }
}

/// Half the digits, as nobody needs seventeen. 0.1 is 0.10000000149011612 then, and the sum of a day is
/// not that of the till. Rejected by `typed`.
pub struct Narrows;

impl Way for Narrows {
    #[allow(clippy::cast_possible_truncation)]
    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Real(real) if real.is_finite() => f64::from(real as f32).into(),
            _ => <Right as Way>::value(said),
        }
    }
}

/// 2⁵³ is exact: `f64` carries it. It carries 2⁵³ + 1 as the same number, so who reads one does not know
/// which of the two it was. Rejected by `odd_numbers`.
pub struct OneTooFar;

impl Way for OneTooFar {
    fn whole(whole: i128, said: Said<'_>) -> Value {
        match i64::try_from(whole) {
            Ok(small) if small.unsigned_abs() == 1 << 53 => small.into(),
            _ => <Right as Way>::whole(whole, said),
        }
    }
}

/// Escapes what somebody has shown it: U+202E turns the text around. So do eleven others. Rejected by
/// `no_second_line`.
pub struct TheFamousOnes;

impl Way for TheFamousOnes {
    fn escaped(json: String) -> String {
        escaped(&json, |c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}'))
    }
}

/// Escapes what the event says. The id of the request is the service's own, and was taken over from a
/// header. Rejected by `no_second_line`.
pub struct TrustsTheId;

impl Way for TrustsTheId {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let line = <Right as Way>::object(event, message, fields);
        let line = <Right as Way>::escaped(line);
        let Some(id) = event.request_id else { return line };
        let plain = Value::from(POLICY.text(id)).to_string();
        line.replace(&escaped(&plain, is_unruly), &plain)
    }

    fn escaped(json: String) -> String {
        json
    }
}

/// An array on the stack, of sixteen, so that a line costs no memory. The seventeenth field is the one
/// that was added for this incident. Rejected by `one_object`.
pub struct OnlySixteen;

impl Way for OnlySixteen {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let fields = fields.into_iter().take(16).collect();
        <Right as Way>::object(event, message, fields)
    }
}
