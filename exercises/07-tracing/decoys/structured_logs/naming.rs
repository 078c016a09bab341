//! Those who know secrets by their names, and do not read names to the end.

use super::hiding::{cleaned_but_for, regex};
use super::right::{POLICY, Way, chain, cut};
use observability::structured_logs::{
    ABOUT, LONGEST, Policy, REDACTED, SECRETS, Said, UNPRINTABLE,
};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

/// The words of a name in snake case.
fn words(name: &str) -> Vec<String> {
    let words = name.split(|c: char| !c.is_alphabetic());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn is_about(word: &str) -> bool {
    ABOUT.contains(&word)
}

/// A list of those that come to mind. A cookie is a session, a passphrase opens the key, and in another
/// team it is called `pwd`. Rejected by `by_name`.
pub struct ThoseThatComeToMind;

impl Way for ThoseThatComeToMind {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        static REST: LazyLock<Policy> = LazyLock::new(|| {
            let forgotten = ["pwd", "passphrase", "cookie", "credential", "cvv", "birthday"];
            forgotten.iter().fold(Policy::standard(), |policy, name| policy.except(name))
        });
        REST.hides(name)
    }
}

/// An id is no secret, so a name with `id` in it is none. `id_token` is who somebody is, signed, and
/// opens every door. Rejected by `by_name`.
pub struct AboutAnywhere;

impl Way for AboutAnywhere {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        let says_about = name != "session_id" && words(name).iter().any(|word| is_about(word));
        POLICY.hides(name) && !says_about
    }
}

/// Splits at what is no letter and no digit, as `\w` would. Then `password2` is one word, and none of
/// the list. Rejected by `by_name`.
pub struct DigitsAreLetters;

impl Way for DigitsAreLetters {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        POLICY.hides(name) && !name.contains(|c: char| c.is_ascii_digit())
    }
}

/// `password_length` is harmless because of the word behind. In `email_address_count` that word is one
/// farther. Rejected by `harmless`.
pub struct OnlyTheNextWord;

impl Way for OnlyTheNextWord {
    fn hides(name: &str, _: &Said<'_>) -> bool {
        let words = words(name);
        let mut pairs = words.windows(2);
        let is_one = pairs.any(|pair| POLICY.hides(&pair[0]) && !is_about(&pair[1]));
        POLICY.hides(name) || is_one
    }
}

/// Reads the names of fields by their words, and those in a text by a pattern. There `token_type` is a
/// token, and every answer of the login is unreadable. Rejected by `harmless`.
pub struct PatternsInTexts;

impl Way for PatternsInTexts {
    fn cleaned(text: &str) -> String {
        static NAMED: LazyLock<regex::Regex> =
            LazyLock::new(|| regex(r#"(?i)(\w*(?:password|token|card|email)\w*"?[:=(] ?)\w+"#));
        let hidden = POLICY.text(text);
        NAMED.replace_all(&hidden, format!("${{1}}{REDACTED}")).into_owned()
    }
}

/// A bare value ends at a space. A telephone number has them, and its second half is the better one.
/// Rejected by `in_a_debug`.
pub struct UpToTheSpace;

impl Way for UpToTheSpace {
    fn cleaned(text: &str) -> String {
        static GROUPS: LazyLock<regex::Regex> = LazyLock::new(|| regex(r" \d+\b"));
        cleaned_but_for(text, &GROUPS)
    }
}

/// Quotes are `"`. A connection string of PostgreSQL has others, and so has YAML. Rejected by
/// `in_a_debug`.
pub struct DoubleQuotesOnly;

impl Way for DoubleQuotesOnly {
    fn cleaned(text: &str) -> String {
        static SINGLE: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\w+='[^']*'"));
        cleaned_but_for(text, &SINGLE)
    }
}

/// A name, and at once what comes between it and its value. The database tells it in brackets: `Key
/// (phone)=(…) already exists`. Rejected by `in_a_debug`.
pub struct NamesWithoutBrackets;

impl Way for NamesWithoutBrackets {
    fn cleaned(text: &str) -> String {
        static KEY: LazyLock<regex::Regex> = LazyLock::new(|| regex(r"\(\w+\)=\([^)]*\)"));
        cleaned_but_for(text, &KEY)
    }
}

/// Knows `Cookie`, which a browser sends, and reads `Set-Cookie` like any other name: up to the first
/// semicolon. Rejected by `in_a_debug`.
pub struct OnlyWhatIsSent;

impl Way for OnlyWhatIsSent {
    fn cleaned(text: &str) -> String {
        static REST: LazyLock<regex::Regex> =
            LazyLock::new(|| regex(r"Set-Cookie: (?P<first>[^;\n]*)(?P<rest>[^\n]*)"));
        let Some(set) = REST.captures(text) else { return POLICY.text(text).into_owned() };
        let (before, after) = (&text[..set.get(0).map_or(0, |all| all.start())], &set["rest"]);
        format!("{}Set-Cookie: {REDACTED}{after}", POLICY.text(before))
    }
}

/// Errors are looked through for what looks like a secret. That they name one as well, and tell it,
/// was not thought of: the database does. Rejected by `in_an_error`.
pub struct ErrorsByLook;

impl Way for ErrorsByLook {
    fn error(error: &(dyn Error + 'static)) -> String {
        static LOOKS: LazyLock<Policy> = LazyLock::new(|| {
            SECRETS.iter().fold(Policy::standard(), |policy, name| policy.except(name))
        });
        let told = catch_unwind(AssertUnwindSafe(|| chain(error)));
        told.map_or(UNPRINTABLE.to_owned(), |told| cut_if_long(&LOOKS.text(&told)))
    }
}

fn cut_if_long(text: &str) -> String {
    if text.len() <= LONGEST { text.to_owned() } else { cut(text) }
}
