//! What an expression of PromQL speaks of: metrics, their labels, and the values of these. Not what it
//! means: that says Prometheus, in `prometheus.rs`.

use std::collections::BTreeSet;

use observability::metrics::text::Sample;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// One metric, and what is asked of its labels.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Selector {
    pub(super) name: String,
    /// Label, and value where it is to be just that.
    pub(super) labels: Vec<(String, Option<String>)>,
}

/// All that an expression speaks of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Spoken {
    pub(super) selectors: Vec<Selector>,
    /// What is summed or matched by.
    pub(super) by: BTreeSet<String>,
}

const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    let is_wordy =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':' | '.');
    while let Some(letter) = rest.next() {
        match letter {
            '"' => {
                let text: String = rest.by_ref().take_while(|letter| *letter != '"').collect();
                assert!(!text.contains('\\'), "{expression}: escapes are not read here");
                tokens.push(Token::Text(text));
            }
            // How far back, and nothing that could be misspelt unseen: Prometheus reads it.
            '[' => while rest.next().is_some_and(|letter| letter != ']') {},
            letter if is_wordy(letter) => {
                let mut word = String::from(letter);
                while let Some(letter) = rest.next_if(|letter| is_wordy(*letter)) {
                    word.push(letter);
                }
                // A number is no name.
                if !letter.is_ascii_digit() {
                    tokens.push(Token::Word(word));
                }
            }
            letter if letter.is_whitespace() => {}
            letter => tokens.push(Token::Sign(letter)),
        }
    }
    tokens
}

/// Reads an expression.
pub(super) fn spoken(expression: &str) -> Spoken {
    let tokens = tokens(expression);
    let sign = |at: usize, sign: char| tokens.get(at) == Some(&Token::Sign(sign));
    let mut spoken = Spoken::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let Token::Word(word) = token else { continue };
        if BEFORE_LABELS.contains(&word.as_str()) {
            assert!(sign(at, '('), "{expression}: `{word}` and no labels");
            while !sign(at, ')') {
                if let Some(Token::Word(label)) = tokens.get(at) {
                    spoken.by.insert(label.clone());
                }
                at += 1;
                assert!(at < tokens.len(), "{expression}: labels without an end");
            }
        } else if !OPERATORS.contains(&word.as_str()) && !is_called(&tokens, at) {
            let mut selector = Selector { name: word.clone(), ..Selector::default() };
            if sign(at, '{') {
                at += 1;
                while !sign(at, '}') {
                    let (label, next) = matcher(&tokens[at..]).unwrap_or_else(|| {
                        panic!("{expression}: what is asked of {word} cannot be read")
                    });
                    selector.labels.push(label);
                    at += next;
                    at += usize::from(sign(at, ','));
                }
            }
            spoken.selectors.push(selector);
        }
    }
    spoken
}

/// Whether the word before `at` is a function or an aggregation: `rate(…)`, `sum by (…)`.
fn is_called(tokens: &[Token], at: usize) -> bool {
    match tokens.get(at) {
        Some(Token::Sign(sign)) => *sign == '(',
        Some(Token::Word(next)) => matches!(next.as_str(), "by" | "without"),
        _ => false,
    }
}

/// `label="value"` and its kin, and how many tokens it is.
fn matcher(tokens: &[Token]) -> Option<((String, Option<String>), usize)> {
    let exact = |label: &str, value: &str| (label.to_owned(), Some(value.to_owned()));
    match tokens {
        [Token::Word(label), Token::Sign('='), Token::Text(value), ..] => {
            Some((exact(label, value), 3))
        }
        [Token::Word(label), Token::Sign('='), Token::Sign('~'), Token::Text(_), ..]
        | [Token::Word(label), Token::Sign('!'), Token::Sign('=' | '~'), Token::Text(_), ..] => {
            Some(((label.clone(), None), 4))
        }
        _ => None,
    }
}

/// What an expression speaks of that is not among the samples. A metric is there with the labels and
/// the values that are asked for, all in one series, or it is not there.
pub(super) fn unknown(expression: &str, samples: &[Sample]) -> Vec<String> {
    let spoken = spoken(expression);
    let mut unknown = Vec::new();
    if spoken.selectors.is_empty() {
        unknown.push("it asks for nothing".to_owned());
    }
    for selector in &spoken.selectors {
        let fits = |sample: &&Sample| {
            sample.name == selector.name
                && selector.labels.iter().all(|(label, value)| {
                    let found = sample.labels.get(label);
                    found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
                })
        };
        let found: Vec<_> = samples.iter().filter(fits).collect();
        if found.is_empty() {
            unknown.push(format!("{} with {:?}", selector.name, selector.labels));
        }
        for label in &spoken.by {
            if !found.iter().all(|sample| sample.labels.contains_key(label)) {
                unknown.push(format!("{label} of {}", selector.name));
            }
        }
    }
    unknown
}

#[test]
fn names_and_labels_are_found_in_an_expression() {
    let read = spoken(
        r#"topk(3, 1 - sum by (le, to) (rate(calls_bucket{code=~"5..", to="by (x)"}[5m]))
           / on (to) group_left () sum without (a) (up offset 5m)) or vector(0.5)"#,
    );
    let calls = vec![("code".to_owned(), None), ("to".to_owned(), Some("by (x)".to_owned()))];
    let selectors = vec![
        Selector { name: "calls_bucket".to_owned(), labels: calls },
        Selector { name: "up".to_owned(), labels: Vec::new() },
    ];
    assert_eq!(read.selectors, selectors);
    assert_eq!(read.by.into_iter().collect::<Vec<_>>(), ["a", "le", "to"]);
}
