//! What must not be in a log, and what stands there instead.

use super::{CUT, LONGEST, REDACTED, looks, names};
use std::borrow::Cow;
use std::ops::Range;

/// What is hidden: by the name of a field, and by the look of a text.
///
/// ```
/// use observability::structured_logs::Policy;
///
/// let policy = Policy::standard().and("tax_number");
/// assert!(policy.hides("customer.taxNumber") && policy.hides("email"));
/// assert!(!policy.hides("customer_id"));
/// let text = policy.text("4111 1111 1111 1111 was declined for anna@example.org");
/// assert_eq!(text, "[redacted] was declined for [redacted]");
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    /// In small letters, without what is between words.
    names: Vec<String>,
    looks: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::standard()
    }
}

// ANCHOR: policy
impl Policy {
    /// Hides what is named in `SECRETS`, and what looks like an email address, a card number, a token
    /// or the password of a URL. The contract has the details.
    pub fn standard() -> Policy {
        let names = names::SECRETS.iter().map(|name| names::joined(name)).collect();
        Policy { names, looks: true }
    }

    /// Hides nothing: for a test's own log, or to measure what hiding costs.
    pub fn none() -> Policy {
        Policy { names: Vec::new(), looks: false }
    }

    /// Hides what has this name as well.
    pub fn and(mut self, name: &str) -> Policy {
        self.names.push(names::joined(name));
        self
    }

    /// No longer hides what has this name, unless it looks like a secret.
    pub fn except(mut self, name: &str) -> Policy {
        let name = names::joined(name);
        self.names.retain(|known| *known != name);
        self
    }

    /// Whether a field of this name is a secret, whatever its value.
    pub fn hides(&self, name: &str) -> bool {
        names::is_one_of(name, &self.names)
    }

    /// `text` without its secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let secrets = self.secrets(text);
        if secrets.is_empty() { text.into() } else { without(text, text.len(), &secrets).into() }
    }

    /// `text` without its secrets, up to [`LONGEST`].
    ///
    /// Secrets are looked for first, and a little farther than what is shown. The other way round,
    /// half a secret is left at the cut, which no longer looks like one.
    pub(super) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.len() <= LONGEST {
            return self.text(text);
        }
        let text = &text[..text.floor_char_boundary(FAR)];
        let end = text.floor_char_boundary(LONGEST);
        (without(text, end, &self.secrets(text)) + CUT).into()
    }

    fn secrets(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.looks {
            looks::find(text, &mut found);
        }
        if !self.names.is_empty() {
            names::find(text, |name| self.hides(name), &mut found);
        }
        found.sort_by_key(|secret| secret.start);
        found
    }
}

/// So many bytes of a text are looked at: a secret at the cut is seen whole.
pub(super) const FAR: usize = LONGEST + 1_024;

/// `text` up to `end`, but for what is in `secrets`, which may overlap.
fn without(text: &str, end: usize, secrets: &[Range<usize>]) -> String {
    let (mut out, mut at) = (String::with_capacity(end), 0);
    for secret in secrets.iter().filter(|secret| secret.start < end) {
        if secret.start >= at {
            out.push_str(&text[at..secret.start]);
            out.push_str(REDACTED);
        }
        at = at.max(secret.end);
    }
    out.push_str(text.get(at..end).unwrap_or_default());
    out
}
// ANCHOR_END: policy
