//! As much of YAML as the files beside the shop need: maps and lists by their indentation, and plain
//! or quoted scalars, which are all texts here. Any other form is refused, and not guessed.

use serde_json::{Map, Value};

/// Reads a document.
pub(super) fn read(text: &str) -> Value {
    let mut lines: Vec<(usize, String)> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| {
            let content = line.trim_start_matches(' ');
            assert!(!content.contains(" #") && !content.contains('\t'), "not read here: {line}");
            (line.len() - content.len(), content.trim_end().to_owned())
        })
        .collect();
    let mut at = 0;
    let value = block(&mut lines, &mut at);
    assert_eq!(at, lines.len(), "its indentation is odd: {:?}", lines.get(at));
    value
}

fn block(lines: &mut [(usize, String)], at: &mut usize) -> Value {
    let indent = lines[*at].0;
    if lines[*at].1.starts_with("- ") { list(lines, at, indent) } else { map(lines, at, indent) }
}

fn list(lines: &mut [(usize, String)], at: &mut usize, indent: usize) -> Value {
    let mut items = Vec::new();
    while let Some((_, line)) = lines.get(*at).filter(|(deep, _)| *deep == indent) {
        let item = line.strip_prefix("- ").unwrap_or_else(|| panic!("no item: {line}")).to_owned();
        if key(&item).is_some() {
            // A map that begins on the line of its dash.
            lines[*at] = (indent + 2, item);
            items.push(block(lines, at));
        } else {
            *at += 1;
            items.push(scalar(&item));
        }
    }
    Value::Array(items)
}

fn map(lines: &mut [(usize, String)], at: &mut usize, indent: usize) -> Value {
    let mut entries = Map::new();
    while let Some((_, line)) = lines.get(*at).filter(|(deep, _)| *deep == indent) {
        let (key, rest) = key(line).unwrap_or_else(|| panic!("no key: {line}"));
        let (key, rest) = (key.to_owned(), rest.to_owned());
        *at += 1;
        let value = match lines.get(*at) {
            Some((deep, _)) if rest.is_empty() && *deep > indent => block(lines, at),
            _ if rest.is_empty() => panic!("{key} has no value"),
            _ => scalar(&rest),
        };
        assert!(entries.insert(key.clone(), value).is_none(), "{key} is there twice");
    }
    Value::Object(entries)
}

fn key(line: &str) -> Option<(&str, &str)> {
    line.split_once(": ").or_else(|| line.strip_suffix(':').map(|key| (key, "")))
}

fn scalar(text: &str) -> Value {
    let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_odd = plain.starts_with(['{', '[', '&', '*', '!', '|', '>', '\'', '"', '%', '@']);
    assert!(!is_odd && !plain.contains(['"', '\\']), "not read here: {text}");
    Value::from(plain)
}

#[test]
fn maps_lists_and_texts_are_read() {
    let text = "a:\n  # why\n  b: 1\n  c:\n    - d: http://x:1\n      e: \"true\"\n    - ./f:/g:ro\nh: i\n";
    let expected = serde_json::json!({
        "a": {"b": "1", "c": [{"d": "http://x:1", "e": "true"}, "./f:/g:ro"]}, "h": "i",
    });
    assert_eq!(read(text), expected);
}

#[test]
fn what_is_not_understood_is_not_guessed() {
    for odd in ["a: [1]\n", "a:\n", "a: 1\na: 2\n", "a: 1\n   b: 2\n", "- a\nb: 1\n", "a: 1 # b\n"]
    {
        assert!(std::panic::catch_unwind(|| read(odd)).is_err(), "{odd}");
    }
}
