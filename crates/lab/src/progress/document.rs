//! The file as a sequence of the learner's text and the lab's parts.
//!
//! A part stands between `<!-- lab:begin NAME -->` and `<!-- lab:end NAME -->`, each alone on its
//! line. All else is the learner's and is kept byte for byte, also where it is not UTF-8. What the
//! learner wrote inside a part is moved out behind it. When in doubt, text is kept.

use std::mem;

/// A place that the lab could not understand. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Damage {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Text(Vec<u8>),
    Part(Part),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// The first line of the body.
    pub(crate) line: usize,
    /// What the lab wrote: whole lines.
    pub(crate) body: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Document {
    pub(crate) segments: Vec<Segment>,
}

enum Marker<'a> {
    Begin(&'a str),
    End(&'a str),
}

fn marker(line: &[u8]) -> Option<Marker<'_>> {
    let line = str::from_utf8(line).ok()?.trim_end();
    let inner = line.strip_prefix("<!-- lab:")?.strip_suffix(" -->")?;
    if let Some(name) = inner.strip_prefix("begin ") {
        return Some(Marker::Begin(name));
    }
    inner.strip_prefix("end ").map(Marker::End)
}

/// Whether the lab itself may have written a line of a part: tables, headings, comments, its kinds
/// of list items, and prose in italics, which is how the lab's parts speak so that this can tell.
/// What a newer lab writes in parts of its own is not for this one to judge.
fn is_labs(part: &str, line: &str) -> bool {
    // The plain boxes among the goals are the learner's.
    let items: &[&str] = match part {
        "goals" => &["- [ ] **", "- [x] **"],
        "skills" | "levels" => &["- **", "- [ ] ", "- [x] "],
        "resume" => &["- **"],
        "phases" | "topics" | "lessons" => &[],
        _ => return true,
    };
    let line = line.trim();
    line.is_empty()
        || ["|", "#", "<!--"].iter().chain(items).any(|start| line.starts_with(start))
        || (line.starts_with('_') && line.ends_with('_'))
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> (Self, Vec<Damage>) {
        let mut reader = Reader::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            reader.line(line);
        }
        reader.finish()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => out.extend(text),
                Segment::Part(Part { name, body, .. }) => {
                    if out.last().is_some_and(|byte| *byte != b'\n') {
                        out.push(b'\n');
                    }
                    out.extend(
                        format!("<!-- lab:begin {name} -->\n{body}<!-- lab:end {name} -->\n")
                            .bytes(),
                    );
                }
            }
        }
        out
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Part(part) => Some(part),
            Segment::Text(_) => None,
        })
    }

    /// The learner's text alone.
    #[cfg(test)]
    pub(crate) fn text(&self) -> Vec<u8> {
        let texts = self.segments.iter().filter_map(|segment| match segment {
            Segment::Text(text) => Some(text.as_slice()),
            Segment::Part(_) => None,
        });
        texts.collect::<Vec<_>>().concat()
    }

    /// Writes a part anew, at its place. A part that the file lacks comes behind `after`, or in
    /// front of everything.
    pub(crate) fn set(&mut self, name: &str, after: Option<&str>, body: String) {
        let position = |wanted: &str, segments: &[Segment]| {
            segments
                .iter()
                .position(|segment| matches!(segment, Segment::Part(part) if part.name == wanted))
        };
        if let Some(at) = position(name, &self.segments) {
            if let Segment::Part(part) = &mut self.segments[at] {
                part.body = body;
            }
            return;
        }
        let part = Segment::Part(Part { name: name.to_owned(), line: 0, body });
        match after.and_then(|after| position(after, &self.segments)) {
            Some(at) => {
                self.segments.insert(at + 1, Segment::Text(b"\n".to_vec()));
                self.segments.insert(at + 2, part);
            }
            None => {
                self.segments.insert(0, part);
                self.segments.insert(1, Segment::Text(b"\n".to_vec()));
            }
        }
    }

    /// Adds a line at the end of the section under `## HEADING`, making the section where there is
    /// none. Not one byte of the learner's changes.
    pub(crate) fn append(&mut self, heading: &str, line: &str) {
        for segment in &mut self.segments {
            if let Segment::Text(text) = segment
                && let Some(at) = end_of_section(text, heading)
            {
                let before = if text[..at].ends_with(b"\n") { "" } else { "\n" };
                let after = if text[at..].starts_with(b"#") { "\n" } else { "" };
                text.splice(at..at, format!("{before}{line}\n{after}").bytes());
                return;
            }
        }
        let lead = if self.bytes().ends_with(b"\n") { "" } else { "\n" };
        self.segments.push(Segment::Text(format!("{lead}\n## {heading}\n\n{line}\n").into_bytes()));
    }
}

/// Where a section's last line of text ends.
fn end_of_section(text: &[u8], heading: &str) -> Option<usize> {
    let (mut at, mut end, mut fenced) = (0, None, false);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let words = String::from_utf8_lossy(line);
        let words = words.trim();
        if words.starts_with("```") {
            fenced = !fenced;
        }
        let title =
            (!fenced).then(|| words.strip_prefix("# ").or(words.strip_prefix("## "))).flatten();
        match (title, end) {
            (Some(_), Some(_)) => return end,
            (Some(title), None) if title.trim().eq_ignore_ascii_case(heading) => {
                // An empty section keeps the blank line under its heading.
                let blank = text[at + line.len()..].starts_with(b"\n");
                end = Some(at + line.len() + usize::from(blank));
            }
            (None, Some(_)) if !words.is_empty() => end = Some(at + line.len()),
            _ => {}
        }
        at += line.len();
    }
    end
}

#[derive(Default)]
struct Reader {
    segments: Vec<Segment>,
    text: Vec<u8>,
    damage: Vec<Damage>,
    /// The part that is open, and its lines.
    open: Option<(String, usize, Vec<Vec<u8>>)>,
    number: usize,
}

impl Reader {
    fn line(&mut self, line: &[u8]) {
        self.number += 1;
        match marker(line) {
            Some(Marker::Begin(name)) => {
                self.break_off();
                self.flush_text();
                self.open = Some((name.to_owned(), self.number + 1, Vec::new()));
            }
            Some(Marker::End(name)) => match self.open.take() {
                Some((open, first, lines)) if open == name => self.close(open, first, &lines),
                open => {
                    self.open = open;
                    self.break_off();
                    self.damage.push(Damage::new(
                        self.number,
                        format!("the end of the part {name}, which never began"),
                    ));
                }
            },
            None => match &mut self.open {
                Some((_, _, lines)) => lines.push(line.to_vec()),
                None => self.text.extend(line),
            },
        }
    }

    /// A part with both markers. Lines of the learner's inside it move behind it.
    fn close(&mut self, name: String, first: usize, lines: &[Vec<u8>]) {
        let mut body = String::new();
        for (number, line) in lines.iter().enumerate() {
            let words = String::from_utf8_lossy(line);
            if is_labs(&name, &words) {
                body.push_str(&words);
            } else {
                // An empty line in its place: the lines after it keep their numbers.
                body.push('\n');
                self.damage.push(Damage::new(
                    first + number,
                    format!("text inside the lab's part {name}; moved out below it"),
                ));
                self.text.extend(line);
            }
        }
        self.part(name, first, body);
    }

    /// A part that never ends: what looks like the lab's is taken as its body up to the next
    /// chapter, the rest is the learner's.
    fn break_off(&mut self) {
        let Some((name, first, lines)) = self.open.take() else {
            return;
        };
        self.damage.push(Damage::new(
            first.saturating_sub(1),
            format!(
                "the part {name} has lost its end marker; text that may be yours is kept below it"
            ),
        ));
        let mut body = String::new();
        let mut chapters = 0;
        for line in lines {
            let words = String::from_utf8_lossy(&line);
            chapters += usize::from(words.starts_with("## "));
            if chapters < 2 && is_labs(&name, &words) {
                body.push_str(words.trim_end_matches('\n'));
            } else {
                self.text.extend(line);
            }
            body.push('\n');
        }
        self.part(name, first, body);
    }

    /// Adds a part, and behind it whatever text was taken out of it.
    fn part(&mut self, name: String, line: usize, body: String) {
        let text = mem::take(&mut self.text);
        self.segments.push(Segment::Part(Part { name, line, body }));
        self.text = text;
    }

    fn flush_text(&mut self) {
        let text = mem::take(&mut self.text);
        if !text.is_empty() {
            self.segments.push(Segment::Text(text));
        }
    }

    fn finish(mut self) -> (Document, Vec<Damage>) {
        self.break_off();
        self.flush_text();
        (Document { segments: self.segments }, self.damage)
    }
}
