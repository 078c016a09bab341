//! NO-ROT: code on a page is what the source says, and links lead somewhere.
//!
//! `UPDATE_PAGES=1 cargo test -p lab --test house` brings the pages up to date.

use std::fs;
use std::path::Path;

#[test]
fn code_on_a_page_is_the_sources() {
    let update = std::env::var_os("UPDATE_PAGES").is_some();
    let mut shown = 0;
    for page in super::markdown() {
        let path = super::root().join(&page);
        let text = fs::read_to_string(&path).expect("the page can be read");
        let (current, blocks) = with_sources(&text);
        shown += blocks;
        if update && current != text {
            fs::write(&path, &current).expect("the page can be written");
        } else {
            assert!(
                current == text,
                "{page} shows code that its source no longer has; \
                 next: UPDATE_PAGES=1 cargo test -p lab --test house"
            );
        }
    }
    assert!(shown >= 4, "{shown} blocks: the pages have lost their code");
}

/// The page with each block after `<!-- source: path#anchor -->` replaced by what stands there,
/// and how many blocks there are. Inside a fence nothing is replaced: CONTRIBUTING shows how it is
/// written.
fn with_sources(page: &str) -> (String, usize) {
    let mut out = String::new();
    let mut blocks = 0;
    let mut lines = page.lines();
    let mut outer_fence: Option<&str> = None;
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let trimmed = line.trim_start();
        if let Some(fence) = outer_fence {
            if trimmed.trim_end() == fence {
                outer_fence = None;
            }
            continue;
        }
        if trimmed.starts_with("```") {
            outer_fence = Some(&trimmed[..trimmed.chars().take_while(|c| *c == '`').count()]);
            continue;
        }
        let source = line.strip_prefix("<!-- source: ").and_then(|l| l.strip_suffix(" -->"));
        let Some((file, anchor)) = source.and_then(|source| source.split_once('#')) else {
            continue;
        };
        let fence = lines.next().expect("a fence follows a source");
        assert!(fence.starts_with("```"), "a fence follows {source:?}, not {fence}");
        let _ = lines.by_ref().take_while(|line| *line != "```").count();
        out.push_str(&format!("{fence}\n{}```\n", anchored(file, anchor)));
        blocks += 1;
    }
    (out, blocks)
}

/// The lines between `// ANCHOR: name` and `// ANCHOR_END: name`, set out to the left.
fn anchored(file: &str, anchor: &str) -> String {
    let source = fs::read_to_string(super::root().join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines: Vec<&str> = source
        .lines()
        .skip_while(|line| line.trim() != format!("// ANCHOR: {anchor}"))
        .skip(1)
        .take_while(|line| line.trim() != format!("// ANCHOR_END: {anchor}"))
        .filter(|line| !line.trim().starts_with("// ANCHOR"))
        .collect();
    assert!(!lines.is_empty(), "{file} has no anchor {anchor}");
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines.iter().map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for page in super::markdown() {
        let path = super::root().join(&page);
        let text = fs::read_to_string(&path).expect("the page can be read");
        let folder = path.parent().unwrap_or(Path::new("."));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            assert!(folder.join(target).exists(), "{page} links to {target}, which is not there");
            followed += 1;
        }
    }
    assert!(followed >= 20, "only {followed} links were found");
}
