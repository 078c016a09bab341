//! The handle that everybody holds.

use crate::definition::Definition;
use crate::invalid::{At, Invalid};
use crate::known::{self, KNOWN, Switch};
use crate::schedule::Schedule;
use serde_json::{Map, Value, json};
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

/// All switches of one shop. Clones share them: who changes a flag changes it for all.
///
/// A read takes 10 ns optimised, and 45 ns where another core does nothing but read as well: the
/// lock's counter travels between the two. A schedule adds the reading of a clock (40 ns), a
/// targeting the hashing of the key (70 ns). That is nothing beside a request, so there is nothing
/// cleverer here than a lock.
#[derive(Clone, Debug)]
pub struct Flags {
    state: Arc<RwLock<State>>,
}

#[derive(Debug)]
struct State {
    /// In the order of the table.
    definitions: Vec<Definition>,
    /// What schedules count from.
    start: Instant,
    ruled_out: Vec<RuledOut>,
}

/// A variant that cannot be had here.
#[derive(Clone, Debug)]
struct RuledOut {
    flag: usize,
    variant: usize,
    why: String,
}

impl Flags {
    /// The table, with a document merged into it.
    ///
    /// # Errors
    /// As [`Flags::merge`].
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let flags = Self::default();
        flags.merge(json)?;
        Ok(flags)
    }

    /// What a flag is now: `flags.get::<PatternCache>()`.
    ///
    /// A flag that depends on a key has its default variant here: ask with [`Flags::get_for`].
    pub fn get<S: Switch>(&self) -> S {
        self.evaluate(None)
    }

    /// What a flag is now for a key, such as the order's id. For a flag that does not depend on a
    /// key, this is what [`Flags::get`] says.
    pub fn get_for<S: Switch>(&self, key: impl Display) -> S {
        self.evaluate(Some(&key))
    }

    /// Gives a flag this variant, for every key and at all times.
    pub fn set<S: Switch>(&self, variant: S) {
        self.define(variant, None);
    }

    /// Gives a flag this variant, for every key, while a schedule says so. Schedules count from
    /// [`Flags::start`].
    pub fn set_during<S: Switch>(&self, variant: S, schedule: Schedule) {
        self.define(variant, Some(schedule));
    }

    /// Refuses documents that may choose one of `variants` from now on, and says `why`: what they
    /// need is not here. Where a flag is set to one of them already, it is given back to the table.
    pub fn rule_out<S: Switch>(&self, variants: &[S], why: &str) {
        let mut state = self.write();
        for variant in variants.iter().map(|variant| variant.index()) {
            state.ruled_out.push(RuledOut { flag: S::PLACE, variant, why: why.to_owned() });
            if state.definitions[S::PLACE].may_be(variant) {
                state.definitions[S::PLACE] = Definition::of(&KNOWN[S::PLACE]);
            }
        }
    }

    /// Begins a run: schedules count from here. They are new as well whenever a document has been
    /// merged that holds one.
    pub fn start(&self) {
        self.start_at(Instant::now());
    }

    /// Begins a run at a moment, which may lie in the past or in the future. Until it has come, no
    /// time has passed.
    pub fn start_at(&self, start: Instant) {
        self.write().start = start;
    }

    /// Takes a document in [flagd's shape](crate#what-differs-from-flagd).
    ///
    /// Flags that it does not name stay as they are. What it says of a flag is all that holds for
    /// it from now on: `{"flags": {"fault.payment": {}}}` gives the flag back to the table.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong, where, and what is allowed. Then nothing has changed: all of
    /// the document is read before any of it is taken.
    pub fn merge(&self, json: impl AsRef<[u8]>) -> Result<(), Invalid> {
        let named = parse(json.as_ref())?;
        let scheduled = named.iter().any(|(_, definition)| definition.schedule.is_some());
        let mut state = self.write();
        for (place, definition) in &named {
            let chosen = |out: &&RuledOut| out.flag == *place && definition.may_be(out.variant);
            if let Some(out) = state.ruled_out.iter().find(chosen) {
                let known = &KNOWN[*place];
                return Err(Invalid {
                    pointer: format!("/flags/{}", known.name),
                    problem: format!(
                        "`{}` cannot be chosen here: {}",
                        known.variants[out.variant], out.why
                    ),
                });
            }
        }
        for (place, definition) in named {
            state.definitions[place] = definition;
        }
        if scheduled {
            state.start = Instant::now();
        }
        Ok(())
    }

    /// The whole, as a document that flagd would take, and `effective` beside it: what each flag
    /// evaluates to now. All of it is of one moment.
    pub fn to_json(&self) -> Value {
        let state = self.read();
        let since_start = state.start.elapsed();
        let (mut flags, mut effective) = (Map::new(), Map::new());
        for (known, definition) in KNOWN.iter().zip(&state.definitions) {
            flags.insert(known.name.to_owned(), definition.to_json(known));
            effective.insert(known.name.to_owned(), definition.effective(known, since_start));
        }
        json!({
            "$schema": "https://flagd.dev/schema/v0/flags.json",
            "flags": flags,
            "effective": effective,
        })
    }

    fn evaluate<S: Switch>(&self, key: Option<&dyn Display>) -> S {
        let state = self.read();
        let definition = &state.definitions[S::PLACE];
        S::at(definition.evaluate(&KNOWN[S::PLACE], || state.start.elapsed(), key))
    }

    fn define<S: Switch>(&self, variant: S, schedule: Option<Schedule>) {
        let definition =
            Definition { enabled: true, default: variant.index(), targeting: None, schedule };
        self.write().definitions[S::PLACE] = definition;
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Whole after each of its operations, also where a thread panicked.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Flags {
    /// As in the table.
    fn default() -> Self {
        let definitions = KNOWN.iter().map(Definition::of).collect();
        let state = State { definitions, start: Instant::now(), ruled_out: Vec::new() };
        Self { state: Arc::new(RwLock::new(state)) }
    }
}

/// The definitions that a document holds, by their places in the table.
fn parse(json: &[u8]) -> Result<Vec<(usize, Definition)>, Invalid> {
    let at = &At::ROOT;
    let document: Value = serde_json::from_slice(json)
        .map_err(|error| at.invalid(format!("this is not JSON: {error}")))?;
    let Some(document) = document.as_object() else {
        return Err(at.wrong(&document, r#"an object with the key "flags""#));
    };
    for key in document.keys() {
        // What flagd's files may hold besides, and what we say ourselves.
        if !["flags", "effective", "$schema"].contains(&key.as_str()) {
            return Err(at.child(key).unknown("key", key, ["flags"]));
        }
    }
    let at = &at.child("flags");
    let flags = document.get("flags").unwrap_or(&Value::Null);
    let Some(flags) = flags.as_object() else {
        return Err(at.wrong(flags, r#"an object, such as {"pattern.cache": { … }}"#));
    };
    flags
        .iter()
        .map(|(name, value)| {
            let at = &at.child(name);
            let names = KNOWN.iter().map(|known| known.name);
            let (place, known) =
                known::find(name).ok_or_else(|| at.unknown("flag", name, names))?;
            Ok((place, Definition::parse(value, known, at)?))
        })
        .collect()
}

#[cfg(test)]
mod tests;
