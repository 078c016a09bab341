//! Those who hide too little, or too much.

use super::right::{POLICY, Way};
use observability::structured_logs::{REDACTED, SECRETS, Said};
use regex::Regex;
use serde_json::Value;
use std::error::Error;
use std::ops::Range;
use std::sync::LazyLock;

pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// What is secret in a text, with the words that a policy puts there, but for what `leaves` matches.
pub(super) fn cleaned_but_for(text: &str, leaves: &Regex) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for left in leaves.find_iter(text) {
        out += &POLICY.text(&text[at..left.start()]);
        out += left.as_str();
        at = left.end();
    }
    out + &POLICY.text(&text[at..])
}

fn replaced(text: &str, places: impl Iterator<Item = Range<usize>>) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for place in places {
        out += &text[at..place.start];
        out += REDACTED;
        at = place.end;
    }
    out + &text[at..]
}

/// A list of names, and `==`. Nobody calls it exactly that: it is `user_password` here and
/// `X-Api-Key` there. Rejected by `by_name`.
pub struct ExactNames;

impl Way for ExactNames {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        SECRETS.contains(&name)
    }
}

/// Names are small letters with underscores, as in Rust. They are not in headers, and not in what came
/// from JavaScript. Rejected by `by_name`.
pub struct SmallLetters;

impl Way for SmallLetters {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        !name.contains(|c: char| c.is_uppercase()) && POLICY.hides(name)
    }
}

/// Knows all spellings, and looks only at the whole name. `user.email` is an `email` of somebody's.
/// Rejected by `by_name`.
pub struct TopOnly;

impl Way for TopOnly {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        !name.contains('.') && POLICY.hides(name)
    }
}

/// Secrets are texts. A PIN is a number, and an address a struct. Rejected by `by_name`.
pub struct TextsOnly;

impl Way for TextsOnly {
    fn hides(name: &str, said: &Said<'_>) -> bool {
        matches!(said, Said::Text(_) | Said::Debug(_)) && POLICY.hides(name)
    }
}

/// A star for each character. So the length is told, and of a PIN or a short password that is much.
/// Rejected by `by_name`.
pub struct Stars;

impl Way for Stars {
    fn hidden(said: &Said<'_>) -> Value {
        match said {
            Said::Text(text) => "*".repeat(text.chars().count()).into(),
            _ => "****".into(),
        }
    }
}

/// The name contains "card". So does `discarded`, and every shop that sells microphones looks for
/// their number. Rejected by `harmless`.
pub struct NamesByLetters;

impl Way for NamesByLetters {
    fn hides(name: &str, said: &Said<'_>) -> bool {
        let small: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        let is_secret = SECRETS.iter().any(|secret| small.contains(&secret.replace('_', "")));
        POLICY.hides(name) || is_secret && !matches!(said, Said::Debug(_)) && !small.ends_with("id")
    }
}

/// To be safe, whatever is about a person or a card is hidden, ids included. The support cannot find
/// anybody any more, and asks for a log without this. Rejected by `harmless`.
pub struct HidesIds;

impl Way for HidesIds {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        POLICY.hides(name) || name.ends_with("_id")
    }
}

/// Sixteen digits are a card. They are an order number as well, and a timestamp, and those were what
/// somebody looked for. Rejected by `harmless`.
pub struct AnySixteenDigits;

impl Way for AnySixteenDigits {
    fn cleaned(text: &str) -> String {
        static CARD: LazyLock<Regex> = LazyLock::new(|| regex(r"\b(?:\d{4}[ -]?){3}\d{4}\b"));
        POLICY.text(&CARD.replace_all(text, REDACTED)).into_owned()
    }
}

/// Where something is found, the whole text goes. What happened goes with it. Rejected by `emails`.
pub struct TheWholeText;

impl Way for TheWholeText {
    fn cleaned(text: &str) -> String {
        if POLICY.text(text) == text { text.to_owned() } else { REDACTED.to_owned() }
    }
}

/// Looks at the message, where people write what they should not. They write it into fields as well.
/// Rejected by `emails`.
pub struct MessageOnly;

impl Way for MessageOnly {
    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Text(text) => text.into(),
            _ => Self::text(said).into(),
        }
    }
}

/// Looks at fields, which is where values are. A message is a text of the program's own, and
/// `format!`ted. Rejected by `emails`.
pub struct FieldsOnly;

impl Way for FieldsOnly {
    fn message(said: Said<'_>) -> String {
        match said {
            Said::Text(text) => text.to_owned(),
            Said::Debug(value) => format!("{value:?}"),
            _ => Self::text(said),
        }
    }
}

/// `replace` where it had to be `replace_all`. Rejected by `emails`.
pub struct FirstOnly;

impl Way for FirstOnly {
    fn cleaned(text: &str) -> String {
        static EMAIL: LazyLock<Regex> = LazyLock::new(|| regex(r"[\w.+-]+@[\w-]+\.[\w.-]+"));
        match EMAIL.find(text) {
            Some(email) => replaced(text, [email.range()].into_iter()),
            None => POLICY.text(text).into_owned(),
        }
    }
}

/// `[a-z0-9.]+@[a-z0-9.]+`, as it stands in the first answer that a search gives. The world has more
/// letters, and of `müller@…` the first is left. Rejected by `emails`.
pub struct EnglishOnly;

impl Way for EnglishOnly {
    fn cleaned(text: &str) -> String {
        static EMAIL: LazyLock<Regex> =
            LazyLock::new(|| regex(r"(?i)[a-z0-9._%+-]+(?:@|%40)[a-z0-9.-]+\.[a-z]{2,}"));
        let places = EMAIL.find_iter(text).map(|email| email.range());
        let without = replaced(text, places);
        match without.contains('@') && !text.contains("://") {
            true => without,
            false => POLICY.text(&without).into_owned(),
        }
    }
}

/// Sixteen digits in a row. People write cards as they are printed: in groups. Rejected by `cards`.
pub struct DigitsInARow;

impl Way for DigitsInARow {
    fn cleaned(text: &str) -> String {
        static GROUPS: LazyLock<Regex> =
            LazyLock::new(|| regex(r"\d{4}[ -]\d{4,6}[ -]\d{4,5}(?:[ -]\d{4})?"));
        cleaned_but_for(text, &GROUPS)
    }
}

/// Cards have sixteen digits. American Express has fifteen, and others thirteen to nineteen. Rejected
/// by `cards`.
pub struct SixteenDigits;

impl Way for SixteenDigits {
    fn cleaned(text: &str) -> String {
        static OTHERS: LazyLock<Regex> =
            LazyLock::new(|| regex(r"\b(?:\d{4} \d{6} \d{5}|\d{13}|\d{15}|\d{19})\b"));
        cleaned_but_for(text, &OTHERS)
    }
}

/// Looks at texts. `paid_with = 4111111111111111` is a number. Rejected by `cards`.
pub struct CardsInTextOnly;

impl Way for CardsInTextOnly {
    fn whole(whole: i128, _: Said<'_>) -> Value {
        match i64::try_from(whole) {
            Ok(small) if whole.abs() < 1 << 53 => small.into(),
            _ => whole.to_string().into(),
        }
    }
}

/// A connection string is configuration, and no personal data. It is in every error that says where
/// the database is not. Rejected by `credentials`.
pub struct LeavesUrls;

impl Way for LeavesUrls {
    fn cleaned(text: &str) -> String {
        static URL: LazyLock<Regex> = LazyLock::new(|| regex(r"\w+://\S+"));
        cleaned_but_for(text, &URL)
    }
}

/// Emails and cards are what the law names. A token is both for as long as it is valid. Rejected by
/// `credentials`.
pub struct LeavesTokens;

impl Way for LeavesTokens {
    fn cleaned(text: &str) -> String {
        static TOKEN: LazyLock<Regex> =
            LazyLock::new(|| regex(r"(?i:bearer )\S+|eyJ[\w-]+(?:\.[\w-]+)*"));
        cleaned_but_for(text, &TOKEN)
    }
}

/// `#[derive(Debug)]` on the request, and `?request` in the log. A password looks like nothing: it can
/// only be known by its name, and that is in the text. Rejected by `in_a_debug`.
pub struct LooksOnly;

impl Way for LooksOnly {
    fn cleaned(text: &str) -> String {
        // No name is left before a value.
        let mut out = String::new();
        for part in text.split_inclusive([':', '=', '(']) {
            // What needs a colon is looked for in the whole.
            out += &POLICY.text(part.trim_end_matches([':', '=', '(']));
            out.extend(part.chars().last().filter(|last| ":=(".contains(*last)));
        }
        if text.contains("://") { POLICY.text(text).into_owned() } else { out }
    }
}

/// Knows how JSON writes `"password":"…"`. `Debug` leaves the first quotes out. Rejected by
/// `in_a_debug`.
pub struct JsonOnly;

impl Way for JsonOnly {
    fn cleaned(text: &str) -> String {
        static DEBUG: LazyLock<Regex> = LazyLock::new(|| regex(r#"\b(\w+: )("(?:[^"\\]|\\.)*")"#));
        cleaned_but_for(text, &DEBUG)
    }
}

/// `password: "?\S+`. Passwords are sentences these days, and streets always were. Rejected by
/// `in_a_debug`.
pub struct OnlyTheFirstWord;

impl Way for OnlyTheFirstWord {
    fn cleaned(text: &str) -> String {
        static NAMED: LazyLock<Regex> = LazyLock::new(|| {
            regex(r#"(?i)(?:password|address|phone|email|pin|token|card)"?[:=(] ?"?[^\s,;&]+"#)
        });
        let hidden = NAMED.replace_all(text, REDACTED);
        if hidden == text { POLICY.text(text).into_owned() } else { hidden.into_owned() }
    }
}

/// Errors are the program's own words. They repeat what they were given: an address, a URL, a whole
/// row of the database. Rejected by `in_an_error`.
pub struct ErrorsAsTheyAre;

impl Way for ErrorsAsTheyAre {
    fn error(error: &(dyn Error + 'static)) -> String {
        super::right::chain(error)
    }
}

/// `error.to_string()`, which says that checkout failed. Why is in its source. Rejected by
/// `in_an_error`.
pub struct OnlyTheError;

impl Way for OnlyTheError {
    fn error(error: &(dyn Error + 'static)) -> String {
        Self::shown(&error.to_string())
    }
}
