//! `shop top`, beside a shop that is up: what it shows is what was sent.

#[expect(dead_code, reason = "what only others need of it")]
mod program;

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use program::{PATIENCE, Program, adds_up, customer, first_product, ports, shop};
use serde_json::Value;
use shop_contracts::{Peer, Peers};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const READS: usize = 60;
const PURCHASES: usize = 3;

/// Stands before a service, for who scrapes it: says when the first scrape is taken, and takes the
/// second when it is told to. So a test knows what lies between them, however long that takes.
async fn guarded(peer: Peer, first: mpsc::Sender<()>, sent: watch::Receiver<bool>) -> String {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let answer = async move |headers: HeaderMap| {
        let (first, mut sent) = (first.clone(), sent.clone());
        let nth = scrapes.fetch_add(1, Ordering::Relaxed);
        if nth == 1 {
            sent.wait_for(|sent| *sent).await.expect("the test goes on");
        }
        let accept = headers[header::ACCEPT].clone();
        let asked = [(header::ACCEPT, accept)];
        let told = peer.forward(Method::GET, "/metrics", Bytes::new(), &asked).await;
        let told = told.expect("metrics").into_body();
        if nth == 0 {
            first.send(()).await.expect("the test listens");
        }
        told
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/metrics", get(answer))).await
    });
    address
}

/// `shop top ARGS` of this shop, but for the services that are elsewhere.
fn top(program: &Program, elsewhere: &[(&str, String)], args: &[&str]) -> Command {
    let mut command = shop(&["top"]);
    command.args(args);
    let peers = program.peers();
    for peer in peers.all() {
        command.env(format!("SHOP_{}_URL", peer.name().to_uppercase()), peer.base());
    }
    for (name, address) in elsewhere {
        command.env(format!("SHOP_{}_URL", name.to_uppercase()), address);
    }
    command
}

async fn output(mut command: Command) -> Output {
    let ran = tokio::task::spawn_blocking(move || command.output());
    ran.await.expect("no panic").expect("the program runs")
}

fn of<'a>(told: &'a Value, list: &str, name: &str, is: &str) -> &'a Value {
    let list = told[list].as_array().expect("a list");
    list.iter().find(|one| one[name] == is).unwrap_or_else(|| panic!("no {is} in {told}"))
}

/// How many there were, by their rate and the time.
fn counted(rate: &Value, seconds: &Value) -> f64 {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    number(rate) * number(seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_between_two_looks_is_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = ["--set", "pattern.async=on", "--set", "pattern.limiter=off"];
    let program = Program::open(folder.path(), &[&["up"], &set[..]].concat());
    let (gateway, peers) = (program.gateway(), program.peers());
    let mut buyers = Vec::new();
    for nth in 0..PURCHASES {
        buyers.push(customer(gateway.clone(), &format!("ada-{nth}")).await);
    }

    let (first, mut taken) = mpsc::channel(3);
    let (done, sent) = watch::channel(false);
    let door = guarded(gateway.clone(), first.clone(), sent.clone()).await;
    let port = door.rsplit(':').next().expect("a port").to_owned();
    let mut elsewhere = Vec::new();
    for peer in [&peers.catalog.0, &peers.orders.0] {
        let peer = peer.clone().patience(PATIENCE);
        let name = peer.name();
        elsewhere.push((name, guarded(peer, first.clone(), sent.clone()).await));
    }
    let args = ["--json", "--every", "12", "--port", &port];
    let told = tokio::spawn(output(top(&program, &elsewhere, &args)));
    for _ in 0..3 {
        timeout(PATIENCE, taken.recv()).await.expect("a first look").expect("a guard");
    }

    let product = first_product(3000);
    for _ in 0..READS {
        let path = format!("/api/products/{product}");
        let read = gateway.forward(Method::GET, &path, Bytes::new(), &[]).await;
        assert!(read.expect("an answer").status().is_success());
    }
    for (nth, buyer) in buyers.iter().enumerate() {
        buyer.put(product, 1).await.expect("in the cart");
        buyer.buy(&format!("wish-number-{nth}")).await.expect("taken");
    }
    let confirmed = async || peers.orders.books().await.expect("books").confirmed;
    let all = i64::try_from(PURCHASES).expect("few");
    let waited = timeout(PATIENCE, async {
        while confirmed().await < all {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("confirmed");
    done.send(true).expect("the guards wait");

    let told = told.await.expect("no panic");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON and nothing else");
    let is = |shown: f64, count: usize, what: &str| {
        assert!((shown - count as f64).abs() < 1e-6, "{what}: {shown}, and not {count}: {told}");
    };
    let door = of(&told, "services", "service", "gateway");
    let seconds = &door["seconds"];
    is(counted(&door["requests_a_second"], seconds), READS + 2 * PURCHASES, "at the door");
    assert_eq!(door["errors_a_second"], 0.0);
    let catalog = of(&told, "services", "service", "catalog");
    // What is put into a cart is looked up as well. Of all, the first one alone was a load.
    let reads = READS + PURCHASES;
    is(counted(&told["cache"]["reads_a_second"], &catalog["seconds"]), reads, "cached reads");
    let hits = told["cache"]["hits_percent"].as_f64().expect("reads");
    is(hits / 100.0 * reads as f64, reads - 1, "hits");
    let orders = of(&told, "services", "service", "orders");
    let more = &of(&told, "orders", "state", "confirmed")["more_a_second"];
    is(counted(more, &orders["seconds"]), PURCHASES, "confirmed orders");
    for step in ["reserve", "charge", "confirm"] {
        let steps = told["saga_steps"].as_array().expect("a list");
        let done = steps
            .iter()
            .find(|one| one["step"] == step && one["what"] == "do" && one["outcome"] == "done");
        let done = &done.unwrap_or_else(|| panic!("{step} in {told}"))["attempts_a_second"];
        is(counted(done, &orders["seconds"]), PURCHASES, step);
    }
    for service in ["orders", "inventory", "payments", "notifications"] {
        of(&told, "outboxes", "service", service);
    }
    assert_eq!(of(&told, "queues", "queue", "notifications")["dead"], 0);

    // What it names can be looked at.
    let slowest = told["slowest"].as_array().expect("a list");
    assert!((1..=5).contains(&slowest.len()), "{slowest:?}");
    let trace = slowest.iter().find_map(|route| route["trace"].as_str()).expect("a trace");
    let port = program.port.to_string();
    let shown = output(shop(&["trace", trace, "--port", &port])).await;
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(String::from_utf8_lossy(&shown.stdout).contains(trace));
    adds_up(&peers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_become_slower_stands_on_top_with_a_trace_that_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    let (gateway, carts) = (program.gateway(), program.peers().carts.0.patience(PATIENCE));
    let ada = customer(gateway.clone(), "ada").await;
    let product = first_product(3000);
    let puts = async || {
        for quantity in 1..=4 {
            ada.put(product, quantity).await.expect("in the cart");
        }
    };
    puts().await;

    let (first, mut taken) = mpsc::channel(2);
    let (done, sent) = watch::channel(false);
    let door = guarded(gateway.clone(), first.clone(), sent.clone()).await;
    let port = door.rsplit(':').next().expect("a port").to_owned();
    let elsewhere = [("carts", guarded(carts, first, sent).await)];
    let args = ["--once", "--every", "12", "--port", &port];
    let told = tokio::spawn(output(top(&program, &elsewhere, &args)));
    for _ in 0..2 {
        timeout(PATIENCE, taken.recv()).await.expect("a first look").expect("a guard");
    }
    let slow = r#"{"flags": {"fault.service": {"defaultVariant": "carts"}}}"#;
    let set = gateway.forward(Method::PUT, "/flags", slow.into(), &[]).await;
    assert!(set.expect("an answer").status().is_success());
    puts().await;
    done.send(true).expect("the guards wait");

    let told = told.await.expect("no panic");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).expect("text");
    let (_, below) = told.split_once("slower than before").expect("something has become slower");
    let mut lines = below.lines().skip(1).map(str::trim);
    let route = lines.next().expect("a route");
    assert!(route.contains(" PUT /") && route.ends_with(" ms"), "{told}");
    let trace = lines.next().and_then(|line| line.strip_prefix("trace ")).expect("its trace");
    let widest = told.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "more than 80 columns: {told}");

    let port = program.port.to_string();
    let of =
        async |service| output(shop(&["trace", trace, "--of", service, "--port", &port])).await;
    let shown = of("carts").await;
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(
        shown.contains("carts · PUT /carts/{customer}/") && !shown.contains("gateway"),
        "{shown}"
    );
    let nobody = of("payments").await;
    let said = String::from_utf8(nobody.stderr).expect("text");
    assert!(!nobody.status.success() && said.contains("next: --of one of carts, "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_away_is_a_line_and_all_others_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    let nowhere = [("payments", "http://127.0.0.1:1".to_owned())];
    let port = program.port.to_string();
    let told =
        output(top(&program, &nowhere, &["--once", "--every", "0.2", "--port", &port])).await;
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).expect("text");
    assert!(told.contains("payments is away: the service `payments` is not there"), "{told}");
    assert!(!told.contains('\x1b'), "colour or a screen in a pipe");
    for line in told.lines() {
        assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
        assert!(!line.ends_with(' '), "spaces at the end: {line}");
    }
    for name in Peers::NAMES.iter().chain(&["gateway"]) {
        let row = told.lines().find(|line| line.split_whitespace().next() == Some(name));
        let cells: Vec<_> = row.expect("a row").split_whitespace().collect();
        let expected = if *name == "payments" { "away" } else { "0.0" };
        assert_eq!(cells[1], expected, "{told}");
    }
    assert!(told.contains("\nNext\n   cargo run -p shop -- load"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_none_is_told_with_what_to_do() {
    // Somebody else's program.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let others = listener.local_addr().expect("bound").port().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new()).await });
    let free = ports().to_string();
    for (args, said) in [
        (vec!["--port", &free], "next: cargo run -p shop -- up"),
        (vec!["--port", &others], "has no /metrics"),
        (vec!["--every", "0"], "0.2 to 60 seconds"),
    ] {
        let mut command = shop(&["top", "--once"]);
        command.args(&args);
        for name in Peers::NAMES {
            command.env(format!("SHOP_{}_URL", name.to_uppercase()), "http://127.0.0.1:1");
        }
        let told = output(command).await;
        let words = String::from_utf8_lossy(&told.stderr);
        assert!(!told.status.success(), "{args:?}");
        assert!(words.contains(said) && !words.contains("panicked"), "{args:?} said: {words}");
    }
}

/// By `script` of util-linux, whose child has a terminal, and whose ^C is that terminal's.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_is_drawn_until_ctrl_c_and_then_the_terminal_is_as_before() {
    use std::io::{Read, Write};
    use std::process::Stdio;

    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    // A shell that stays between would be interrupted as well, and its status be told.
    let top =
        format!("exec {} top --every 0.2 --port {}", env!("CARGO_BIN_EXE_shop"), program.port);
    let mut script = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &top, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script of util-linux");
    let mut terminal = script.stdout.take().expect("piped");
    let mut keys = script.stdin.take().expect("piped");
    let (mut shown, mut read) = (Vec::new(), [0; 4096]);
    let to_the_top = b"\x1b[H";
    let mut interrupted = false;
    loop {
        let count = terminal.read(&mut read).expect("a terminal");
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&read[..count]);
        // The third drawing is the second one with figures.
        let drawn = shown.windows(to_the_top.len()).filter(|bytes| bytes == to_the_top).count();
        if drawn >= 3 && !interrupted {
            keys.write_all(b"\x03").expect("a key");
            interrupted = true;
        }
    }
    let ended = script.wait().expect("it ends");
    let shown = String::from_utf8(shown).expect("text");
    assert!(ended.success(), "{shown}");
    let (before, rest) = shown.split_once("\x1b[?1049h").expect("a screen of its own");
    assert!(!before.contains("gateway"), "drawn where the terminal was: {before}");
    let (drawn, after) = rest.split_once("\x1b[?1049l").expect("and back");
    assert!(drawn.contains("\x1b[?25l") && drawn.contains("\x1b[?25h"), "the cursor comes back");
    assert!(drawn.contains("notifications") && !drawn.contains("\x1b[2J"), "in place: {drawn}");
    assert!(!drawn.contains("\x1b[32m"), "no colours where nobody wants them");
    // What was seen last stays, for who wants to copy a trace's id; and no word moves the cursor.
    assert!(after.contains("notifications") && after.contains("Next"), "{after}");
    assert!(!after.contains("\x1b["), "{after}");
}
