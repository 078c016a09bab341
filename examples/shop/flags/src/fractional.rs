//! A share of the keys gets one variant, the rest another, and each key always the same one.
//!
//! With the order's id as the key, both columns of a comparison meet the same faults at the same
//! orders, in whatever order the orders come.

use crate::invalid::{At, Invalid};
use crate::known::Known;
use crate::murmur3::murmur3_32;
use serde_json::{Value, json};
use std::fmt::{Display, Write as _};

/// Flagd's operator `fractional`:
/// `{"fractional": [["error", 30], ["off", 70]]}` gives `error` to 30 of 100 keys.
///
/// The weights are whole numbers of any sum; one that is left out is 1. Each key's bucket is
/// MurmurHash3 of the flag's name followed by the key, scaled to the sum of the weights, as flagd
/// does it since it left percentages behind
/// (<https://flagd.dev/reference/custom-operations/fractional-operation/>): the same keys meet the
/// same variants here and there.
///
/// To have another draw of the same shares, put a seed into what is hashed, in flagd's words:
/// `{"fractional": [{"cat": ["seed 7", {"var": "targetingKey"}]}, ["error", 30], ["off", 70]]}`.
///
/// Without a key, the flag's default variant holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fractional {
    /// What is hashed, in this order. Empty: the flag's name and the key.
    hashed: Vec<Part>,
    shares: Vec<Share>,
    /// From 1 to `i32::MAX`.
    total: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    FlagKey,
    TargetingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    variant: usize,
    weight: u32,
}

const FLAG_KEY: &str = "$flagd.flagKey";
const TARGETING_KEY: &str = "targetingKey";

impl Fractional {
    /// Whether some key may get the variant at this place.
    pub(crate) fn names(&self, variant: usize) -> bool {
        self.shares.iter().any(|share| share.variant == variant)
    }

    /// The place of the variant that a key gets.
    pub(crate) fn choose(&self, flag: &str, key: &dyn Display) -> usize {
        let mut text = String::new();
        for part in if self.hashed.is_empty() { &USUAL[..] } else { &self.hashed } {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::FlagKey => text.push_str(flag),
                // Writing to a String cannot fail; only a Display of the caller's could.
                Part::TargetingKey => _ = write!(text, "{key}"),
            }
        }
        let hash = u64::from(murmur3_32(text.as_bytes()));
        let mut bucket = ((hash * u64::from(self.total)) >> 32) as u32;
        for share in &self.shares {
            match bucket.checked_sub(share.weight) {
                None => return share.variant,
                Some(rest) => bucket = rest,
            }
        }
        unreachable!("a bucket is below the sum of all weights")
    }

    pub(crate) fn parse(value: &Value, known: &Known, at: &At<'_>) -> Result<Self, Invalid> {
        let rule = value.as_object().filter(|rule| rule.len() == 1);
        let rule = rule.and_then(|rule| rule.iter().next());
        let Some((operator, arguments)) = rule else {
            return Err(at.wrong(value, "an object with one operator: `fractional`"));
        };
        if operator != "fractional" {
            return Err(at.child(operator).unknown("operator", operator, ["fractional"]));
        }
        let at = &at.child("fractional");
        let Some(arguments) = arguments.as_array() else {
            return Err(at.wrong(arguments, EXAMPLE));
        };
        let (hashed, shares) = match arguments.split_first() {
            Some((hashed @ Value::Object(_), shares)) => {
                (Part::parse_all(hashed, &at.child("0"))?, shares)
            }
            _ => (Vec::new(), &arguments[..]),
        };
        let first = arguments.len() - shares.len();
        let shares = shares
            .iter()
            .enumerate()
            .map(|(index, share)| {
                Share::parse(share, known, &at.child(&(first + index).to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
        let total = u32::try_from(total).ok().filter(|total| (1..=MOST).contains(total));
        let total = total.ok_or_else(|| {
            at.invalid(format!("the weights must add up to something from 1 to {MOST}"))
        })?;
        Ok(Self { hashed, shares, total })
    }

    pub(crate) fn to_json(&self, known: &Known) -> Value {
        let mut arguments = Vec::new();
        if !self.hashed.is_empty() {
            let parts: Vec<Value> = self.hashed.iter().map(Part::to_json).collect();
            arguments.push(json!({ "cat": parts }));
        }
        let shares = self.shares.iter();
        arguments.extend(shares.map(|share| json!([known.variants[share.variant], share.weight])));
        json!({ "fractional": arguments })
    }

    /// The weights by name, for showing what is in effect.
    pub(crate) fn weights(&self, known: &Known) -> Value {
        let mut weights = serde_json::Map::new();
        for share in &self.shares {
            let before = weights.get(known.variants[share.variant]).and_then(Value::as_u64);
            let weight = before.unwrap_or_default() + u64::from(share.weight);
            weights.insert(known.variants[share.variant].to_owned(), weight.into());
        }
        weights.into()
    }
}

const USUAL: [Part; 2] = [Part::FlagKey, Part::TargetingKey];

/// Flagd keeps weights in 32 bits with a sign.
const MOST: u32 = i32::MAX as u32;

const EXAMPLE: &str = r#"a list of shares, such as [["error", 30], ["off", 70]]"#;

impl Part {
    fn parse_all(value: &Value, at: &At<'_>) -> Result<Vec<Self>, Invalid> {
        match value.as_object().and_then(|rule| rule.get("cat")) {
            Some(Value::Array(parts)) => {
                parts.iter().map(|part| Self::parse(part, &at.child("cat"))).collect()
            }
            _ => Ok(vec![Self::parse(value, at)?]),
        }
    }

    fn parse(value: &Value, at: &At<'_>) -> Result<Self, Invalid> {
        let variable = || value.as_object()?.get("var")?.as_str();
        match (value, variable()) {
            (Value::String(text), _) => Ok(Self::Text(text.clone())),
            (_, Some(FLAG_KEY)) => Ok(Self::FlagKey),
            (_, Some(TARGETING_KEY)) => Ok(Self::TargetingKey),
            (_, Some(other)) => Err(at.unknown("variable", other, [FLAG_KEY, TARGETING_KEY])),
            (_, None) => Err(at.wrong(value, r#"a text, {"var": …} or {"cat": [ … ]}"#)),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::FlagKey => json!({ "var": FLAG_KEY }),
            Self::TargetingKey => json!({ "var": TARGETING_KEY }),
        }
    }
}

impl Share {
    fn parse(value: &Value, known: &Known, at: &At<'_>) -> Result<Self, Invalid> {
        let wrong = || at.wrong(value, r#"a variant and a whole weight, such as ["error", 30]"#);
        let (variant, weight) = match value.as_array().map(Vec::as_slice) {
            Some([Value::String(variant)]) => (variant, Some(1)),
            Some([Value::String(variant), weight]) => (variant, weight.as_u64()),
            _ => return Err(wrong()),
        };
        let weight = weight.and_then(|weight| u32::try_from(weight).ok()).ok_or_else(wrong)?;
        let place = known.variant(variant);
        let unknown = || at.unknown("variant", variant, known.variants.iter().copied());
        Ok(Self { variant: place.ok_or_else(unknown)?, weight })
    }
}

#[cfg(test)]
mod tests;
