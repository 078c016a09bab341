//! Those who know secrets by their look, and have not seen all of them.

use super::hiding::{cleaned_but_for, regex};
use super::right::{POLICY, Way};
use observability::structured_logs::{REDACTED, Raised, Said};
use regex::Captures;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// By whom a request was made stands in its id, in some shops: as an address. What comes by a header is
/// a text like others. Rejected by `emails`.
pub struct TakesIdsAsTheyAre;

impl Way for TakesIdsAsTheyAre {
    fn object(event: &Raised<'_>, message: String, fields: Map<String, Value>) -> String {
        let line = <Right as Way>::object(event, message, fields);
        let Some(id) = event.request_id else { return line };
        let hidden = Value::from(POLICY.text(id)).to_string();
        line.replace(&hidden, &Value::from(id).to_string())
    }
}

/// The rest as it should be.
struct Right;

impl Way for Right {}

/// Visa, Mastercard, American Express, by a table from 2010. Since 2017 Mastercard's begin with 2 as
/// well. Rejected by `cards`.
pub struct OldTables;

impl Way for OldTables {
    fn cleaned(text: &str) -> String {
        static NEW: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\b2\d{15}\b"));
        cleaned_but_for(text, &NEW)
    }
}

/// Looks at numbers that are written as numbers. One of 19 digits is written as a text, by another
/// branch. Rejected by `cards`.
pub struct LargeAsTheyAre;

impl Way for LargeAsTheyAre {
    fn whole(whole: i128, said: Said<'_>) -> Value {
        match said {
            Said::Signed(large) if large.unsigned_abs() >= 1 << 53 => large.to_string().into(),
            Said::Unsigned(large) if large >= 1 << 53 => large.to_string().into(),
            _ => <Right as Way>::whole(whole, said),
        }
    }
}

/// Looks at `u64`, as nothing owes a card. Rows of a database have `i64`. Rejected by `cards`.
pub struct UnsignedOnly;

impl Way for UnsignedOnly {
    fn value(said: Said<'_>) -> Value {
        match said {
            Said::Signed(whole) => match i64::try_from(whole) {
                Ok(small) if small.unsigned_abs() < 1 << 53 => small.into(),
                _ => Self::text(said).into(),
            },
            _ => <Right as Way>::value(said),
        }
    }
}

/// Luhn's sum, from the right.
fn adds_up(digits: &str) -> bool {
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |(nth, digit): (usize, &u32)| match digit * if nth % 2 == 1 { 2 } else { 1 } {
        large if large > 9 => large - 9,
        small => small,
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

fn also(text: &str, cards: &regex::Regex) -> String {
    let hidden = POLICY.text(text);
    let one = |card: &Captures<'_>| match adds_up(&card[0]) {
        true => REDACTED.to_owned(),
        false => card[0].to_owned(),
    };
    cards.replace_all(&hidden, one).into_owned()
}

/// The check digit is enough. It is right for one in ten of all numbers: of timestamps as well, which
/// are in each line. Rejected by `harmless`.
pub struct AnyFirstDigit;

impl Way for AnyFirstDigit {
    fn cleaned(text: &str) -> String {
        static CARD: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\b\d{13,19}\b"));
        also(text, &CARD)
    }
}

/// `(?:\d[ -]?){13,19}`, which is found everywhere, and finds a card however it is written. Two dates
/// beside each other are sixteen digits, too. Rejected by `harmless`.
pub struct AnyGroups;

impl Way for AnyGroups {
    fn cleaned(text: &str) -> String {
        static CARD: LazyLock<regex::Regex> =
            LazyLock::new(|| regex(r"\b[2-6][ -]?(?:\d[ -]?){11,17}\d\b"));
        also(text, &CARD)
    }
}

/// A card begins where a word begins, and ends after its digits. A digest goes on there, and who looks
/// for it finds nothing. Rejected by `harmless`.
pub struct GoesOn;

impl Way for GoesOn {
    fn cleaned(text: &str) -> String {
        static CARD: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\b[2-6]\d{15}"));
        also(text, &CARD)
    }
}

/// A token has a digit in it, or `bearer authentication` would be one. Of 20 letters, one in thirty has
/// none. Rejected by `credentials`.
pub struct TokensHaveDigits;

impl Way for TokensHaveDigits {
    fn cleaned(text: &str) -> String {
        static LETTERS: LazyLock<regex::Regex> =
            LazyLock::new(|| regex(r"(?i:bearer) [A-Za-z._~+/-]+(?:\s|$)"));
        cleaned_but_for(text, &LETTERS)
    }
}

/// A JWT is three parts with dots between, as its page says. An encrypted one has five, and the last
/// two are left. Rejected by `credentials`.
pub struct ThreeParts;

impl Way for ThreeParts {
    fn cleaned(text: &str) -> String {
        static MORE: LazyLock<regex::Regex> =
            LazyLock::new(|| regex(r"(eyJ[\w-]+\.[\w-]*\.[\w-]+)((?:\.[\w-]+){2})"));
        match MORE.captures(text) {
            Some(five) => text.replace(&five[1], REDACTED),
            None => POLICY.text(text).into_owned(),
        }
    }
}

/// What follows a comma is a fraction, in half of Europe. It is the next field of a row, too, and the
/// next number of a list. Rejected by `cards`.
pub struct CommasArePoints;

impl Way for CommasArePoints {
    fn cleaned(text: &str) -> String {
        static FRACTION: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\b\d+,\d+"));
        cleaned_but_for(text, &FRACTION)
    }
}
