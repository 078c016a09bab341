//! A shop in a process of its own, which is asked as anybody may ask it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http::Method;
use rand::RngExt;
use serde_json::{Value, json};
use shop_contracts::{Peer, Peers};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long it may take to open.
const PATIENCE: Duration = Duration::from_secs(60);

/// Dropped, it is killed, and its data are gone.
pub(super) struct Process {
    pub(super) gateway: Peer,
    /// Where its log is: lines of JSON.
    pub(super) log: PathBuf,
    pub(super) peers: Peers,
    _child: Child,
    _folder: TempDir,
}

impl Process {
    /// The shop of `program`, with goods in it.
    pub(super) async fn open(program: &Path) -> Result<Process> {
        let (folder, port) = (tempfile::tempdir().context("no place for a shop")?, ports()?);
        let log = folder.path().join("log");
        let mut child = Command::new(program)
            .args(["up", "--port", &port.to_string(), "--data"])
            .arg(folder.path())
            .env("SHOP_LOG", "json")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("no place for its log")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let gateway = Peer::new("gateway", format!("http://127.0.0.1:{port}"));
        let (gateway, peers) = (gateway.patience(Duration::from_secs(30)), Peers::beside(port));
        let begun = Instant::now();
        while gateway.get::<Value>("/api/products?size=1").await.is_err() {
            if child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("the shop does not open: {said}\nnext: cargo run -p shop -- up");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Process { gateway, log, peers, _child: child, _folder: folder })
    }

    /// Sets a switch, for all services.
    pub(super) async fn set(&self, switch: &str, variant: &str) -> Result<()> {
        let document = json!({ "flags": { switch: { "defaultVariant": variant } } });
        // All of them are in one process, and share their switches.
        let asked =
            self.peers.catalog.0.call::<Value>(Method::PUT, "/flags", Some(&document)).await;
        asked.with_context(|| format!("{switch}={variant} is not taken")).map(drop)
    }
}

/// Eight free ports, one after the other, below those that the system gives to whoever asks.
fn ports() -> Result<u16> {
    let mut random = rand::rng();
    let mut firsts = (0..1000).map(|_| random.random_range(2_000..3_000_u16) * 10);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let free = firsts.find(|first| (*first..first + 8).all(is_free));
    free.context("there are no eight free ports between 20000 and 30000")
}
