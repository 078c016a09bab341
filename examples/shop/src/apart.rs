//! One service of a shop in a process of its own, which may die and come back at the same address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::RngExt;
use serde_json::{Value, json};
use shop_contracts::{Kind, Peer};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use crate::place::Place;

/// How long it may take to open.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service, and the process in which it runs. Dropped, that is killed; and it ends by itself when
/// this process is gone.
pub struct Apart {
    program: std::path::PathBuf,
    arguments: Vec<String>,
    addresses: Vec<(String, String)>,
    peer: Peer,
    child: Option<Child>,
    /// Its standard input. Apart from the child, for who waits for a child closes its input, and that
    /// would end it.
    leash: Option<ChildStdin>,
}

impl Apart {
    /// The service `name` of `program`, which is the shop's, with its data at `place`, what it keeps
    /// besides in `folder`, and these switches. It is not started yet.
    ///
    /// # Errors
    /// There is no free port.
    pub fn new(
        program: &Path,
        name: &'static str,
        place: &Place,
        folder: &Path,
        more: &[&str],
    ) -> Result<Apart> {
        let address = free()?;
        let folder = folder.display().to_string();
        let listen = address.to_string();
        let arguments = ["run", name, "--leashed", "--listen", &listen, "--data", &folder]
            .into_iter()
            .chain(["--storage", &place.storage, "--cache", &place.cache, "--bus", &place.bus])
            .chain(more.iter().copied());
        Ok(Apart {
            program: program.to_owned(),
            arguments: arguments.map(str::to_owned).collect(),
            addresses: Vec::new(),
            peer: Peer::new(name, format!("http://{address}")),
            child: None,
            leash: None,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        self.peer.base()
    }

    /// From its next start on, it finds `service` there.
    pub fn finds(&mut self, service: &str, at: impl Into<String>) {
        self.addresses.push((format!("SHOP_{}_URL", service.to_uppercase()), at.into()));
    }

    /// From its next start on, it sends what it records to this collector.
    pub fn sends_to(&mut self, collector: &str) {
        self.addresses.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.to_owned()));
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// It does not start, or ends before it answers.
    pub async fn start(&mut self) -> Result<()> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // What it says at its death is what was wanted.
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "off".into()))
            .envs(self.addresses.iter().map(|(name, url)| (name, url)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        let leash = child.stdin.take();
        let begun = Instant::now();
        while self.peer.get::<Value>("/health/live").await.is_err() {
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                bail!(
                    "the service `{}` does not open; next: cargo run -p shop -- run {0}",
                    self.peer.name()
                );
            }
            sleep(Duration::from_millis(5)).await;
        }
        (self.leash, self.child) = (leash, Some(child));
        Ok(())
    }

    /// Sets one of its switches.
    ///
    /// # Errors
    /// It does not answer, or has no such switch.
    pub async fn set(&self, switch: &str, variant: &str) -> Result<()> {
        let document = json!({ "flags": { switch: { "defaultVariant": variant } } });
        let set = || self.peer.call::<Value>(http::Method::PUT, "/flags", Some(&document));
        let mut answer = set().await;
        // On a connection from before its death, which nobody had used since.
        if answer.as_ref().is_err_and(|problem| problem.is(Kind::Unavailable)) {
            answer = set().await;
        }
        answer.with_context(|| format!("{} does not take {switch}={variant}", self.peer.name()))?;
        Ok(())
    }

    /// Whether it is dead within so long.
    pub async fn dies_within(&mut self, patience: Duration) -> bool {
        match &mut self.child {
            None => true,
            Some(child) => timeout(patience, child.wait()).await.is_ok(),
        }
    }
}

/// An address that is free, below the ports that the system gives to whoever asks: nobody takes it
/// by chance while the service is away.
fn free() -> Result<SocketAddr> {
    let mut random = rand::rng();
    let mut ports = (0..1000).map(|_| random.random_range(20_000..30_000));
    let free = ports.find_map(|port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).is_ok().then_some(address)
    });
    free.context("there is no free port between 20000 and 30000")
}
