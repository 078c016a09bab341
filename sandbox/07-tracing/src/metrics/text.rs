//! Reads what `/metrics` answers, in either of its formats: the samples, not what is said about them.

use super::Bucket;
use std::collections::BTreeMap;

/// Label names and values.
pub type Labels = BTreeMap<String, String>;

/// One line: a value under a name and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With its suffix: `…_total`, `…_bucket`.
    pub name: String,
    /// As they were before they were escaped.
    pub labels: Labels,
    /// What it shows.
    pub value: f64,
    /// One of those that were counted.
    pub exemplar: Option<Exemplar>,
}

/// What a bucket or a counter names as one of those that it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Such as `trace_id`.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// Seconds since 1970, if it says.
    pub at: Option<f64>,
}

/// A line that is no sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no sample: {text}")]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    /// As it stands there.
    pub text: String,
}

/// All samples, in their order.
///
/// # Errors
/// [`Malformed`] names the first line that cannot be read.
pub fn samples(text: &str) -> Result<Vec<Sample>, Malformed> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(nth, line)| {
            let text = line.to_owned();
            Line(line).sample().ok_or(Malformed { line: nth + 1, text })
        })
        .collect()
}

/// The buckets of the histogram `name` (without `_bucket`), of all its series that carry these
/// labels together, by rising bounds. Empty if there is none.
pub fn buckets(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Vec<Bucket> {
    let mut all: Vec<Bucket> = Vec::new();
    for sample in samples {
        let carries = |(name, value): &(&str, &str)| {
            sample.labels.get(*name).is_some_and(|found| found == value)
        };
        let le = sample.labels.get("le").and_then(|le| le.parse::<f64>().ok());
        let (Some("_bucket"), Some(le)) = (sample.name.strip_prefix(name), le) else {
            continue;
        };
        if labels.iter().all(carries) {
            match all.iter_mut().find(|bucket| bucket.le == le) {
                Some(bucket) => bucket.count += sample.value,
                None => all.push(Bucket { le, count: sample.value }),
            }
        }
    }
    all.sort_by(|one, other| one.le.total_cmp(&other.le));
    all
}

/// What is left of a line.
struct Line<'a>(&'a str);

impl<'a> Line<'a> {
    fn sample(mut self) -> Option<Sample> {
        let name = self.name(true)?.to_owned();
        let labels = self.labels()?;
        self.take(" ")?;
        let value = self.number()?;
        let mut sample = Sample { name, labels, value, exemplar: None };
        if self.0.starts_with(' ') && !self.0.starts_with(" #") {
            self.take(" ")?;
            self.number()?;
        }
        if self.take(" # ").is_some() {
            self.0.starts_with('{').then_some(())?;
            let labels = self.labels()?;
            self.take(" ")?;
            let value = self.number()?;
            let at = match self.take(" ") {
                None => None,
                Some(()) => Some(self.number()?),
            };
            sample.exemplar = Some(Exemplar { labels, value, at });
        }
        self.0.is_empty().then_some(sample)
    }

    fn take(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn up_to(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// Letters, digits and `_`, not a digit first; in a metric's name `:` as well.
    fn name(&mut self, colons: bool) -> Option<&'a str> {
        let legal = |letter: char| {
            letter.is_ascii_alphanumeric() || letter == '_' || colons && letter == ':'
        };
        let end = self.0.find(|letter| !legal(letter)).unwrap_or(self.0.len());
        let name = self.up_to(end);
        name.starts_with(|first: char| !first.is_ascii_digit()).then_some(name)
    }

    fn number(&mut self) -> Option<f64> {
        let end = self.0.find(' ').unwrap_or(self.0.len());
        self.up_to(end).parse().ok()
    }

    fn labels(&mut self) -> Option<Labels> {
        let mut labels = Labels::new();
        if self.take("{").is_none() {
            return Some(labels);
        }
        while self.take("}").is_none() {
            let name = self.name(false)?.to_owned();
            self.take("=\"")?;
            let value = self.quoted()?;
            // Twice the same name would be two series, of which nobody knows which.
            labels.insert(name, value).is_none().then_some(())?;
            if self.take(",").is_none() && !self.0.starts_with('}') {
                return None;
            }
        }
        Some(labels)
    }

    /// Up to the closing quote, with what was escaped as it was.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut letters = self.0.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    _ => return None,
                }),
                letter => value.push(letter),
            }
        }
        None
    }
}
