//! What all of them are put together from, besides their parts.

use super::*;

pub(super) fn lease_of(saga: &str, id: &str) -> String {
    format!("saga:{saga}:{id}")
}

pub(super) fn rest<C>(saga: &Saga<C>, entries: &[Entry]) -> Result<Option<Outcome>, Error> {
    Ok(match saga.next(entries)? {
        Next::Rest(outcome) => Some(outcome),
        Next::Act(_) | Next::Compensate(_) => None,
    })
}

pub(super) fn no_lease(error: lease::Error) -> Error {
    match error {
        lease::Error::Busy(_) => Error::Driven,
        error => Error::Lease(error),
    }
}

pub(super) fn fenced(at: Place<'_>) -> Error {
    let token = at.token as u64;
    journal::Error::Fenced { token, newest: token + 1 }.into()
}

pub(super) fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("nothing here that JSON has no words for")
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| journal::Error::Unreadable(e.to_string()).into())
}
