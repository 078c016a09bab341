//! LEARNING_PATH.md: the map of the whole curriculum, rendered from every topic.toml. The root of
//! the project holds the map of the project; the desk holds the learner's, with their own status.

use std::fmt::Write as _;

use crate::{
    progress::{Progress, form, table},
    screen::count,
    workspace::{Located, Stage, Topic, Workspace},
};

const GENERATED: &str =
    "<!-- Rendered by `cargo lab audit --fix` from sandbox/*/topic.toml. Edit those. -->\n\n";
const WEEKS: u8 = 12;

const INTRODUCTION: &str = "\
Fifteen topics and a set of projects, from the first cache to consensus. You learn each pattern
three times: you run it and see the figures, you break it and see what a fault does to it, and you
write it, graded by checks that pause servers, cut connections and hold replies back on purpose.
All of it happens in one shop, so that every pattern has a reason to exist.

## How to use this roadmap

1. Go in the order of the numbers, or follow the arrows of the map to what you need first.
2. For each lesson: predict, run the example, start the task, let the checks argue with you, read
   the wrong answers, and only then compare your file with the reference.
3. `cargo lab` always knows where you are. It keeps `desk/PROGRESS.md` and your own copy of this
   map, `desk/LEARNING_PATH.md`; `git pull` touches neither.
4. Do not hurry: the times below are for evenings and weekends, and a lesson that passed without a
   hint is worth two that passed with the solution open.
";

const LEGEND: &str = "\
## Legend

| mark                          | meaning                                                       |
| ----------------------------- | ------------------------------------------------------------- |
| ready                         | every part is there: example, task, checks, benchmark, page   |
| planned                       | described here, not built yet                                 |
| pending                       | ready, and you have not begun it                              |
| in progress, completed, stale | yours; stale: something changed since it passed               |
| high, medium, low             | priority for someone who builds services                      |
| complexity 1 to 5             | 1 is an evening; 5 is what people write books about           |
";

const COMMANDS: &str = "\
## Quick commands

```console
$ cargo lab                      # where you are, and what is next
$ cargo lab list                 # every lesson and its status
$ cargo lab run cache_aside      # the example: the problem, then the pattern, with figures
$ cargo lab start cache_aside    # the task, and your file for it
$ cargo lab check cache_aside    # grade your file
$ cargo lab watch                # grade whenever you save
$ cargo lab hint cache_aside     # one step at a time, three in all
$ cargo lab why cache_aside      # a wrong answer, and how it dies
$ cargo lab solution cache_aside # your file beside the reference
$ cargo lab doctor               # what this machine has, and what is missing
```
";

const BOOKS: &str = "\
## Books and sources

- Martin Kleppmann, *Designing Data-Intensive Applications*: the one to read first; topics 01, 02,
  05, 06, 10, 15.
- Michael T. Nygard, *Release It!*: stability patterns, and the outages behind them; topics 03, 04.
- Chris Richardson, *Microservices Patterns*: sagas, outbox, CQRS, API composition; topics 06, 09, 10.
- Sam Newman, *Building Microservices*: where to cut a system, and how to run the parts.
- Betsy Beyer and others, *Site Reliability Engineering* and *The Site Reliability Workbook*
  (<https://sre.google/books/>): objectives, alerting, overload; topics 03, 07.
- Alex Petrov, *Database Internals*: storage and distributed agreement from below; topics 02, 15.
- Charity Majors and others, *Observability Engineering*; topic 07.
- Brendan Gregg, *Systems Performance*: how to measure without fooling yourself.
- Mara Bos, *Rust Atomics and Locks*, and the Tokio tutorial (<https://tokio.rs/tokio/tutorial>): the
  ground that all lessons stand on.
- Marc Brooker's notes (<https://brooker.co.za/blog/>), the Amazon Builders' Library
  (<https://aws.amazon.com/builders-library/>), Jepsen's analyses (<https://jepsen.io/analyses>).
- The documentation of Redis (<https://redis.io/docs/>), RabbitMQ (<https://www.rabbitmq.com/docs>)
  and PostgreSQL (<https://www.postgresql.org/docs/>).
";

/// The whole file. Without progress it is the project's map; with it, the learner's.
pub(crate) fn render(workspace: &Workspace, progress: Option<&Progress>) -> String {
    let mut out = match progress {
        None => format!("{GENERATED}# Learning path\n\n"),
        Some(_) => {
            "<!-- Rendered by the lab whenever your progress changes; write in PROGRESS.md. -->\n\n\
                    # Your learning path\n\n"
                .to_owned()
        }
    };
    out += INTRODUCTION;
    out.push('\n');
    out += LEGEND;
    overview(&mut out, workspace, progress);
    map(&mut out, workspace);
    timeline(&mut out, workspace);
    for phase in workspace.phases() {
        let _ = write!(out, "\n## {phase}\n");
        for topic in workspace.topics.iter().filter(|topic| topic.phase == phase) {
            chapter(&mut out, workspace, topic, progress);
        }
    }
    out.push('\n');
    out += COMMANDS;
    out.push('\n');
    out += BOOKS;
    out
}

fn status_of(topic: &Topic, progress: Option<&Progress>) -> String {
    match progress {
        Some(progress) => form::topic_status(topic, progress).to_owned(),
        None => match topic.ready().count() {
            0 => "planned".to_owned(),
            ready if ready == topic.lessons.len() => "ready".to_owned(),
            ready => format!("{ready} of {} ready", topic.lessons.len()),
        },
    }
}

fn heading(topic: &Topic) -> String {
    format!("{} {}", topic.id, topic.title)
}

/// GitHub's anchor of a heading: lower case, spaces as hyphens, other punctuation dropped.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' | '-' => Some('-'),
            c if c.is_alphanumeric() || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn overview(out: &mut String, workspace: &Workspace, progress: Option<&Progress>) {
    let rows: Vec<Vec<String>> = workspace
        .topics
        .iter()
        .map(|topic| {
            vec![
                topic.id.clone(),
                format!("[{}](#{})", topic.title, anchor(&heading(topic))),
                status_of(topic, progress),
                topic.priority.clone(),
                topic.complexity.to_string(),
                topic.time.clone(),
            ]
        })
        .collect();
    out.push_str("\n## The topics\n\n");
    out.push_str(&table::write(
        &["id", "topic", "status", "priority", "complexity", "time"],
        &rows,
    ));
}

fn map(out: &mut String, workspace: &Workspace) {
    out.push_str("\n## The map\n\nAn arrow leads from what you need to what builds on it.\n\n```mermaid\nflowchart LR\n");
    for (number, phase) in workspace.phases().into_iter().enumerate() {
        let _ = writeln!(out, "  subgraph phase{number}[\"{phase}\"]");
        for topic in workspace.topics.iter().filter(|topic| topic.phase == phase) {
            let _ = writeln!(out, "    t{}[\"{}\"]", topic.id, heading(topic));
        }
        out.push_str("  end\n");
    }
    for topic in &workspace.topics {
        for earlier in &topic.requires {
            let _ = writeln!(out, "  t{earlier} --> t{}", topic.id);
        }
    }
    out.push_str("```\n");
}

fn timeline(out: &mut String, workspace: &Workspace) {
    let planned: Vec<_> = workspace.topics.iter().filter(|topic| topic.weeks.is_some()).collect();
    if planned.is_empty() {
        return;
    }
    let mut rows = Vec::new();
    for week in 1..=WEEKS {
        let titles: Vec<String> = planned
            .iter()
            .filter(|topic| topic.weeks.is_some_and(|(first, last)| (first..=last).contains(&week)))
            .map(|topic| heading(topic))
            .collect();
        let work = if titles.is_empty() {
            "catch up; read the pages again; build one of the projects".to_owned()
        } else {
            titles.join(", then ")
        };
        rows.push(vec![week.to_string(), work]);
    }
    let _ = write!(
        out,
        "\n## Twelve weeks\n\nThe core, at six to eight hours a week. Later topics follow at your own pace.\n\n{}",
        table::write(&["week", "topic"], &rows)
    );
}

fn chapter(out: &mut String, workspace: &Workspace, topic: &Topic, progress: Option<&Progress>) {
    let _ = write!(out, "\n### {}\n\n", heading(topic));
    let _ = write!(
        out,
        "*{} · priority {} · complexity {} · {} · {}*\n\n",
        status_of(topic, progress),
        topic.priority,
        topic.complexity,
        topic.time,
        count(topic.lessons.len(), "lesson")
    );
    let _ = write!(
        out,
        "**Why learn this.**\n{}\n\n**What you build.**\n{}\n",
        topic.why.trim(),
        topic.build.trim()
    );
    if !topic.shop.is_empty() || !topic.uses.is_empty() {
        out.push_str("\n**Where the shop uses it.**");
        if !topic.shop.is_empty() {
            let _ = write!(out, " {}.", topic.shop.trim().trim_end_matches('.'));
        }
        out.push('\n');
    }
    if !topic.uses.is_empty() {
        let rows: Vec<_> = topic
            .uses
            .iter()
            .map(|used| vec![used.case.clone(), used.pattern.clone(), used.example.clone()])
            .collect();
        let _ = write!(out, "\n{}", table::write(&["use case", "pattern", "example"], &rows));
    }
    if !topic.prerequisites.is_empty() {
        out.push_str("\n**Prerequisites.** ");
        let _ = writeln!(out, "{}.", topic.prerequisites.join("; ").trim_end_matches('.'));
    }
    if !topic.concepts.is_empty() {
        // A concept is ticked when every lesson of the topic that there is has passed.
        let complete = progress.is_some_and(|progress| {
            let ready: Vec<_> = topic.ready().map(|lesson| lesson.id.clone()).collect();
            !ready.is_empty() && progress.done(ready.iter()) == ready.len()
        });
        out.push_str("\n**Key concepts to master**\n\n");
        for concept in &topic.concepts {
            let _ = writeln!(out, "- [{}] {concept}", if complete { "x" } else { " " });
        }
    }
    if !topic.lessons.is_empty() {
        let rows: Vec<_> = topic
            .lessons
            .iter()
            .map(|lesson| lesson_row(Located { topic, lesson }, progress))
            .collect();
        let _ = write!(out, "\n{}", table::write(&["id", "lesson", "status", "it proves"], &rows));
    }
    let folder = format!("sandbox/{}", topic.folder);
    if workspace.root.join(&folder).join("README.md").is_file() {
        let up = if progress.is_some() { "../" } else { "" };
        let _ = write!(out, "\nMore: [{folder}]({up}{folder}/README.md)\n");
    }
}

fn lesson_row(found: Located<'_>, progress: Option<&Progress>) -> Vec<String> {
    let lesson = found.lesson;
    let status = match (progress, lesson.status) {
        (_, Stage::Planned) => "planned",
        (Some(progress), Stage::Ready) => progress.status(found).word(),
        (None, Stage::Ready) => "ready",
    };
    vec![lesson.id.clone(), format!("`{}`", lesson.name), status.to_owned(), lesson.proves.clone()]
}
