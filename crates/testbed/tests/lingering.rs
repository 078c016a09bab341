//! A broker that lingers: one for all programs, and gone some time after the last of them.
//! Programs are played by this very program.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapin::{Connection, ConnectionProperties};
use tempfile::TempDir;
use testbed::rabbitmq;

/// RabbitMQ takes some seconds to start, on a busy machine several more.
const SOON: Duration = Duration::from_secs(90);

/// Set only for the child processes of these tests.
const PART: &str = "TESTBED_TEST_PART";

/// A clone of its own: no server of the person who runs the tests is seen or touched.
struct Clone {
    state: TempDir,
    linger: &'static str,
}

impl Clone {
    fn new(linger: &'static str) -> Self {
        Self { state: tempfile::tempdir().unwrap(), linger }
    }

    fn with(&self, mut command: Command) -> Command {
        command
            .env("TESTBED_STATE", self.state.path())
            .env("TESTBED_LINGER", self.linger)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env_remove("AMQP_URL")
            .env_remove("TESTBED_ONLY");
        command
    }

    /// A program that takes a virtual host, says so, and holds it for a minute.
    fn program(&self) -> Program {
        Program(self.prepared().spawn().unwrap())
    }

    /// The same, told which broker to use.
    fn at(&self, url: &str) -> Program {
        Program(self.prepared().env("AMQP_URL", url).spawn().unwrap())
    }

    fn prepared(&self) -> Command {
        let mut program = self.with(Command::new(std::env::current_exe().unwrap()));
        program
            .args(["--exact", "program", "--ignored", "--nocapture"])
            .env(PART, "hold")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program
    }

    fn testbed(&self, words: &str) -> String {
        let mut command = self.with(Command::new(env!("CARGO_BIN_EXE_testbed")));
        let output = command.args(words.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    fn record(&self) -> serde_json::Value {
        let record = fs::read_to_string(self.state.path().join("servers/rabbitmq.json"));
        serde_json::from_str(&record.unwrap()).unwrap()
    }

    fn room(&self) -> PathBuf {
        self.record()["room"].as_str().unwrap().into()
    }
}

/// No broker is left behind, also when a test fails.
impl Drop for Clone {
    fn drop(&mut self) {
        self.testbed("down rabbitmq");
    }
}

struct Program(Child);

impl Program {
    /// What it says when it has its virtual host: the broker's process, and the URL.
    fn ready(&mut self) -> (u32, String) {
        let ready = self.ready_line();
        let (origin, url) = ready.split_once(" at ").unwrap();
        (origin.rsplit_once(' ').unwrap().1.parse().unwrap(), url.to_owned())
    }

    fn ready_line(&mut self) -> String {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
        ready.expect("it has a virtual host")
    }

    fn kill(mut self) -> String {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        std::io::read_to_string(self.0.stderr.take().unwrap()).unwrap()
    }
}

#[tokio::test]
#[ignore = "a program's part, played for the tests below"]
async fn program() {
    if std::env::var(PART).is_ok() {
        let rabbit = rabbitmq::private().await.unwrap_or_else(|missing| panic!("{missing}"));
        println!("\nready {} at {}", rabbit.origin(), rabbit.url());
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// A dead process whose parent lives keeps its number until it is buried.
fn running(pid: u32) -> bool {
    let shown = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    !shown.trim().is_empty() && !shown.starts_with('Z')
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn welcomes(url: &str) -> bool {
    Connection::connect(url, ConnectionProperties::default()).await.is_ok()
}

#[tokio::test]
async fn two_programs_start_one_broker_and_it_ends_after_both_were_killed() {
    let clone = Clone::new("3");
    let (mut one, mut other) = (clone.program(), clone.program());
    let (broker, url_of_one) = one.ready();
    let (same, url_of_other) = other.ready();
    assert_eq!(broker, same);
    assert_ne!(url_of_one, url_of_other);
    assert_eq!(clone.record()["lingers"], true);
    let room = clone.room();
    assert!(room.is_dir());

    let said = one.kill();
    // What was the killed program's goes at once; the other has its own, and the broker lives.
    let deadline = Instant::now() + SOON;
    while welcomes(&url_of_one).await {
        assert!(Instant::now() < deadline, "the virtual host of the killed program is gone");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Longer than it lingers: it has a user.
    std::thread::sleep(Duration::from_secs(5));
    assert!(welcomes(&url_of_other).await && running(broker));

    let said = said + &other.kill();
    assert_eq!(said.matches("RabbitMQ takes some seconds to start").count(), 1, "{said}");
    eventually("the broker is gone", || !running(broker));
    eventually("its room is gone", || !room.exists());
    let down = clone.testbed("down rabbitmq");
    assert!(down.contains("was not up"), "{down}");
}

#[test]
fn a_broker_that_is_asked_for_by_name_stays_and_down_ends_one_at_once() {
    let clone = Clone::new("2");
    let mut program = clone.program();
    let (broker, _) = program.ready();
    let up = clone.testbed("up rabbitmq");
    assert!(up.contains("was up already"), "{up}");
    program.kill();
    std::thread::sleep(Duration::from_secs(4));
    assert!(running(broker), "it was asked to stay");

    let room = clone.room();
    let began = Instant::now();
    let down = clone.testbed("down rabbitmq");
    assert!(down.contains("RabbitMQ is down"), "{down}");
    assert!(!running(broker) && !room.exists());
    println!("down in {:?}", began.elapsed());
}

#[test]
fn a_broker_ends_also_when_its_clone_is_deleted() {
    let clone = Clone::new("2");
    let mut program = clone.program();
    let (broker, _) = program.ready();
    let room = clone.room();
    fs::remove_dir_all(clone.state.path()).unwrap();
    program.kill();
    eventually("the broker is gone", || !running(broker));
    eventually("its room is gone", || !room.exists());
    fs::create_dir(clone.state.path()).unwrap();
}

#[test]
fn a_broker_whose_first_program_is_killed_before_it_is_ready_serves_the_next() {
    let clone = Clone::new("3");
    let program = clone.program();
    let record = clone.state.path().join("servers/rabbitmq.json");
    eventually("the broker is on record", || record.exists());
    let broker = clone.record()["pid"].as_u64().unwrap();
    program.kill();
    let mut next = clone.program();
    assert_eq!(u64::from(next.ready().0), broker);
    next.kill();
    eventually("the broker is gone", || !running(broker.try_into().unwrap()));
}

#[test]
fn a_url_names_a_broker_of_the_test_bed_or_is_refused() {
    let clone = Clone::new("3");
    let mut program = clone.program();
    let (broker, _) = program.ready();
    let url = clone.record()["url"].as_str().unwrap().to_owned();

    let elsewhere = Clone::new("3");
    let mut guest = elsewhere.at(&url);
    assert!(guest.ready_line().contains("· shared, from AMQP_URL at amqp://"));
    guest.kill();
    assert!(running(broker), "it was somebody else's");

    // A port at which nobody of the test bed's listens.
    let mut refused = elsewhere.at("amqp://guest:secret@127.0.0.1:1/%2F");
    refused.0.wait().unwrap();
    let said = std::io::read_to_string(refused.0.stdout.take().unwrap()).unwrap() + &refused.kill();
    assert!(said.contains("AMQP_URL is set, but: 127.0.0.1:1: "), "{said}");
    assert!(said.contains("next: correct AMQP_URL"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(!elsewhere.state.path().join("servers/rabbitmq.json").exists(), "no second best");
    program.kill();
}

/// Erlang's port mapper is a daemon on all interfaces that would stay; ours starts none.
#[cfg(target_os = "linux")]
#[test]
fn the_broker_listens_on_the_loopback_alone() {
    let clone = Clone::new("2");
    let mut program = clone.program();
    let (broker, _) = program.ready();
    let sockets: Vec<PathBuf> = fs::read_dir(format!("/proc/{broker}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    let ours = |inode: &str| sockets.contains(&PathBuf::from(format!("socket:[{inode}]")));
    let mut listening = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(Path::new(table)).unwrap().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && ours(fields[9]) {
                listening.push(fields[1].split_once(':').unwrap().0.to_owned());
            }
        }
    }
    // 127.0.0.1, as the kernel writes it: AMQP, and our hand.
    assert_eq!(listening, ["0100007F", "0100007F"]);
    program.kill();
}
