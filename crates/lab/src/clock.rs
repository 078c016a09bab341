//! Local time, in the two forms that the lab writes.

use jiff::Zoned;

/// Sets the time of day for tests and for screenshots: `2026-11-21 10:56`.
const VARIABLE: &str = "LAB_NOW";

fn now() -> jiff::civil::DateTime {
    std::env::var(VARIABLE)
        .ok()
        .and_then(|text| text.replacen(' ', "T", 1).parse().ok())
        .unwrap_or_else(|| Zoned::now().datetime())
}

/// `2026-11-21 10:56`
pub(crate) fn minute() -> String {
    now().strftime("%Y-%m-%d %H:%M").to_string()
}

/// `2026-11-21`
pub(crate) fn day() -> String {
    now().strftime("%Y-%m-%d").to_string()
}

/// `20261121-105600`, for the names of backups.
pub(crate) fn stamp() -> String {
    now().strftime("%Y%m%d-%H%M%S").to_string()
}
