//! The key as it comes over HTTP.

/// Longer ones are refused: a key is a name, and stands in an index. As long as Stripe's may be.
const LONGEST: usize = 255;

/// What came in the header `Idempotency-Key` is no key. The answer is 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be a string in quotes, of 1 to {LONGEST} letters: \"8e03978e-40d5\"")]
pub struct InvalidKey;

/// Reads the value of the header `Idempotency-Key`. By the draft it is a String of [RFC
/// 9651](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.3): in quotes, printable ASCII, and `\`
/// only before a quote or another `\`. No parameters are defined for it, and none are taken.
///
/// A value without quotes, as many clients send it, is refused. To take `abc` for `"abc"` is well
/// meant, and two keys for one.
///
/// # Errors
/// [`InvalidKey`]; also for an empty key, which would be the same for everybody who forgot it.
pub fn key(value: &str) -> Result<String, InvalidKey> {
    let inner = value.trim_matches(' ').strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut letters = inner.ok_or(InvalidKey)?.chars();
    let mut key = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('"' | '\\')) => key.push(escaped),
                _ => return Err(InvalidKey),
            },
            '"' => return Err(InvalidKey),
            ' '..='~' => key.push(letter),
            _ => return Err(InvalidKey),
        }
    }
    match key.len() {
        1..=LONGEST => Ok(key),
        _ => Err(InvalidKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_in_quotes() {
        assert_eq!(key("\"8e03978e-40d5\"").unwrap(), "8e03978e-40d5");
        assert_eq!(key(" \"a \\\"b\\\" \\\\c\" ").unwrap(), "a \"b\" \\c");
        assert_eq!(key(&format!("\"{}\"", "k".repeat(255))).unwrap().len(), 255);
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = format!("\"{}\"", "k".repeat(256));
        for value in [
            "",
            "\"",
            "\"\"",
            "abc",
            "'abc'",
            "\"abc",
            "abc\"",
            "\"a\"b\"",
            "\"a\\b\"",
            "\"a\\\"",
            "\"ä\"",
            "\"a\tb\"",
            "\"a\";p=1",
            "\"a\", \"b\"",
            &long,
        ] {
            assert_eq!(key(value), Err(InvalidKey), "{value}");
        }
    }
}
