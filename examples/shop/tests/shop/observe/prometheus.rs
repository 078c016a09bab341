//! A Prometheus of our own, started as `compose.yaml` starts it and set up by `prometheus.yaml`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shop_contracts::Peer;
use tempfile::TempDir;

use super::{file, yaml};
use crate::open::Open;

/// What is met only when something is wrong.
pub(super) const LONG: Duration = Duration::from_secs(90);

/// It runs until it is dropped.
pub(super) struct Prometheus {
    child: Child,
    peer: Peer,
    folder: TempDir,
}

/// One line of an answer: its labels and its newest value.
pub(super) type Line = (BTreeMap<String, String>, f64);

impl Prometheus {
    /// It asks the services of this shop, each second.
    pub(super) async fn beside(open: &Open) -> Prometheus {
        let mut text = file("prometheus.yaml");
        let told = [
            (": 5s\n".to_owned(), ": 1s\n".to_owned()),
            (": 4s\n".to_owned(), ": 1s\n".to_owned()),
        ];
        let targets = open.shop.addresses().zip(8080..).map(|((_, address), port)| {
            let target = address.strip_prefix("http://").expect("http").to_owned();
            (format!(" 127.0.0.1:{port}\n"), format!(" {target}\n"))
        });
        for (ours, here) in told.into_iter().chain(targets) {
            assert!(text.contains(&ours), "prometheus.yaml is not as this expects it: {ours}");
            text = text.replace(&ours, &here);
        }
        // Somebody may take the free port before it does.
        for _ in 0..5 {
            if let Some(up) = Prometheus::start(&text).await {
                return up;
            }
        }
        panic!(
            "it does not come up; next: promtool check config examples/shop/observe/prometheus.yaml"
        );
    }

    /// `None`, if it ends at once.
    async fn start(config: &str) -> Option<Prometheus> {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, data) = (folder.path().join("prometheus.yaml"), folder.path().join("data"));
        fs::write(&path, config).expect("written");
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let free: SocketAddr = free.expect("a port");
        let ours = [
            ("--config.file=", path.display().to_string()),
            ("--storage.tsdb.path=", data.display().to_string()),
            ("--web.listen-address=", free.to_string()),
        ];
        let compose = yaml::read(&file("compose.yaml"));
        let words = compose["services"]["prometheus"]["command"].as_array().expect("words");
        let words = words.iter().map(|word| word.as_str().expect("a text"));
        let command = words.map(|word| {
            let here = ours.iter().find(|(option, _)| word.starts_with(option));
            here.map_or(word.to_owned(), |(option, here)| format!("{option}{here}"))
        });
        let log = File::create(folder.path().join("log")).expect("a file");
        let started = Command::new("prometheus")
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let child = started.unwrap_or_else(|error| {
            panic!("`prometheus` does not start: {error}; next: scripts/prometheus-path.sh")
        });
        let peer = Peer::new("prometheus", format!("http://{free}")).patience(LONG);
        let mut this = Prometheus { child, peer, folder };
        let begun = Instant::now();
        while this.ask("query", "up", "").await.is_none() {
            let log = || fs::read_to_string(this.folder.path().join("log")).unwrap_or_default();
            if this.child.try_wait().expect("a child of ours").is_some() {
                eprintln!("{}", log());
                return None;
            }
            assert!(begun.elapsed() < LONG, "it does not answer: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(this)
    }

    /// What `/api/v1/{what}` answers; `None` while nobody does.
    pub(super) async fn ask(&self, what: &str, expression: &str, more: &str) -> Option<Value> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let told = self.peer.get::<Value>(&format!("/api/v1/{what}?query={query}{more}")).await;
        told.ok().map(|mut told| {
            assert_eq!(told["status"], "success", "{expression}: {told}");
            told["data"].take()
        })
    }

    /// What an expression is now, without what is not a number: of a rate of nothing by nothing
    /// Grafana shows nothing.
    pub(super) async fn now(&self, expression: &str) -> Vec<Line> {
        let data = self.ask("query", expression, "").await;
        let data = data.unwrap_or_else(|| panic!("no answer to {expression}"));
        let lines = data["result"].as_array().expect("lines").iter().map(|line| {
            let value = line["value"][1].as_str().expect("a text").parse::<f64>();
            let labels = serde_json::from_value(line["metric"].clone());
            (labels.expect("labels"), value.expect("a number"))
        });
        lines.filter(|(_, value)| value.is_finite()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
