//! What a learner has done. `desk/PROGRESS.md` is the only store: it is Markdown that people read,
//! and the lab reads it back.
//!
//! - [`document`] splits the file into the lab's parts and the learner's text, which it keeps byte
//!   for byte;
//! - [`read`] takes the figures out of the lab's parts, and names what it cannot understand;
//! - [`form`] writes the lab's parts anew;
//! - [`file`] locks, backs up and replaces the file.

pub(crate) mod document;
pub(crate) mod file;
pub(crate) mod form;
pub(crate) mod read;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::BTreeMap};

use crate::{
    fingerprint,
    workspace::{Located, Workspace},
};

/// A lesson's id, ordered as a reader counts: `01.2` before `01.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) String);

impl Id {
    fn parts(&self) -> (&str, u32, &str) {
        let (topic, number) = self.0.split_once('.').unwrap_or((&self.0, ""));
        (topic, number.parse().unwrap_or(u32::MAX), &self.0)
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Pending,
    InProgress,
    Completed,
    /// Completed once; the learner's file, the task or its checks changed since.
    Stale,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Stale => "stale",
        }
    }
}

/// One lesson's row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// When it was last graded, or started.
    pub(crate) date: String,
    /// Checks passed, and checks there were, in the last grading.
    pub(crate) passed: Option<(u32, u32)>,
    pub(crate) attempts: u32,
    pub(crate) hints: u32,
    /// The day on which the reference was first looked at; empty when never.
    pub(crate) peeked: String,
    /// What was measured when it passed.
    pub(crate) figures: String,
    /// Fingerprints: the learner's file and the checks when they last passed, the starter that the
    /// file began from.
    pub(crate) file: String,
    pub(crate) checks: String,
    pub(crate) starter: String,
    /// Decoys that were looked at.
    pub(crate) seen: Vec<String>,
    /// Marks of a newer version of the lab, carried along.
    pub(crate) other: Vec<String>,
}

impl Record {
    /// Whether the row says nothing that a fresh form does not say.
    pub(crate) fn is_blank(&self) -> bool {
        *self == Self { name: self.name.clone(), ..Self::default() }
    }

    /// Whether the row shows the pass that its status claims: all of its checks, by a known file.
    pub(crate) fn is_earned(&self) -> bool {
        !self.file.is_empty() && self.passed.is_some_and(|(passed, all)| all > 0 && passed == all)
    }

    /// Whether it passed. A stale lesson did: an update of the project takes no progress away.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Stale)
    }
}

/// A phase's own goals, in percent. The learner may edit them in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) initial: u8,
    pub(crate) target: u8,
}

impl Default for Aim {
    fn default() -> Self {
        Self { initial: 0, target: 100 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// The day on which the file was begun.
    pub(crate) started: String,
    /// The lesson that `cargo lab check` takes when none is named.
    pub(crate) current: Option<Id>,
    /// When something was last done, and what.
    pub(crate) last: Option<(String, String)>,
    pub(crate) aims: BTreeMap<String, Aim>,
    pub(crate) records: BTreeMap<Id, Record>,
}

/// What is no longer as it was when a lesson was started or passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The starter differs from the one that the learner began from.
    Task,
    /// The checks differ from those that the file passed.
    Checks,
    /// The learner's file differs from the one that passed.
    File,
}

impl Change {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Task => "the task changed upstream",
            Self::Checks => "the checks changed upstream",
            Self::File => "your file changed since it passed",
        }
    }
}

impl Progress {
    pub(crate) fn record(&self, found: Located<'_>) -> Option<&Record> {
        self.records.get(&Id(found.lesson.id.clone()))
    }

    /// The row of a lesson, made when there is none yet.
    pub(crate) fn record_mut(&mut self, found: Located<'_>) -> &mut Record {
        let record = self.records.entry(Id(found.lesson.id.clone())).or_default();
        record.name.clone_from(&found.lesson.name);
        record
    }

    pub(crate) fn status(&self, found: Located<'_>) -> Status {
        self.record(found).map_or(Status::Pending, |record| record.status)
    }

    /// The chosen lesson; else the first ready one that is not done; else the last ready one.
    pub(crate) fn current<'w>(&self, workspace: &'w Workspace) -> Option<Located<'w>> {
        let chosen = self
            .current
            .as_ref()
            .and_then(|id| workspace.ready().find(|found| found.lesson.id == id.0));
        chosen.or_else(|| self.next_open(workspace, None)).or_else(|| workspace.ready().last())
    }

    pub(crate) fn is_done(&self, found: Located<'_>) -> bool {
        self.record(found).is_some_and(Record::is_done)
    }

    /// The first ready lesson that never passed, looking from behind `after` onwards first; when
    /// there is none, the first stale one.
    pub(crate) fn next_open<'w>(
        &self,
        workspace: &'w Workspace,
        after: Option<&str>,
    ) -> Option<Located<'w>> {
        let open = |found: &Located<'_>| !self.is_done(*found);
        let stale = |found: &Located<'_>| self.status(*found) == Status::Stale;
        let later = after.and_then(|id| {
            workspace.ready().skip_while(|found| found.lesson.id != id).skip(1).find(open)
        });
        later.or_else(|| workspace.ready().find(open)).or_else(|| workspace.ready().find(stale))
    }

    pub(crate) fn did(&mut self, when: String, what: impl Into<String>) {
        self.last = Some((when, what.into()));
    }

    pub(crate) fn done(&self, lessons: impl Iterator<Item = impl AsRef<str>>) -> usize {
        lessons
            .filter(|id| self.records.get(&Id(id.as_ref().to_owned())).is_some_and(Record::is_done))
            .count()
    }

    /// Sets completed rows to stale where something changed, and back where it was undone.
    pub(crate) fn refresh(&mut self, workspace: &Workspace) {
        for found in workspace.lessons() {
            let changed = !changes(workspace, found, self).is_empty();
            let Some(record) = self.records.get_mut(&Id(found.lesson.id.clone())) else {
                continue;
            };
            record.name.clone_from(&found.lesson.name);
            record.status = match (record.status, changed) {
                (Status::Completed | Status::Stale, true) => Status::Stale,
                (Status::Completed | Status::Stale, false) => Status::Completed,
                (other, _) => other,
            };
        }
    }
}

/// What changed about a lesson since the learner last met it, by content and not by date.
pub(crate) fn changes(
    workspace: &Workspace,
    found: Located<'_>,
    progress: &Progress,
) -> Vec<Change> {
    let Some(record) = progress.record(found) else {
        return Vec::new();
    };
    let differs =
        |kept: &str, now: Option<String>| !kept.is_empty() && now.is_none_or(|now| now != kept);
    let mut changes = Vec::new();
    if differs(&record.starter, fingerprint::of_file(&found.starter(workspace))) {
        changes.push(Change::Task);
    }
    if record.is_done() {
        if differs(&record.checks, fingerprint::of_checks(workspace, found)) {
            changes.push(Change::Checks);
        }
        if differs(&record.file, fingerprint::of_file(&found.desk_file(workspace))) {
            changes.push(Change::File);
        }
    }
    changes
}
