//! What customers tell the shop stays in the shop: it stands in no line of the log, in no span and in
//! no metric, whatever is switched on and whatever goes wrong.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use shop_contracts::Peer;
use tokio::task::JoinSet;

use crate::collector::{Collector, Mood, Taken};
use crate::customers::Customer;
use crate::program::{PATIENCE, Program, first_product, ports, shop};
use crate::searcher::Searcher;

const API_KEY: &str = "a-partners-key-0123456789";
const SECRET: &str = "what-tokens-are-signed-with-0123456789";

/// The weather in which they come, one after the other.
const ROUNDS: [&[(&str, &str)]; 5] = [
    &[],
    &[("pattern.async", "on")],
    &[("fault.payment", "error"), ("fault.email", "error"), ("fault.cache", "down")],
    &[("pattern.async", "off")],
    &[("fault.payment", "flaky"), ("fault.email", "flaky"), ("pattern.saga", "off")],
];

async fn set(gateway: &Peer, switch: &str, variant: &str) {
    let document = json!({"flags": {switch: {"defaultVariant": variant}}}).to_string();
    let set = gateway.forward(Method::PUT, "/flags", document.into(), &[]).await;
    assert!(set.expect("an answer").status().is_success(), "{switch}={variant}");
}

/// No order is under way any more.
async fn settled(program: &Program) {
    let begun = Instant::now();
    while program.peers().orders.books().await.expect("books").open > 0 {
        assert!(begun.elapsed() < PATIENCE, "orders do not come to their end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn asked(peer: &Peer, path: &str) -> Vec<u8> {
    let answer = peer.forward(Method::GET, path, "".into(), &[]).await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.into_body().to_vec()
}

fn log(folder: &Path) -> File {
    File::options().create(true).append(true).open(folder.join("log")).expect("a file")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_tells_who_the_customers_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::open(Mood::Takes).await;
    let program = Program::with(ports(), folder.path(), &["up", "--lease", "0.5"], |command| {
        command
            .env("SHOP_LOG", "json")
            .env("RUST_LOG", "trace")
            .env("SHOP_API_KEYS", format!("partner={API_KEY}"))
            .env("SHOP_SECRET", SECRET)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .stderr(log(folder.path()));
    });
    let gateway = program.gateway();
    let mut searcher = Searcher::default();
    searcher.add("API key", API_KEY);
    searcher.add("secret", SECRET);
    let (mut number, answered) = (0, Arc::default());
    for (round, switches) in ROUNDS.iter().enumerate() {
        for (switch, variant) in *switches {
            set(&gateway, switch, variant).await;
        }
        let mut shopping = JoinSet::new();
        for _ in 0..4 {
            number += 1;
            let mut one = Customer::new(gateway.clone(), number, &answered);
            if number.is_multiple_of(4) {
                one = one.without_a_mailbox();
            }
            shopping.spawn(async move {
                one.comes().await;
                one.errs().await;
                one.shops(first_product(3000), round, API_KEY).await;
                one
            });
        }
        for one in shopping.join_all().await {
            one.secrets(&mut searcher);
        }
    }
    for calm in ["fault.payment", "fault.email", "fault.cache"] {
        set(&gateway, calm, "off").await;
    }
    settled(&program).await;

    // What it tells those who run it, while it runs.
    let mut found = Vec::new();
    let is_confirmed = |taken: &Taken| taken.span.name == "create order.confirmed.v1";
    let spans = collector.until(PATIENCE, |spans| spans.iter().any(is_confirmed)).await;
    let mut traces: Vec<_> = spans.iter().map(Taken::trace).collect();
    traces.sort();
    traces.dedup();
    let mut told = Vec::new();
    for trace in &traces {
        told.extend(asked(&gateway, &format!("/spans/{trace}")).await);
    }
    found.extend(searcher.find("/spans", &told));
    let peers = program.peers();
    let mut metrics = Vec::new();
    for peer in peers.all().into_iter().chain([&gateway]) {
        metrics.extend(asked(peer, "/metrics").await);
        let calls = if peer.name() == "gateway" { "/counters" } else { "/calls" };
        metrics.extend(asked(peer, calls).await);
    }
    found.extend(searcher.find("/metrics", &metrics));

    // And what it leaves behind.
    program.signal("TERM");
    let (status, _, said) = program.ends_saying();
    assert!(status.success(), "{said:?}");
    // The log writes what is to be seen of the accounts that the shop itself opens: so says its first
    // page, on purpose, and no more than that.
    let closing = said.iter().skip_while(|line| !line.contains("closing")).cloned();
    found
        .extend(searcher.find("its last words", closing.collect::<Vec<_>>().join("\n").as_bytes()));
    assert!(collector.lines() > 0, "the collector has no line of the log");
    let messages = collector.messages().concat();
    found.extend(searcher.find("OTLP", &messages));
    let log = fs::read(folder.path().join("log")).expect("a log");
    let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines.clone() {
        let json: Result<Value, _> = serde_json::from_slice(line);
        json.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
    }
    found.extend(lines.clone().flat_map(|line| searcher.find("the log", line)));
    assert!(found.is_empty(), "{} finds:\n{}", found.len(), found.join("\n"));

    // All of it was there to be found: what is no secret is.
    let mut known = Searcher::default();
    known.add("route", "/api/orders/checkout");
    for (place, text) in [("/spans", &told), ("/metrics", &metrics), ("OTLP", &messages)] {
        assert!(!known.find(place, text).is_empty(), "{place} tells nothing");
    }
    let failed = |taken: &Taken| taken.attribute("http.response.status_code") == Some("503".into());
    assert!(collector.spans().iter().any(failed), "nothing went wrong");
    let hidden = |taken: &Taken| {
        taken.attribute("url.path").is_some_and(|path| path == "/api/products/[redacted]")
    };
    assert!(collector.spans().iter().any(hidden), "nobody asked for a path with a secret in it");
    let text = String::from_utf8_lossy(&log);
    for line in ["a customer was not told", r#""level":"TRACE""#, "[redacted]"] {
        assert!(text.contains(line), "no line with {line} among {}", lines.count());
    }
}

/// The password of a server is a part of its address.
#[test]
fn the_address_of_a_server_is_told_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("text");
    for (option, address) in [
        ("--storage", "postgres://shop:Hush-open-sesame@127.0.0.1:1/shop"),
        ("--cache", "redis://:Hush-open-sesame@127.0.0.1:1"),
        ("--bus", "amqp://shop:Hush-open-sesame@127.0.0.1:1/shop"),
        ("--storage", "mysql://shop:Hush-open-sesame@127.0.0.1:1/shop"),
        ("--cache", "memcached://shop:Hush-open-sesame@127.0.0.1:1"),
        ("--bus", "kafka://shop:Hush-open-sesame@127.0.0.1:1"),
    ] {
        let port = ports().to_string();
        let mut up = shop(&["up", "--port", &port, "--data", data, option, address]);
        up.env("RUST_LOG", "trace").env("SHOP_LOG", "json").stdout(std::process::Stdio::piped());
        up.stderr(std::process::Stdio::piped());
        let mut up = up.spawn().expect("the program starts");
        // A Redis that is away keeps nobody from opening.
        let begun = Instant::now();
        while up.try_wait().expect("a child").is_none() && begun.elapsed() < Duration::from_secs(3)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = up.kill();
        let told = up.wait_with_output().expect("its words");
        let told = [told.stdout, told.stderr].concat();
        let mut searcher = Searcher::default();
        searcher.add("password", "Hush-open-sesame");
        let found = searcher.find(&format!("{option} {address}"), &told);
        assert!(found.is_empty(), "{found:?}");
        assert!(!told.is_empty(), "{option} {address}: it says nothing");
    }
}
