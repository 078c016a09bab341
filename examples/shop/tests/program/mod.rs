//! The shop as a program, for those who look at it from outside.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shop::books;
use shop::journeys::{Customer, Door};
use shop_contracts::id::ProductId;
use shop_contracts::{Peer, Peers};
use shop_outside::supplier;

/// Long enough for a busy machine: what is met only when something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `shop`, in a process of its own, killed when it is dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) port: u16,
    /// What it says after it is open, until its end.
    said: Option<JoinHandle<Vec<String>>>,
}

impl Program {
    /// Starts `shop ARGS --data FOLDER --port …` and waits until it says that it is open.
    pub(crate) fn open(folder: &Path, args: &[&str]) -> Program {
        Program::at(ports(), folder, args)
    }

    pub(crate) fn at(port: u16, folder: &Path, args: &[&str]) -> Program {
        Program::with(port, folder, args, |_| {})
    }

    /// The same, and before it starts `set` may set its environment, or where its log goes.
    pub(crate) fn with(
        port: u16,
        folder: &Path,
        args: &[&str],
        set: impl FnOnce(&mut Command),
    ) -> Program {
        let mut command = shop(args);
        command.args(["--port", &port.to_string(), "--data"]).arg(folder).stdout(Stdio::piped());
        set(&mut command);
        let mut child = command.spawn().expect("the program starts");
        let output = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines();
        let open = lines.by_ref().any(|line| line.expect("text").contains("open: http://"));
        assert!(open, "it ended before it was open");
        let said = std::thread::spawn(move || lines.map_while(Result::ok).collect());
        Program { child, port, said: Some(said) }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Its end, how long that took, and the last line that it said.
    pub(crate) fn ends(self) -> (ExitStatus, Duration, String) {
        let (status, took, mut said) = self.ends_saying();
        (status, took, said.pop().unwrap_or_default())
    }

    /// Its end, how long that took, and all that it said after it was open.
    pub(crate) fn ends_saying(mut self) -> (ExitStatus, Duration, Vec<String>) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                let (took, said) = (begun.elapsed(), self.said.take().expect("it ends once"));
                return (status, took, said.join().expect("text"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }

    pub(crate) fn peers(&self) -> Peers {
        Peers::beside(self.port)
    }

    pub(crate) fn gateway(&self) -> Peer {
        Peer::new("gateway", format!("http://127.0.0.1:{}", self.port)).patience(PATIENCE)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn shop(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(args).stdin(Stdio::null());
    for set in ["RUST_LOG", "SHOP_LOG", "SHOP_SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        command.env_remove(set);
    }
    command
}

/// Eight ports in a row that are free now. Tests that run at the same time start apart, by their
/// process and then by number.
pub(crate) fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let apart = u16::try_from(std::process::id() % 1000).expect("below 1000");
    for _ in 0..500 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (apart.wrapping_mul(37).wrapping_add(number) % 1000) * 10;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port..port + 8).all(free) {
            return port;
        }
    }
    panic!("no free ports");
}

pub(crate) async fn customer(gateway: Peer, name: &str) -> Customer {
    let email = format!("{name}@customers.example");
    Customer::enter(Door::Shop, gateway, &email, "open sesame").await.expect("an account")
}

/// What customers buy most, of a list of so many.
pub(crate) fn first_product(of: usize) -> ProductId {
    ProductId(supplier::list(1, of).products[0].id)
}

pub(crate) async fn adds_up(peers: &Peers) {
    for invariant in books::audit(peers).await.expect("books") {
        assert!(invariant.holds, "{}: {}", invariant.what, invariant.figures);
    }
}

pub(crate) async fn placed(peers: &Peers) -> i64 {
    let books = peers.orders.books().await.expect("books");
    books.confirmed + books.failed + books.open
}
