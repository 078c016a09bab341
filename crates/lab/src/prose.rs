//! Doc comments and Markdown as plain text for a terminal.

/// The doc comment at the head of a Rust file (`//!`), without its slashes; empty where there is
/// none. Code blocks keep their lines, hidden doctest lines go.
pub(crate) fn head_comment(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines().skip_while(|line| line.trim().is_empty()) {
        let Some(rest) = line.trim_start().strip_prefix("//!") else {
            break;
        };
        text.push_str(rest.strip_prefix(' ').unwrap_or(rest));
        text.push('\n');
    }
    text
}

/// The doc comment (`///`) of a type, and the line that it begins on. It stands above the type, or,
/// where a macro makes several types at once, above what one of them does: `impl Lease for NAME`.
pub(crate) fn type_comment(source: &str, name: &str) -> Option<(String, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let is_its = |line: &str| {
        // A type that a macro makes is named on a line of its own.
        if line.trim().strip_suffix(',') == Some(name) {
            return true;
        }
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let names = ["struct", "enum", "type", "for"];
        words.any(|word| names.contains(&word)) && words.next() == Some(name)
    };
    let commented = |at: usize| {
        let above =
            lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#']));
        let first = at - above.count();
        let text: Vec<&str> = lines[first..at]
            .iter()
            .filter_map(|line| line.trim_start().strip_prefix("///"))
            .map(|text| text.strip_prefix(' ').unwrap_or(text))
            .collect();
        (!text.is_empty()).then(|| (text.join("\n"), first + 1))
    };
    (0..lines.len()).filter(|at| is_its(lines[*at])).find_map(commented)
}

/// Renders Markdown for reading: paragraphs filled to the width, lists and code kept, links as
/// their words. It knows what doc comments use, and leaves alone what it does not know.
pub(crate) fn render(markdown: &str, width: usize, indent: &str) -> String {
    let mut out =
        Filler { width: width.saturating_sub(indent.chars().count()), indent, ..Filler::default() };
    let mut code = false;
    for line in markdown.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            out.flush();
            code = !code;
        } else if code {
            let hidden = trimmed == "#" || trimmed.starts_with("# ");
            if !hidden {
                out.verbatim(&format!("    {line}"));
            }
        } else if trimmed.is_empty() {
            out.flush();
            out.blank();
        } else if let Some(heading) = trimmed.strip_prefix('#') {
            out.flush();
            out.verbatim(&words(heading.trim_start_matches('#').trim()).to_uppercase());
        } else if trimmed.starts_with('|') {
            out.flush();
            out.verbatim(&words(trimmed));
        } else if let Some((bullet, rest)) = list_item(line) {
            out.flush();
            out.start(bullet, rest);
        } else {
            out.push(trimmed);
        }
    }
    out.flush();
    let text = out.text.trim_end().to_owned();
    if text.is_empty() { text } else { text + "\n" }
}

#[derive(Default)]
struct Filler<'a> {
    text: String,
    /// The paragraph that is being collected, still Markdown.
    paragraph: String,
    bullet: String,
    width: usize,
    indent: &'a str,
}

impl Filler<'_> {
    fn push(&mut self, words: &str) {
        if !self.paragraph.is_empty() {
            self.paragraph.push(' ');
        }
        self.paragraph.push_str(words);
    }

    fn start(&mut self, bullet: String, rest: &str) {
        self.bullet = bullet;
        self.push(rest);
    }

    fn flush(&mut self) {
        let paragraph = words(&std::mem::take(&mut self.paragraph));
        let bullet = std::mem::take(&mut self.bullet);
        let hanging = " ".repeat(bullet.chars().count());
        let width = self.width.saturating_sub(hanging.len()).max(20);
        for (number, line) in wrap(&paragraph, width).iter().enumerate() {
            let lead = if number == 0 { &bullet } else { &hanging };
            self.verbatim(&format!("{lead}{line}"));
        }
    }

    fn verbatim(&mut self, line: &str) {
        self.text.push_str(format!("{}{line}", self.indent).trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

/// `- text`, `* text`, `1. text`: the bullet with its indentation, and the text.
fn list_item(line: &str) -> Option<(String, &str)> {
    let body = line.trim_start();
    let lead = &line[..line.len() - body.len()];
    if let Some(rest) = body.strip_prefix("- ").or_else(|| body.strip_prefix("* ")) {
        return Some((format!("{lead}- "), rest));
    }
    let digits = body.chars().take_while(char::is_ascii_digit).count();
    let rest = body[digits..].strip_prefix(". ")?;
    (digits > 0).then(|| (format!("{lead}{}. ", &body[..digits]), rest))
}

/// Inline Markdown as words: `[text](target)` and ``[`text`]`` as their text, code and emphasis
/// without marks.
fn words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['[', '`', '*']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(inner) = tail.strip_prefix('`') {
            match inner.split_once('`') {
                Some((code, after)) => {
                    out.push_str(code);
                    rest = after;
                }
                None => {
                    out.push('`');
                    rest = inner;
                }
            }
        } else if let Some(inner) = tail.strip_prefix("**") {
            rest = inner;
        } else if let Some(inner) = tail.strip_prefix('*') {
            // A lone star between spaces is a multiplication.
            if inner.starts_with(' ') {
                out.push('*');
            }
            rest = inner;
        } else if let Some(close) = tail.find(']') {
            let label = &tail[1..close];
            let after = &tail[close + 1..];
            let target = after.strip_prefix('(').and_then(|target| target.find(')'));
            match target {
                Some(end) => {
                    out.push_str(&words(label));
                    rest = &after[end + 2..];
                }
                None if label.starts_with('`') => {
                    out.push_str(&words(label));
                    rest = after;
                }
                None => {
                    out.push('[');
                    rest = &tail[1..];
                }
            }
        } else {
            out.push('[');
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    out
}

/// Fills words into lines of at most `width` characters; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if room > length => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                room = width.saturating_sub(length);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{head_comment, render, wrap};

    #[test]
    fn a_task_reads_as_plain_text() {
        let source = "//! # Cache-aside\n//!\n//! Write [`CacheAside::get`], see [the paper](https://x.org):\n\
                      //! **one** load only.\n//!\n//! 1. first\n//!    goes on\n//! - `a * b` is 2 * 3\n//!\n\
                      //! ```\n//! # hidden\n//! let x = 1;\n//! ```\nuse std::fs;\n//! not this\n";
        assert_eq!(
            render(&head_comment(source), 60, "  "),
            "  CACHE-ASIDE\n\n  Write CacheAside::get, see the paper: one load only.\n\n  1. first goes on\n  \
             - a * b is 2 * 3\n\n      let x = 1;\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let text = "word ".repeat(100);
        assert!(wrap(&text, 30).iter().all(|line| line.chars().count() <= 30));
        assert_eq!(wrap("ab cd ef", 5), ["ab cd", "ef"]);
    }
}
