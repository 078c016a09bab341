//! What is left when a process is killed, or starts anew. The processes are real: this test binary
//! once more, asked for the test `child`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use shop_bus::Subscription;
use uuid::Uuid;

use super::{Place, event, finish, next, publish};

const KIND: &str = "order.placed.v1";

/// Where a child finds the bus, and what it does there.
const ADDRESS: &str = "SHOP_BUS_ADDRESS";
const ROLE: &str = "SHOP_BUS_ROLE";

pub(crate) async fn what_was_published_is_there_after_a_restart(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]);
    drop(bus.subscribe(wants).await.unwrap());
    let events = publish(&bus, KIND, 3).await;
    drop(bus);
    let bus = place.here().await;
    let mut consumer = bus.subscribe(wants).await.unwrap();
    for event in &events {
        finish(&mut consumer, event).await;
    }
}

pub(crate) async fn a_killed_consumers_message_goes_to_another(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]);
    drop(bus.subscribe(wants).await.unwrap());
    let events = publish(&bus, KIND, 2).await;
    let mut worker = Process::start("work", &place);
    assert_eq!(worker.line().as_deref(), Some(events[0].id.to_string().as_str()));
    // The other one is there before the worker dies, and gets what is free.
    let mut other = bus.subscribe(wants).await.unwrap();
    finish(&mut other, &events[1]).await;
    let waiting = tokio::spawn(async move { next(&mut other).await });
    worker.kill();
    let delivery = waiting.await.unwrap();
    assert_eq!((&delivery.event, delivery.attempt), (&events[0], 2));
}

pub(crate) async fn a_killed_publisher_has_published_whole_events(place: impl Place) {
    let bus = place.here().await;
    let mut one = bus.subscribe(Subscription::new("one", &["#"])).await.unwrap();
    let mut two = bus.subscribe(Subscription::new("two", &["#"])).await.unwrap();
    let mut confirmed: HashSet<Uuid> = HashSet::new();
    for kill_after in [1, 2, 5, 20] {
        let mut publisher = Process::start("publish", &place);
        let mut line = || publisher.line().map(|line| line.parse::<Uuid>().expect("an id"));
        confirmed.extend((0..kill_after).map(|_| line().expect("it publishes")));
        publisher.kill();
        // What it said before it died counts as well.
        confirmed.extend(publisher.rest());
    }
    bus.publish(&event("the.end")).await.unwrap();
    let mut come = [HashSet::new(), HashSet::new()];
    for (consumer, come) in [&mut one, &mut two].into_iter().zip(&mut come) {
        loop {
            let delivery = next(consumer).await;
            let (id, end) = (delivery.event.id, delivery.event.kind == "the.end");
            delivery.ack().await.unwrap();
            if end {
                break;
            }
            assert!(come.insert(id), "{id} came twice");
        }
    }
    assert_eq!(come[0], come[1]);
    assert!(come[0].is_superset(&confirmed), "what was confirmed is there");
}

/// A second process. Gone at the end of its test, and also when the test process is: it reads its
/// standard input until the end.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &str, place: &impl Place) -> Process {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ADDRESS, place.address())
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Process { child, output }
    }

    /// The next line that the child says, and not the test harness around it.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("a pipe") > 0 {
            if let Some(said) = line.trim_end().strip_prefix("child: ") {
                return Some(said.to_owned());
            }
            line.clear();
        }
        None
    }

    /// `kill -9`, and its end.
    fn kill(&mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }

    /// What it said and nobody had read yet: whole ids alone, since it may have died in a word.
    fn rest(&mut self) -> Vec<Uuid> {
        let mut ids = Vec::new();
        while let Some(line) = self.line() {
            ids.extend(line.parse::<Uuid>());
        }
        ids
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nchild: {line}").and_then(|()| out.flush()).expect("a pipe");
}

/// What a child does. In a run of all tests there is no role, and nothing to do.
pub(crate) async fn child<P: Place>() {
    let (Ok(address), Ok(role)) = (std::env::var(ADDRESS), std::env::var(ROLE)) else { return };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let bus = P::open(&address).await;
    match role.as_str() {
        "work" => {
            let wants = Subscription::new("audit", &["#"]).prefetch(1);
            let mut consumer = bus.subscribe(wants).await.expect("a consumer");
            let delivery = next(&mut consumer).await;
            say(delivery.event.id);
            std::future::pending::<()>().await;
        }
        "publish" => loop {
            let event = event(KIND);
            bus.publish(&event).await.expect("published");
            say(event.id);
        },
        other => panic!("no role `{other}`"),
    }
}
