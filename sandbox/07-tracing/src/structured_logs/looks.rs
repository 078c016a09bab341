//! What is a secret by its look, whatever it is called.

use super::cards;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// All letters count, not the English ones alone, and `@` may be escaped, as in a URL.
static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"[\w.%+'\-]+(?:@|%40)[\w\-]+(?:\.[\w\-]+)*\.\p{L}[\w\-]*"));

/// `{"` is `eyJ` in base64: so begins every JSON Web Token, whole or cut.
static JWT: LazyLock<Regex> = LazyLock::new(|| regex(r"eyJ[\w\-]{10,}(?:\.[\w\-]*){0,4}"));

/// RFC 6750, section 2.1.
static BEARER: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\bbearer\s+([\w.~+/\-]+=*)"));

/// Up to the last `@`: passwords have them, too.
static USERINFO: LazyLock<Regex> = LazyLock::new(|| regex(r#"://([^\s/?#"'<>]+)@"#));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test compiles")
}

// ANCHOR: looks
/// Adds the places of what looks like a secret. Most texts have none, and of those each line looks
/// only for one rare character.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    cards::find(text, found);
    let mut users = Vec::new();
    if text.contains("://") && text.contains('@') {
        let captures = USERINFO.captures_iter(text).filter_map(|url| url.get(1));
        users.extend(captures.map(|user| user.range()));
    }
    if text.contains('@') || text.contains("%40") {
        let emails = EMAIL.find_iter(text).map(|email| email.range());
        // `hunter2@db.example` in a URL: where the database is may be told.
        let is_user = |start: usize| users.iter().any(|user| user.contains(&start));
        found.extend(emails.filter(|email| !is_user(email.start)));
    }
    found.append(&mut users);
    if text.contains("eyJ") {
        found.extend(JWT.find_iter(text).map(|token| token.range()));
    }
    if text.contains("earer") || text.contains("EARER") {
        let tokens = BEARER.captures_iter(text).filter_map(|bearer| bearer.get(1));
        found.extend(tokens.filter(|token| is_token(token.as_str())).map(|token| token.range()));
    }
}

/// "bearer authentication" is a sentence, and no token.
fn is_token(word: &str) -> bool {
    word.len() >= 20 || word.contains(|c: char| c.is_ascii_digit())
}
// ANCHOR_END: looks
