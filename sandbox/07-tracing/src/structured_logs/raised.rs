//! An event, as the program raises it.

use std::error::Error;
use std::fmt::{self, Debug};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// An event, before anybody has looked at its values.
pub struct Raised<'a> {
    /// When, in UTC, as RFC 3339 has it.
    pub timestamp: &'a str,
    /// How grave it is.
    pub level: Level,
    /// Where from: the module, if the program says nothing else.
    pub target: &'a str,
    /// For which request, if for one.
    pub request_id: Option<&'a str>,
    event: &'a Event<'a>,
}

/// A value, by its type.
#[derive(Clone, Copy)]
pub enum Said<'a> {
    /// `name = "anna"`
    Text(&'a str),
    /// `paid = true`
    Bool(bool),
    /// Any whole number with a sign.
    Signed(i128),
    /// Any whole number without.
    Unsigned(u128),
    /// `share = 0.5`
    Real(f64),
    /// `error = &error as &dyn Error`, with its sources.
    Error(&'a (dyn Error + 'static)),
    /// All else, what was raised as `%value` and the message included. It is printed with `{:?}`, and
    /// that is code of the value's own: it may be long, slow, or panic.
    Debug(&'a dyn Debug),
}

impl<'a> Raised<'a> {
    /// What `event` says.
    pub fn of(event: &'a Event<'a>, timestamp: &'a str, request_id: Option<&'a str>) -> Raised<'a> {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        Raised { timestamp, level, target, request_id, event }
    }

    /// Tells all fields, name and value, in their order. The message is one called `message`.
    ///
    /// They are told one by one, and are gone then: that is how `tracing` lends them.
    pub fn each(&self, tell: &mut dyn FnMut(&'static str, Said<'_>)) {
        self.event.record(&mut Telling(tell));
    }
}

impl Debug for Raised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut raised = f.debug_struct("Raised");
        raised.field("level", &self.level).field("target", &self.target).finish_non_exhaustive()
    }
}

struct Telling<'t>(&'t mut dyn FnMut(&'static str, Said<'_>));

impl Visit for Telling<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        (self.0)(field.name(), Said::Debug(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (self.0)(field.name(), Said::Text(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        (self.0)(field.name(), Said::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        (self.0)(field.name(), Said::Signed(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        (self.0)(field.name(), Said::Unsigned(value.into()));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        (self.0)(field.name(), Said::Signed(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        (self.0)(field.name(), Said::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        (self.0)(field.name(), Said::Real(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        (self.0)(field.name(), Said::Error(value));
    }
}
