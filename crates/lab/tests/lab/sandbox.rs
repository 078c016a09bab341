//! A small sandbox in a temporary folder, with a cargo of its own: a shell script that "builds"
//! graders which judge the learner's file by a word in it. So every answer of a real grader can be
//! had at will, in milliseconds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

pub(crate) const DESK_FILE: &str = "desk/01-caching/cache_aside.rs";

const TOPIC: &str = r#"
id = "01"
name = "caching"
title = "Caching"
phase = "Core patterns"
priority = "high"
complexity = 2
time = "1 week"
weeks = [1, 1]
status = "ready"
why = "Most reads ask for what was read a moment ago."
build = "A cache that no late refill can spoil."
shop = "Catalogue reads"
prerequisites = ["async Rust"]
concepts = ["hit and miss", "the stale refill"]

[[uses]]
case = "Product page"
pattern = "cache-aside"
example = "A price change is never overwritten by an old copy"

[[lesson]]
id = "01.1"
name = "data_types"
title = "Data types"
status = "planned"
proves = "the right type for each job"

[[lesson]]
id = "01.2"
name = "cache_aside"
title = "Cache-aside"
status = "ready"
minutes = 60
proves = "no reader leaves an old value behind after a write was acknowledged"
hints = ["What may happen **between** the read and the `SET`?", "Take a lease.", "Compare the lease when you store."]
mine = ["compare", "cache"]

[[lesson]]
id = "01.5"
name = "stampede"
title = "Stampede"
status = "ready"
minutes = 90
proves = "200 callers of a cold key cause one load"
hints = ["one", "two", "three"]
"#;

const LOCKS: &str = r#"
id = "02"
name = "locks"
title = "Distributed locks"
phase = "Core patterns"
priority = "high"
complexity = 3
time = "1 week"
weeks = [2, 3]
status = "planned"
why = "A mutex ends where the process ends."
build = "A lease with tokens."
requires = ["01"]
concepts = ["a lease"]

[[lesson]]
id = "02.1"
name = "oversell"
title = "Oversell"
status = "planned"
proves = "makes the race happen on demand"
"#;

pub(crate) const STARTER: &str = "\
//! # 01.2 · Cache-aside
//!
//! Build a cache beside a database. The contract is [`CacheAside`], see
//! sandbox/01-caching/src/cache_aside.rs.
//!
//! 1. No reader leaves an old value behind.
//! 2. A hit costs one round trip.

pub struct MyCache;
";

const DECOYS: &str = "\
//! Wrong answers.

/// Deletes the key and trusts that nobody was reading: a slow reader then stores the old value.
struct PlainDelete;

/// Stores, and sets the time to live in a second step.
#[derive(Clone)]
struct SetThenExpire;

made_by_a_macro! {
    /// The same time to live for all.
    SameTtl,
}

/// The database, always.
type NeverCaches = Plain<Never>;
";

/// Answers `test … --test TARGET --no-run`, `run`, `bench` and `--version`.
const CARGO: &str = r#"#!/bin/sh
root="$(dirname "$(dirname "$0")")"
echo "$*" >> "$root/bin/calls"
[ "$1" = --version ] && { echo "cargo 1.95.0 (fixture)"; exit 0; }
case "$*" in
  *"-p testbed -- doctor"*) echo "ok       redis      Redis 7.0.15"; exit 0;;
  *"-p testbed -- up --port no"*) exit 2;;
  *"-p shop-mine"*) shift 3; echo "the shop of $*"; exit 0;;
  *"-p shop"*) shift 5; echo "the shop: $*"; exit 0;;
  *"-p testbed"*) shift 5; echo "testbed: $*"; exit 0;;
  *"--example"*) echo "the example speaks"; [ -e "$root/bin/hang" ] && { echo $$ > "$root/bin/pid"; exec sleep 60; }; exit 0;;
  bench*) echo "the benchmark speaks"; exit 0;;
esac
while [ "$#" -gt 0 ]; do [ "$1" = --test ] && target="$2"; shift; done
if [ "$target" != audit ] && grep -q SYNTAX "$root/desk/01-caching/$target.rs"; then
  echo "error: expected item, found SYNTAX" >&2
  exit 101
fi
echo '{"reason":"build-script-executed"}'
echo "{\"reason\":\"compiler-artifact\",\"executable\":\"$root/bin/$target\",\"manifest_path\":\"$root/exercises/01-caching/Cargo.toml\"}"
"#;

/// Grades by words in the file: RIGHT, UNSURE, CRASH, HANG; else one check of three fails.
const GRADER: &str = r#"#!/bin/sh
root="$(dirname "$(dirname "$0")")"
lesson="$(basename "$0")"
file="$root/desk/01-caching/$lesson.rs"
line() {
  printf '{"lesson":"%s","subject":"desk","check":"%s","title":"%s","verdict":"%s","seed":7,"millis":%s,"rounds":%s,"message":"%s"}\n' \
    "$lesson" "$1" "$2" "$3" "$4" "$GRADING_REPEAT" "$5" >> "$GRADING_REPORT"
}
[ "$1" = --list ] && { for check in hit slow_reader redis_down; do echo "$check: test"; done; exit 0; }
grep -q CRASH "$file" && { echo "the grader fell over"; exit 101; }
line hit "A hit costs one round trip." valid 12 ""
grep -q HANG "$file" && { echo $$ > "$root/bin/pid"; exec sleep 60; }
if grep -q RIGHT "$file"; then
  line slow_reader "No reader leaves an old value behind after a write was acknowledged." valid 1600 ""
  exit 0
fi
if grep -q UNSURE "$file"; then
  line slow_reader "No reader leaves an old value behind after a write was acknowledged." inconclusive 30 \
    "inconclusive: no server\n  because   Redis is missing\n$(sed -n 's/^UNSURE *//p' "$file")"
  exit 1
fi
# Checks end in any order.
line redis_down "When Redis is down, the database answers." invalid 40 "broken: redis_down\n"
line slow_reader "No reader leaves an old value behind after a write was acknowledged." invalid 16 \
  "broken: No reader leaves an old value behind\n\n  reader  GET ... SET old\n  writer        DEL\n\n  expected  new\n  saw       old\n"
exit 1
"#;

/// Lists itself like libtest, and rejects every decoy but those named in `bin/survives`.
const AUDIT: &str = r#"#!/bin/sh
root="$(dirname "$(dirname "$0")")"
decoys="plain_delete:slow_reader set_then_expire:ttl same_ttl:ttl never_caches:hit"
if [ "$1" = --list ]; then
  for lesson in cache_aside stampede; do
    echo "$lesson::starter: test"; echo "$lesson::reference::hit: test"
    for decoy in $decoys; do echo "$lesson::decoy::${decoy%%:*}: test"; done
  done
  exit 0
fi
[ "$1" = --exact ] && shift
[ "$#" -gt 1 ] && { echo "error: unexpected argument '$2' found"; exit 2; }
wanted="$*"
status=0
line() {
  printf '{"lesson":"%s","subject":"%s","check":"%s","title":"t","verdict":"%s","seed":9,"millis":20,"rounds":%s,"message":"%s"%s}\n' \
    "$1" "$2" "$3" "$4" "$GRADING_REPEAT" "$5" "$6" >> "$GRADING_REPORT"
}
for lesson in cache_aside stampede; do
  case "$wanted" in *"$lesson"*) ;; *) continue;; esac
  case "$wanted" in
    *decoy*) ;;
    *) line $lesson starter hit invalid "broken"; line $lesson reference hit valid "";;
  esac
  for decoy in $decoys; do
    case "$wanted" in *decoy*) case "$wanted" in *"${decoy%%:*}"*) ;; *) continue;; esac;; esac
    verdict=invalid
    grep -qs "${decoy%%:*}" "$root/bin/survives" && { verdict=valid; status=1; }
    line $lesson "decoy:${decoy%%:*}" "${decoy##*:}" $verdict "a timeline of its death" ",\"expected_check\":\"${decoy##*:}\""
  done
done
exit $status
"#;

pub(crate) struct Sandbox {
    /// Removed when dropped.
    _folder: Option<TempDir>,
    pub(crate) root: PathBuf,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("lab").tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let sandbox = Self { _folder: Some(folder), root };
        sandbox.fill();
        sandbox
    }

    /// A second look at a folder that somebody else keeps.
    pub(crate) fn at(root: &Path) -> Self {
        Self { _folder: None, root: root.to_path_buf() }
    }

    pub(crate) fn fill(&self) {
        self.write("Cargo.toml", "[workspace]\n");
        self.write(".gitignore", "/target\n/desk\n/.lab\n/bin/calls\n/bin/pid\n");
        self.write("sandbox/01-caching/topic.toml", TOPIC);
        self.write("sandbox/02-locks/topic.toml", LOCKS);
        self.write("sandbox/01-caching/Cargo.toml", "[package]\nname = \"caching\"\n");
        self.write("sandbox/01-caching/README.md", "cache_aside and stampede\n");
        self.write("exercises/01-caching/Cargo.toml", "[package]\nname = \"caching-exercises\"\n");
        self.write("exercises/01-caching/decoys/cache_aside.rs", DECOYS);
        // Where they stand does not matter, as long as it is with their lesson.
        self.write("exercises/01-caching/decoys/stampede/nearly.rs", DECOYS);
        self.write(
            "docs/SUMMARY.md",
            "- [c](lessons/cache_aside.md)\n- [s](lessons/stampede.md)\n",
        );
        for lesson in ["cache_aside", "stampede"] {
            self.write(&format!("exercises/01-caching/starters/{lesson}.rs"), STARTER);
            self.write(&format!("exercises/01-caching/checks/{lesson}.rs"), "// checks\n");
            self.write(&format!("exercises/01-caching/tests/{lesson}.rs"), "// target\n");
            self.write(
                &format!("sandbox/01-caching/src/{lesson}.rs"),
                "pub trait Contract {}\npub struct Reference;\n",
            );
            self.write(&format!("sandbox/01-caching/examples/{lesson}.rs"), "fn main() {}\n");
            self.write(&format!("sandbox/01-caching/benches/{lesson}.rs"), "fn main() {}\n");
            self.write(&format!("docs/lessons/{lesson}.md"), "# Page\n");
            self.write(&format!("bin/texts/{lesson}"), GRADER);
        }
        self.write("examples/shop/mine/cache_aside.rs", "fn main() {}\n");
        self.write("bin/texts/cargo", CARGO);
        self.write("bin/texts/audit", AUDIT);
        self.install();
    }

    /// Makes the programs under `bin/` from their texts. Another process writes them: a program
    /// that this one held open for writing, or a child that it was just forking for another test,
    /// could not be executed ("text file busy").
    fn install(&self) {
        let install = "cp texts/* . && chmod 755 *";
        let mut shell = Command::new("sh");
        let status = shell.args(["-c", install]).current_dir(self.root.join("bin")).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.root.join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Names in a folder, sorted; empty where there is no folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The command, not yet run. It knows nothing of the workspace that the tests are built in.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO", self.root.join("bin/cargo"))
            .env("LAB_NOW", "2026-11-21 10:56")
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("SEED")
            .env_remove("GRADING_REPEAT")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn lab(&self, arguments: &[&str]) -> Seen {
        seen(&self.command(arguments).output().unwrap(), &self.root)
    }

    /// A run that must pass.
    pub(crate) fn passes(&self, arguments: &[&str]) -> Seen {
        let seen = self.lab(arguments);
        assert_eq!(seen.code, 0, "cargo lab {}: {seen:#?}", arguments.join(" "));
        seen
    }

    pub(crate) fn progress(&self) -> String {
        self.read("desk/PROGRESS.md")
    }

    /// A lesson's row in the progress table, its cells trimmed, without the lab's marks.
    pub(crate) fn row(&self, id: &str) -> String {
        let text = self.progress();
        let line =
            text.lines().find(|line| line.starts_with(&format!("| {id} "))).unwrap_or_default();
        let line = line.split("<!--").next().unwrap_or_default();
        line.split('|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join(" | ")
    }
}

pub(crate) fn seen(output: &Output, root: &Path) -> Seen {
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root.display().to_string(), "ROOT");
    Seen {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}
