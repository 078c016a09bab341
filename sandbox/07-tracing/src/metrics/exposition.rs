//! What `/metrics` answers: OpenMetrics, or the older text format for who does not know that.

use std::collections::BTreeSet;

/// A scrape's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// The `content-type` that says how to read it.
    pub content_type: &'static str,
    /// All families.
    pub text: String,
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `open_metrics` as whoever accepts this can read it.
pub(super) fn answer(accept: Option<&str>, open_metrics: String) -> Exposition {
    match accept.is_some_and(takes_open_metrics) {
        true => Exposition { content_type: OPEN_METRICS, text: open_metrics },
        false => Exposition { content_type: PLAIN, text: plain(&open_metrics) },
    }
}

/// Whether one of the media ranges names it, unless its weight is 0. A browser's `*/*` does not: it
/// would offer the text as a download.
fn takes_open_metrics(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f64>);
        named && !matches!(weight, Some(Ok(0.0)))
    })
}

/// The older format: counters are called by their full names, which end in `_total`, and there are no
/// units, no exemplars and no end.
fn plain(open_metrics: &str) -> String {
    let told = |line: &str, word: &str| line.starts_with(word);
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    // `info` is a type of OpenMetrics only; elsewhere it is a gauge that is always 1.
    let infos: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" info"))
        .collect();
    let mut out = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if told(line, "# UNIT ") || told(line, "# EOF") {
            continue;
        }
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", word, name, rest] => {
                let suffix = match name {
                    name if counters.contains(name) => "_total",
                    name if infos.contains(name) => "_info",
                    _ => "",
                };
                let rest = if word == "TYPE" && rest == "info" { "gauge" } else { rest };
                out.extend(["# ", word, " ", name, suffix, " ", rest]);
            }
            _ => out.push_str(without_exemplar(line)),
        }
        out.push('\n');
    }
    out
}

/// A sample's line up to its exemplar. `#` may stand in a label's value as well.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}
