//! What is wrong with a document, where, and what is allowed there.

use serde_json::Value;
use std::fmt::{self, Display};

/// A document that cannot be taken. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if pointer.is_empty() { String::new() } else { format!("{pointer}: ") })]
pub struct Invalid {
    /// Where: a JSON pointer (RFC 6901), such as `/flags/fault.payment/state`. Empty for the whole.
    pub pointer: String,
    /// What, and what is allowed instead.
    pub problem: String,
}

/// A place in a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'a str,
}

impl At<'static> {
    pub(crate) const ROOT: Self = Self { parent: None, name: "" };
}

impl<'a> At<'a> {
    pub(crate) fn child(&'a self, name: &'a str) -> At<'a> {
        At { parent: Some(self), name }
    }

    pub(crate) fn invalid(&self, problem: impl Display) -> Invalid {
        Invalid { pointer: self.to_string(), problem: problem.to_string() }
    }

    /// Of something that has a name, and this is none of them.
    pub(crate) fn unknown<'b>(
        &self,
        what: &str,
        name: &str,
        allowed: impl IntoIterator<Item = &'b str>,
    ) -> Invalid {
        let allowed: Vec<_> = allowed.into_iter().collect();
        let near = nearest(name, &allowed).map(|near| format!(" did you mean `{near}`?"));
        self.invalid(format!(
            "there is no {what} `{name}`;{} allowed: {}",
            near.unwrap_or_default(),
            list(&allowed)
        ))
    }

    /// Of a value that should have been something else.
    pub(crate) fn wrong(&self, found: &Value, wanted: impl Display) -> Invalid {
        let mut found = found.to_string();
        if found.chars().count() > 40 {
            found = found.chars().take(37).chain("...".chars()).collect();
        }
        self.invalid(format!("{found} is not {wanted}"))
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        write!(f, "{parent}/{}", self.name.replace('~', "~0").replace('/', "~1"))
    }
}

/// Names as a sentence lists them.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name that was probably meant: at most a third of its letters are wrong.
fn nearest<'a>(name: &str, among: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &&'a str| strsim::osa_distance(name, other);
    let near = among.iter().copied().min_by_key(distance)?;
    (distance(&near) * 3 <= near.chars().count()).then_some(near)
}
