//! Whether a lesson has all of its parts, and whether the metadata agrees with itself.

use std::{collections::HashSet, fs, path::Path};

use super::Lapse;
use crate::workspace::{HINTS, Located, Stage, Workspace};

/// What one topic.toml cannot see of the others.
pub(super) fn metadata(workspace: &Workspace) -> Vec<Lapse> {
    let mut lapses = Vec::new();
    let mut known = HashSet::new();
    let topics: HashSet<_> = workspace.topics.iter().map(|topic| topic.id.as_str()).collect();
    for topic in &workspace.topics {
        let file = format!("sandbox/{}/topic.toml", topic.folder);
        let mut lapse = |what: String| lapses.push(Lapse::new(what, format!("edit {file}")));
        if topic.status == Stage::Ready && topic.ready().count() == 0 {
            lapse(format!(
                "the topic {} says that it is ready, and none of its lessons is",
                topic.id
            ));
        }
        if topic.status == Stage::Planned && topic.ready().count() > 0 {
            lapse(format!(
                "the topic {} says that it is planned, and some of its lessons are ready",
                topic.id
            ));
        }
        for earlier in topic.requires.iter().filter(|id| !topics.contains(id.as_str())) {
            lapse(format!("the topic {} requires {earlier}, which there is not", topic.id));
        }
        for lesson in &topic.lessons {
            if lesson.id.split_once('.').map(|(of, _)| of) != Some(topic.id.as_str()) {
                lapse(format!("the id {} does not belong to the topic {}", lesson.id, topic.id));
            }
            for name in [&lesson.id, &lesson.name] {
                if !known.insert(name.as_str()) {
                    lapse(format!("two lessons are called {name}"));
                }
            }
        }
    }
    lapses
}

/// The parts that a ready lesson lacks.
pub(super) fn missing(workspace: &Workspace, found: Located<'_>) -> Vec<Lapse> {
    let name = &found.lesson.name;
    let file = format!("{name}.rs");
    let (sandbox, exercises) = (found.sandbox(workspace), found.exercises(workspace));
    let mut lapses = Vec::new();
    let mut need = |there: bool, part: &str, then: String| {
        if !there {
            lapses.push(Lapse::new(format!("{name} lacks {part}"), then));
        }
    };
    let write = |path: &Path| format!("write {}", workspace.shown(path));
    let holds = |path: &Path, needle: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.contains(needle))
    };

    let reference = found.reference(workspace);
    need(reference.is_file(), "its module", write(&reference));
    // A lesson in several files may keep its contract in any of them, and lessons of a topic may
    // share one, which then lies beside them.
    let source = sandbox.join("src");
    let contract = holds(&reference, "pub trait")
        || any_file_holds(&source.join(name), "pub trait")
        || used_by(&reference)
            .any(|module| holds(&source.join(format!("{module}.rs")), "pub trait"));
    need(
        contract,
        "its contract",
        format!("write a `pub trait` in {}", workspace.shown(&reference)),
    );
    let checks = exercises.join("checks").join(&file);
    let checks_there = checks.is_file() || exercises.join("checks").join(name).is_dir();
    need(checks_there, "its checks", write(&checks));
    let example = sandbox.join("examples").join(&file);
    let in_a_folder = example.with_extension("").join("main.rs");
    need(example.is_file() || in_a_folder.is_file(), "its example", write(&example));
    for (part, path) in [
        ("its benchmark", sandbox.join("benches").join(&file)),
        ("its starter", found.starter(workspace)),
        ("its test target", exercises.join("tests").join(&file)),
        ("its page", workspace.root.join("docs/lessons").join(format!("{name}.md"))),
    ] {
        need(path.is_file(), part, write(&path));
    }
    if !found.lesson.mine.is_empty() {
        let mine = workspace.root.join("examples/shop/mine").join(&file);
        need(mine.is_file(), "its place in the shop", write(&mine));
    }
    let summary = workspace.root.join("docs/SUMMARY.md");
    need(
        holds(&summary, &format!("lessons/{name}.md")),
        "its line in docs/SUMMARY.md",
        format!("list lessons/{name}.md there"),
    );
    let readme = sandbox.join("README.md");
    need(
        holds(&readme, name),
        "a mention in its topic's README",
        format!("name it in {}", workspace.shown(&readme)),
    );
    let hints = found.lesson.hints.iter().filter(|hint| hint.trim().chars().count() > 1).count();
    need(
        hints == HINTS,
        "its three hints",
        format!(
            "write a question, a direction and nearly the code in sandbox/{}/topic.toml",
            found.topic.folder
        ),
    );
    lapses
}

/// The modules of its own crate that a source file names in `use crate::…`.
fn used_by(source: &Path) -> impl Iterator<Item = String> + use<> {
    let text = fs::read_to_string(source).unwrap_or_default();
    let modules: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("use crate::")?.split("::").next().map(str::to_owned))
        .collect();
    modules.into_iter()
}

fn any_file_holds(folder: &Path, needle: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(needle)))
}
