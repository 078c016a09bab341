//! No server outlives its owner. Each round starts this very program as an owner, kills it
//! with SIGKILL, and looks for what is left.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use testbed::server::supervised::{Launch, Supervised, Trouble};

const ROUNDS: usize = 50;
/// PostgreSQL's servers are slower to start, and what can go wrong is the same each time.
const ROUNDS_OF_POSTGRES: u32 = 20;
/// A broker takes seconds to start.
#[cfg(target_os = "linux")]
const ROUNDS_OF_RABBITMQ: u32 = 2;
/// Some milliseconds on a machine that has nothing else to do.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// What an owner is to do; set only for the child processes of these tests.
const PART: &str = "TESTBED_TEST_PART";

#[test]
#[ignore = "the owner's part, played for the tests below"]
fn owner() {
    match std::env::var(PART).as_deref() {
        Ok("ready") => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let redis = runtime.block_on(testbed::redis::process()).unwrap();
            println!("\nready {} {}", redis.pid().unwrap(), redis.room().unwrap().display());
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok("frozen") => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let postgres = testbed::postgres::process().await.unwrap();
                postgres.stop_process().await.unwrap();
                println!("\nready {}", postgres.pid().unwrap());
                std::thread::sleep(Duration::from_secs(60));
            });
        }
        Ok("postgres") => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let postgres = runtime.block_on(testbed::postgres::process()).unwrap();
            let mut session = testbed::postgres::Session::open(
                &testbed::postgres::Target::read(postgres.url()).unwrap(),
                Duration::from_secs(60),
            )
            .unwrap();
            println!("\nready {} {}", postgres.pid().unwrap(), postgres.room().unwrap().display());
            // A session that is at work would not notice the end of the first process.
            let _ = session.query("SELECT count(*) FROM generate_series(1, 1e12)");
        }
        Ok("rabbitmq") => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let rabbit = runtime.block_on(testbed::rabbitmq::process()).unwrap();
            println!("\nready {} {}", rabbit.pid().unwrap(), rabbit.room().unwrap().display());
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok("proxy") => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let nobody = "redis+unix:///nobody/listens";
                let proxy = testbed::proxy::Proxy::before(nobody).await.unwrap();
                let socket = proxy.url().strip_prefix("redis+unix://").unwrap();
                let room = Path::new(socket.split('?').next().unwrap()).parent().unwrap();
                // One that was made a minute ago may be about to be locked, and stays.
                let hour_ago = SystemTime::now() - Duration::from_secs(3600);
                File::open(room).unwrap().set_modified(hour_ago).unwrap();
                println!("\nready {}", room.display());
                std::thread::sleep(Duration::from_secs(60));
            });
        }
        Ok("waiting") => {
            let arguments = ["60".into()];
            let launch = Launch::plain(Path::new("sleep"), &arguments, Some("never"));
            let _ = Supervised::start(&Launch { patience: Duration::from_secs(60), ..launch });
        }
        _ => {}
    }
}

/// A folder for rooms, in memory where there is such a place, as they usually are. As root,
/// PostgreSQL works as somebody else, who must be let in.
fn rooms() -> tempfile::TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    let rooms = memory.or_else(|_| tempfile::tempdir()).unwrap();
    std::fs::set_permissions(rooms.path(), Permissions::from_mode(0o1777)).unwrap();
    rooms
}

fn play(part: &str, rooms: &Path) -> Child {
    act(part, rooms).spawn().unwrap()
}

fn act(part: &str, rooms: &Path) -> Command {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env(PART, part)
        .env("TMPDIR", rooms)
        .env_remove("TESTBED_ONLY")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    owner
}

fn running(pid: &str) -> bool {
    let mut ask = Command::new("kill");
    ask.args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
}

fn empty(rooms: &Path) -> bool {
    rooms.read_dir().unwrap().next().is_none()
}

/// Processes that work in a room: servers and supervisors, of which only Linux tells.
#[cfg(target_os = "linux")]
fn workers(rooms: &Path) -> usize {
    let place = |process: std::fs::DirEntry| process.path().join("cwd").read_link().ok();
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    processes.filter_map(place).filter(|place| place.starts_with(rooms)).count()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GONE_WITHIN, "within {GONE_WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

#[test]
fn the_server_is_gone_after_its_owner_was_killed() {
    let rooms = rooms();
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let mut owner = play("ready", rooms.path());
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
        let ready = ready.expect("the owner has a server");
        let (pid, room) = ready.split_once(' ').unwrap();
        assert!(running(pid) && Path::new(room).is_dir());
        owner.kill().unwrap();
        owner.wait().unwrap();
        let process = eventually("the server is gone", || !running(pid));
        let room = eventually("its room is gone", || empty(rooms.path()));
        longest = longest.max(process + room);
    }
    println!("longest of {ROUNDS}: {longest:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_server_whose_owner_was_killed_before_it_was_ready() {
    let rooms = rooms();
    for _ in 0..ROUNDS {
        let mut owner = play("waiting", rooms.path());
        // The supervisor, its guard and the server that never becomes ready.
        eventually("the server runs", || workers(rooms.path()) == 3);
        owner.kill().unwrap();
        owner.wait().unwrap();
        eventually("no process is left", || workers(rooms.path()) == 0);
        eventually("no room is left", || empty(rooms.path()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_whenever_the_owner_was_killed() {
    let rooms = rooms();
    for round in 0..ROUNDS {
        let mut owner = play("ready", rooms.path());
        // From before the supervisor starts until after the server is ready.
        std::thread::sleep(Duration::from_micros(500) * u32::try_from(round).unwrap());
        owner.kill().unwrap();
        owner.wait().unwrap();
        // A supervisor may still be about to make its room: only both together, and still
        // so a moment later, mean that nothing is left.
        let nothing = || workers(rooms.path()) == 0 && empty(rooms.path());
        eventually("nothing is left", nothing);
        std::thread::sleep(Duration::from_millis(20));
        eventually("nothing has come back", nothing);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_of_a_postgres_is_left_after_its_owner_was_killed() {
    let rooms = rooms();
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS_OF_POSTGRES {
        let mut owner = play("postgres", rooms.path());
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
        let ready = ready.expect("the owner has a server");
        let (pid, room) = ready.split_once(' ').unwrap();
        assert!(running(pid) && Path::new(room).is_dir());
        // The supervisor, its guard, the server, three or more of its own, and the session.
        eventually("all of it runs", || workers(rooms.path()) >= 7);
        owner.kill().unwrap();
        owner.wait().unwrap();
        let processes = eventually("no process is left", || workers(rooms.path()) == 0);
        let room = eventually("its room is gone", || empty(rooms.path()));
        longest = longest.max(processes + room);
    }
    println!("longest of {ROUNDS_OF_POSTGRES}: {longest:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_of_a_rabbitmq_is_left_after_its_owner_was_killed() {
    let rooms = rooms();
    for _ in 0..ROUNDS_OF_RABBITMQ {
        let mut owner = play("rabbitmq", rooms.path());
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
        let ready = ready.expect("the owner has a broker");
        let (pid, room) = ready.split_once(' ').unwrap();
        assert!(running(pid) && Path::new(room).is_dir());
        owner.kill().unwrap();
        owner.wait().unwrap();
        let processes = eventually("no process is left", || workers(rooms.path()) == 0);
        let room = eventually("its room is gone", || empty(rooms.path()));
        assert!(processes + room < Duration::from_secs(2), "{processes:?} and {room:?}");
    }
    // While it starts, which takes some seconds.
    for round in 0..8 {
        let mut owner = play("rabbitmq", rooms.path());
        std::thread::sleep(Duration::from_millis(500) * round);
        owner.kill().unwrap();
        owner.wait().unwrap();
        let nothing = || workers(rooms.path()) == 0 && empty(rooms.path());
        eventually("nothing is left", nothing);
        std::thread::sleep(Duration::from_millis(20));
        eventually("nothing has come back", nothing);
    }
}

/// It takes PostgreSQL five seconds to lose its patience with processes that do not listen.
#[cfg(target_os = "linux")]
#[test]
fn no_process_of_a_frozen_postgres_is_left_after_its_owner_was_killed() {
    let rooms = rooms();
    let mut owner = play("frozen", rooms.path());
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("ready ")));
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("no process is left", || workers(rooms.path()) == 0);
    eventually("no room is left", || empty(rooms.path()));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_postgres_whenever_its_owner_was_killed() {
    let rooms = rooms();
    let killed_after = |time: Duration, state: &Path| {
        let mut owner = act("postgres", rooms.path()).env("TESTBED_STATE", state).spawn().unwrap();
        std::thread::sleep(time);
        owner.kill().unwrap();
        owner.wait().unwrap();
        let nothing = || workers(rooms.path()) == 0 && empty(rooms.path());
        eventually("nothing is left", nothing);
        std::thread::sleep(Duration::from_millis(20));
        eventually("nothing has come back", nothing);
    };

    // When a data directory has to be made first, which takes about a second.
    for round in 0..ROUNDS_OF_POSTGRES {
        let fresh = tempfile::tempdir().unwrap();
        killed_after(Duration::from_millis(50) * round, fresh.path());
    }
    // When it is copied, which is most of a tenth of a second.
    let kept = tempfile::tempdir().unwrap();
    let mut owner =
        act("postgres", rooms.path()).env("TESTBED_STATE", kept.path()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("ready ")));
    owner.kill().unwrap();
    owner.wait().unwrap();
    for round in 0..3 * ROUNDS_OF_POSTGRES {
        killed_after(Duration::from_millis(2) * round, kept.path());
    }
}

fn start(script: &str, patience: Duration) -> Result<Supervised, Trouble> {
    let arguments = ["-c".into(), script.into()];
    let launch = Launch::plain(Path::new("sh"), &arguments, Some("welcome"));
    Supervised::start(&Launch { patience, ..launch })
}

#[test]
fn a_server_that_ends_at_once_leaves_its_last_words() {
    let died = start("echo the port is taken; exit 3", Duration::from_secs(5)).unwrap_err();
    assert!(matches!(died, Trouble::Died { .. }), "{died:?}");
    assert_eq!(died.to_string(), "sh ended: the port is taken\nexit status 3");
}

#[test]
fn a_server_that_is_never_ready_is_given_up() {
    let patience = Duration::from_millis(100);
    let stalled = start("echo thinking; exec sleep 60", patience).unwrap_err();
    assert_eq!(stalled.to_string(), "sh was not ready after 100ms: thinking");
}

#[test]
fn a_program_that_does_its_work_and_ends_is_waited_for() {
    let run = |script: &str| {
        let arguments = ["-c".into(), script.into()];
        Supervised::start(&Launch::plain(Path::new("sh"), &arguments, None))
    };
    // A program may end in the very moment in which it says that it is done.
    for _ in 0..ROUNDS {
        let done = run("echo done >work").unwrap();
        assert!(done.room().join("work").exists());
    }
    assert_eq!(run("echo no; exit 3").unwrap_err().to_string(), "sh ended: no\nexit status 3");
}

#[test]
fn a_program_that_is_not_there_is_said_to_be_so() {
    let nowhere = Path::new("/nowhere/redis-server");
    let died = Supervised::start(&Launch::plain(nowhere, &[], Some("ready"))).unwrap_err();
    // Shells differ in the words: 127 is POSIX's.
    let said = died.to_string();
    assert!(said.starts_with("/nowhere/redis-server ended: "), "{said}");
    assert!(said.ends_with("\nexit status 127"), "{said}");
}

#[test]
fn a_server_that_talks_much_is_not_held_up() {
    // More than a pipe holds: were the log not read, the server would never become ready.
    let script = "i=0; while [ $i -lt 5000 ]; do echo a line of some length or other; \
                  i=$((i+1)); done; echo Welcome; exec sleep 60";
    start(script, Duration::from_secs(10)).unwrap();
}

/// Nobody is there to clear up when an owner is killed; the next one does, and leaves those alone
/// whose owners live.
#[test]
fn what_a_killed_owner_leaves_of_its_proxy_is_taken_away_by_the_next() {
    let rooms = rooms();
    let stand = || {
        let mut owner = play("proxy", rooms.path());
        let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
        (owner, PathBuf::from(ready.expect("the owner has a proxy")))
    };
    let end = |mut owner: Child| {
        owner.kill().unwrap();
        owner.wait().unwrap();
    };
    let (living, its_room) = stand();
    let (killed, left) = stand();
    end(killed);
    assert!(its_room.is_dir() && left.is_dir());
    let (next, _) = stand();
    assert!(its_room.is_dir(), "its owner lives");
    assert!(!left.exists(), "its owner is dead");
    end(living);
    end(next);
}
