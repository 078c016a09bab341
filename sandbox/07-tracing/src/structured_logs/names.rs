//! What is a secret by its name: of a field, and of what a text shows of a struct, of JSON, of a
//! query or of a header.

use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What is called so is a secret.
pub const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "access_key",
    "account_key",
    "private_key",
    "credential",
    "authorization",
    "cookie",
    "session_id",
    "email",
    "phone",
    "address",
    "addresses",
    "birthday",
    "card",
    "cvc",
    "cvv",
    "pin",
    "iban",
    "account_number",
];

/// What ends so only says something about one: `card_id`, `token_type`, `password_length`.
pub const ABOUT: &[&str] = &["id", "type", "kind", "count", "length", "size"];

/// Behind these the whole line is the value.
const HEADERS: &[&str] = &["authorization", "cookie"];

/// A name, which may be in quotes or brackets, and what comes between it and its value: `name: `,
/// `"name":`, `(name)=(` of PostgreSQL, `name(` of a `Debug`, `("name", "` of a pair, `<name>`.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r#"([\p{L}_][\w.\-]*)(?:\\*["'`)\]]?\s*(?:=>|[:=])\s*|\\*["']\s*(,)\s*|(\()|(>))"#;
    Regex::new(pattern).expect("a pattern that a test compiles")
});

/// The words of a name: what is between punctuation, digits and the capitals of `camelCase`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let is_small = |at: Option<usize>| {
            at.and_then(|at| letters.get(at)).is_some_and(|letter| letter.is_lowercase())
        };
        // `userEmail` and `APIKey`: behind a small letter, and before one.
        let begins =
            letter.is_uppercase() && (is_small(at.checked_sub(1)) || is_small(Some(at + 1)));
        if begins || !letter.is_alphabetic() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name without what is between its words: `api_key`, `apiKey` and `APIKEY` are `apikey`.
pub(super) fn joined(name: &str) -> String {
    words(name).concat()
}

// ANCHOR: named
/// Some of its words in a row are one of `names`, which are [`joined`], and it does not end in one of
/// [`ABOUT`]. By words, and not by letters: a microphone is no phone.
pub(super) fn is_one_of(name: &str, names: &[String]) -> bool {
    if names.is_empty() {
        return false;
    }
    let words = words(name);
    let is_about = |rest: &[String]| rest.last().is_some_and(|last| ABOUT.contains(&last.as_str()));
    (0..words.len()).any(|from| {
        let mut part = String::new();
        words[from..].iter().enumerate().any(|(nth, word)| {
            part.push_str(word);
            let one = part.strip_suffix('s').unwrap_or(&part);
            let is_secret = names.iter().any(|name| *name == part || name == one);
            is_secret && !is_about(&words[from + nth + 1..])
        })
    })
}

/// Adds the places of what stands in `text` behind a name that `hides`.
pub(super) fn find(text: &str, hides: impl Fn(&str) -> bool, found: &mut Vec<Range<usize>>) {
    if !text.contains([':', '=', '(', '>']) && !text.contains("\",") {
        return;
    }
    let mut at = 0;
    while let Some(named) = NAMED.captures_at(text, at) {
        let (Some(whole), Some(name)) = (named.get(0), named.get(1)) else { return };
        at = whole.end();
        // `auth::password::check` is where, and not what.
        let is_path = whole.as_str().ends_with(':') && text[at..].starts_with(':');
        if is_path || !hides(name.as_str()) {
            continue;
        }
        let rest = &text[at..];
        let value = match (named.get(2), named.get(3), named.get(4)) {
            // Of a list of names none is the value of another.
            (Some(_), ..) if !rest.trim_start_matches('\\').starts_with(['"', '\'']) => continue,
            (_, Some(_), _) => at - 1..bare_end(text, at - 1),
            (_, _, Some(_)) => at..rest.find('<').map_or(text.len(), |end| at + end),
            _ => value(text, at, is_header(name.as_str())),
        };
        at = value.end.max(at);
        if !value.is_empty() {
            found.push(value);
        }
    }
}
// ANCHOR_END: named

fn is_header(name: &str) -> bool {
    words(name).last().is_some_and(|last| HEADERS.contains(&last.as_str()))
}

/// Where the value is that begins at `start`.
fn value(text: &str, start: usize, to_the_end: bool) -> Range<usize> {
    let rest = &text[start..];
    // JSON in a JSON text, or in a `Debug`: \"hunter2\", and deeper in \\\"hunter2\\\".
    let deep = rest.bytes().take_while(|byte| *byte == b'\\').count();
    match rest[deep..].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = start + deep + 1;
            inner..quoted_end(text, inner, quote, deep)
        }
        _ if to_the_end => start..line_end(text, start),
        _ => start..bare_end(text, start),
    }
}

/// Where the line ends that goes on at `start`, or the quotes in which a `Debug` or JSON shows it. Those
/// that open and close within it are its own: `Digest username="anna", response="…"`.
fn line_end(text: &str, start: usize) -> usize {
    let begin = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let mut opened = None;
    for (at, _) in text[begin..start].match_indices('"') {
        let deep = slashes_before(&text[begin..begin + at]);
        opened = match opened {
            None => Some(deep),
            Some(outer) if deep <= outer => None,
            Some(outer) => Some(outer),
        };
    }
    let end = text[start..].find('\n').map_or(text.len(), |end| start + end);
    opened.map_or(end, |deep| quoted_end(text, start, '"', deep).min(end))
}

fn slashes_before(text: &str) -> usize {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count()
}

/// Where the quotes end that were opened with `deep` backslashes before them: where there are no more
/// of them than that.
fn quoted_end(text: &str, start: usize, quote: char, deep: usize) -> usize {
    for (at, _) in text[start..].match_indices(quote) {
        let slashes = slashes_before(&text[start..start + at]);
        if slashes <= deep {
            return start + at - slashes;
        }
    }
    text.len()
}

/// Where a value without quotes ends: with its brackets, or before what separates it from the next.
fn bare_end(text: &str, start: usize) -> usize {
    let (mut open, mut at) = (0_usize, start);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => match open {
                0 => return at,
                1 => return at + 1,
                _ => open -= 1,
            },
            '"' | '\'' if open > 0 => {
                let inner = at + 1;
                let deep = slashes_before(&text[start..at]);
                at = quoted_end(text, inner, c, deep);
                at += text[at..].bytes().take_while(|byte| *byte == b'\\').count();
                if at >= text.len() {
                    return at;
                }
            }
            '"' | '\'' | '\\' | ',' | ';' | '&' if open == 0 => return at,
            // `Address { … }` goes on, and `Bearer …`.
            _ if c.is_whitespace() && open == 0 => {
                let next = &text[at + c.len_utf8()..];
                if next.starts_with(|c: char| c == '{' || c.is_ascii_digit()) {
                    // Its bracket, or the next group of a telephone number.
                } else if is_scheme(&text[start..at]) {
                    let word = next.find(|c: char| c.is_whitespace() || ",;&\"'".contains(c));
                    return word.map_or(text.len(), |end| at + c.len_utf8() + end);
                } else {
                    return at;
                }
            }
            _ => {}
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    text.len()
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "digest"].iter().any(|scheme| scheme.eq_ignore_ascii_case(word))
}
