//! The sandbox as the lab sees it: a root folder, topics, lessons, and where each part of a lesson
//! lives. Everything is read from `sandbox/*/topic.toml`; the lab links no lesson.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

/// How many hints a lesson has: a question, a direction, nearly the code.
pub(crate) const HINTS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Ready,
    Planned,
}

/// Where the shop uses a topic: use case, pattern, example.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Use {
    pub(crate) case: String,
    pub(crate) pattern: String,
    pub(crate) example: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Lesson {
    /// Stable for ever: `01.2`. What progress is keyed by.
    pub(crate) id: String,
    /// The one name of the module, example, exercise, checks, bench and page.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) status: Stage,
    /// A guess at the time that a learner needs.
    #[serde(default)]
    pub(crate) minutes: Option<u32>,
    pub(crate) proves: String,
    #[serde(default)]
    pub(crate) hints: Vec<String>,
    /// What `cargo lab shop --mine` runs, where the learner's file has a place in the shop.
    #[serde(default)]
    pub(crate) mine: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Topic {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) phase: String,
    pub(crate) priority: String,
    /// 1 (an evening) to 5 (people write books about it).
    pub(crate) complexity: u8,
    pub(crate) time: String,
    pub(crate) status: Stage,
    pub(crate) why: String,
    pub(crate) build: String,
    #[serde(default)]
    pub(crate) shop: String,
    /// In words, for the reader.
    #[serde(default)]
    pub(crate) prerequisites: Vec<String>,
    /// Topic ids, for the map.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    /// First and last week in the timeline.
    #[serde(default)]
    pub(crate) weeks: Option<(u8, u8)>,
    #[serde(default)]
    pub(crate) concepts: Vec<String>,
    #[serde(default)]
    pub(crate) uses: Vec<Use>,
    #[serde(default, rename = "lesson")]
    pub(crate) lessons: Vec<Lesson>,
    /// The folder's name under `sandbox/`, `exercises/` and `desk/`: `01-caching`.
    #[serde(skip)]
    pub(crate) folder: String,
}

impl Topic {
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Lesson> {
        self.lessons.iter().filter(|lesson| lesson.status == Stage::Ready)
    }
}

/// A lesson and the topic that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) lesson: &'a Lesson,
}

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// In learning order, which is the order of the ids.
    pub(crate) topics: Vec<Topic>,
}

impl Workspace {
    /// Opens the workspace around the current folder; outside of one, the workspace that cargo
    /// says the lab was started from (`cargo run --manifest-path …`).
    pub(crate) fn open() -> Result<Self> {
        let here =
            env::current_dir().context("the current folder is gone\nNext: cd to your clone")?;
        let told = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = root_above(&here).or_else(|| root_above(&told?)).ok_or_else(|| {
            anyhow!(
                "{} is not inside the sandbox: no folder from here upwards has a Cargo.toml \
                     beside a sandbox/ folder\nNext: cd to your clone, then cargo lab",
                here.display()
            )
        })?;
        Ok(Self { topics: read_topics(&root)?, root })
    }

    pub(crate) fn lessons(&self) -> impl Iterator<Item = Located<'_>> {
        self.topics
            .iter()
            .flat_map(|topic| topic.lessons.iter().map(move |lesson| Located { topic, lesson }))
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = Located<'_>> {
        self.lessons().filter(|found| found.lesson.status == Stage::Ready)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Located<'_>> {
        self.lessons().find(|found| found.lesson.id == id)
    }

    /// Phases in the order in which the topics come to them.
    pub(crate) fn phases(&self) -> Vec<&str> {
        let mut phases: Vec<&str> = Vec::new();
        for topic in &self.topics {
            if !phases.contains(&topic.phase.as_str()) {
                phases.push(&topic.phase);
            }
        }
        phases
    }

    /// A path as the learner should read it: relative to the root where it lies below it.
    pub(crate) fn shown<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    pub(crate) fn desk(&self) -> PathBuf {
        self.root.join("desk")
    }

    pub(crate) fn backups(&self) -> PathBuf {
        self.desk().join("backups")
    }

    /// Tool state that may be deleted at any time.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join(".lab")
    }
}

impl Located<'_> {
    fn file(&self) -> String {
        format!("{}.rs", self.lesson.name)
    }

    /// The learner's file, the one that is graded.
    pub(crate) fn desk_file(&self, workspace: &Workspace) -> PathBuf {
        workspace.desk().join(&self.topic.folder).join(self.file())
    }

    pub(crate) fn sandbox(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join("sandbox").join(&self.topic.folder)
    }

    pub(crate) fn exercises(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join("exercises").join(&self.topic.folder)
    }

    pub(crate) fn starter(&self, workspace: &Workspace) -> PathBuf {
        self.exercises(workspace).join("starters").join(self.file())
    }

    /// The reference: `src/NAME.rs`, or `src/NAME/mod.rs` where a lesson needs several files.
    pub(crate) fn reference(&self, workspace: &Workspace) -> PathBuf {
        let source = self.sandbox(workspace).join("src");
        let folder = source.join(&self.lesson.name).join("mod.rs");
        if folder.is_file() { folder } else { source.join(self.file()) }
    }

    pub(crate) fn sandbox_package(&self, workspace: &Workspace) -> Result<String> {
        package_name(&self.sandbox(workspace))
    }

    pub(crate) fn exercises_package(&self, workspace: &Workspace) -> Result<String> {
        package_name(&self.exercises(workspace))
    }
}

fn root_above(start: &Path) -> Option<PathBuf> {
    start
        .ancestors()
        .find(|folder| folder.join("Cargo.toml").is_file() && folder.join("sandbox").is_dir())
        .map(Path::to_path_buf)
}

fn read_topics(root: &Path) -> Result<Vec<Topic>> {
    let sandbox = root.join("sandbox");
    let entries =
        fs::read_dir(&sandbox).with_context(|| format!("cannot list {}", sandbox.display()))?;
    let mut topics = Vec::new();
    for entry in entries {
        let folder = entry.with_context(|| format!("cannot list {}", sandbox.display()))?.path();
        let file = folder.join("topic.toml");
        if !file.is_file() {
            continue;
        }
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut topic: Topic = toml::from_str(&text)
            .with_context(|| format!("cannot understand {}\nNext: git diff {0}", file.display()))?;
        topic.folder = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        topics.push(topic);
    }
    if topics.is_empty() {
        bail!("{} holds no topic.toml\nNext: git status", sandbox.display());
    }
    topics.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(topics)
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

fn package_name(folder: &Path) -> Result<String> {
    let file = folder.join("Cargo.toml");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}\nNext: git status", file.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))?;
    Ok(manifest.package.name)
}
