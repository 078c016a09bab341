//! A value that does not tell itself.

use serde::Deserialize;
use std::fmt;

/// A value that is used and never shown: a password, a key.
///
/// `#[derive(Debug)]` on a struct is how most secrets reach a log: it prints every field, also the one
/// that is added next year. In a `Secret` it prints `Secret`. There is no `Display` and no
/// `Serialize`, so that whoever wants to show it has to say [`expose`](Secret::expose), which a review
/// can search for. Configuration can be read into one.
///
/// ```
/// use observability::structured_logs::Secret;
///
/// #[derive(Debug)]
/// struct SignIn { name: &'static str, password: Secret<String> }
///
/// let anna = SignIn { name: "anna", password: Secret::new("hunter2".to_owned()) };
/// assert_eq!(format!("{anna:?}"), r#"SignIn { name: "anna", password: Secret }"#);
/// assert_eq!(anna.password.expose(), "hunter2");
/// ```
///
/// ```compile_fail,E0277
/// println!("{}", observability::structured_logs::Secret::new("hunter2"));
/// ```
///
/// ```compile_fail,E0277
/// serde_json::to_string(&observability::structured_logs::Secret::new("hunter2"));
/// ```
///
/// It guards against being shown, and nothing else: it does not wipe memory, and to compare two in
/// constant time is the work of whoever checks passwords.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// From now on it is one.
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value. This is the one way out.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Secret<T> {
        Secret(value)
    }
}
