//! What holds for one flag, and how a document says it.

use crate::fractional::Fractional;
use crate::invalid::{At, Invalid};
use crate::known::Known;
use crate::schedule::Schedule;
use serde_json::{Map, Value, json};
use std::fmt::Display;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) enabled: bool,
    /// The place of the variant that holds where the targeting says nothing.
    pub(crate) default: usize,
    pub(crate) targeting: Option<Fractional>,
    pub(crate) schedule: Option<Schedule>,
}

const FIELDS: [&str; 5] = ["state", "variants", "defaultVariant", "targeting", "metadata"];

impl Definition {
    /// As the table has it.
    pub(crate) fn of(known: &Known) -> Self {
        Self { enabled: true, default: known.default, targeting: None, schedule: None }
    }

    /// The place of the variant that holds for a key, so long after the start of the run.
    pub(crate) fn evaluate(
        &self,
        known: &Known,
        since_start: impl FnOnce() -> Duration,
        key: Option<&dyn Display>,
    ) -> usize {
        if !self.in_force(since_start) {
            return known.default;
        }
        match (&self.targeting, key) {
            (Some(targeting), Some(key)) => targeting.choose(known.name, key),
            _ => self.default,
        }
    }

    /// What it evaluates to: the variant, or the weights of several where the key decides.
    pub(crate) fn effective(&self, known: &Known, since_start: Duration) -> Value {
        match &self.targeting {
            Some(targeting) if self.in_force(|| since_start) => targeting.weights(known),
            _ => known.variants[self.evaluate(known, || since_start, None)].into(),
        }
    }

    /// Whether it may evaluate to the variant at this place, for some key at some time.
    pub(crate) fn may_be(&self, variant: usize) -> bool {
        let by_targeting =
            self.targeting.as_ref().is_some_and(|targeting| targeting.names(variant));
        self.enabled && (self.default == variant || by_targeting)
    }

    fn in_force(&self, since_start: impl FnOnce() -> Duration) -> bool {
        self.enabled && self.schedule.is_none_or(|schedule| schedule.is_on(since_start()))
    }

    pub(crate) fn to_json(&self, known: &Known) -> Value {
        let mut metadata = Map::new();
        metadata.insert("description".to_owned(), known.description.into());
        if let Some(schedule) = &self.schedule {
            schedule.write(&mut metadata);
        }
        let mut flag = json!({
            "state": if self.enabled { "ENABLED" } else { "DISABLED" },
            "variants": variants(known),
            "defaultVariant": known.variants[self.default],
            "metadata": metadata,
        });
        if let Some(targeting) = &self.targeting {
            flag["targeting"] = targeting.to_json(known);
        }
        flag
    }

    /// Reads what a document says of a flag. What it leaves out is as in the table.
    pub(crate) fn parse(value: &Value, known: &Known, at: &At<'_>) -> Result<Self, Invalid> {
        let Some(flag) = value.as_object() else {
            return Err(at.wrong(value, r#"an object, such as {"defaultVariant": "off"}"#));
        };
        let mut definition = Self::of(known);
        for (field, value) in flag {
            let at = &at.child(field);
            match field.as_str() {
                "state" => {
                    definition.enabled = match value.as_str() {
                        Some("ENABLED") => true,
                        Some("DISABLED") => false,
                        _ => return Err(at.wrong(value, "`ENABLED` or `DISABLED`")),
                    }
                }
                "defaultVariant" => definition.default = variant(value, known, at)?,
                "variants" if *value == variants(known) => {}
                "variants" => {
                    let fixed = variants(known);
                    return Err(at.wrong(value, format!("{fixed}, which is fixed; leave it out")));
                }
                // JSON Logic's empty rule; flagd writes it where there is none.
                "targeting" if value.as_object().is_some_and(Map::is_empty) => {}
                "targeting" => definition.targeting = Some(Fractional::parse(value, known, at)?),
                "metadata" => definition.schedule = metadata(value, at)?,
                _ => return Err(at.unknown("field", field, FIELDS)),
            }
        }
        Ok(definition)
    }
}

fn variants(known: &Known) -> Value {
    let pairs = known.variants.iter().map(|variant| ((*variant).to_owned(), json!(variant)));
    pairs.collect::<Map<_, _>>().into()
}

fn variant(value: &Value, known: &Known, at: &At<'_>) -> Result<usize, Invalid> {
    let names = || known.variants.iter().copied();
    let Some(name) = value.as_str() else {
        let names: Vec<_> = names().collect();
        return Err(at.wrong(value, format!("one of {}", crate::invalid::list(&names))));
    };
    known.variant(name).ok_or_else(|| at.unknown("variant", name, names()))
}

fn metadata(value: &Value, at: &At<'_>) -> Result<Option<Schedule>, Invalid> {
    let Some(metadata) = value.as_object() else {
        return Err(at.wrong(value, "an object"));
    };
    let ours = |key: &str| key == "description" || key.starts_with("schedule.");
    if let Some(key) = metadata.keys().find(|key| !ours(key)) {
        let allowed = ["description", "schedule.from_ms", "schedule.until_ms", "schedule.seed"];
        let allowed = allowed.into_iter().chain(["schedule.every_ms", "schedule.for_ms"]);
        return Err(at.child(key).unknown("metadata", key, allowed));
    }
    Schedule::parse(metadata, at)
}
