//! `cargo bench -p shop`: catalogue hits through the gateway, and through an Express endpoint that
//! does the same, on the same machine, with the same Redis, in the same run.
//!
//! Both programs run in processes of their own. The gateway's way is the longer one: it asks the
//! catalogue over HTTP, which asks Redis; Express asks Redis itself. The load is a closed loop, so
//! it finds what each can do at most; the rounds alternate, and the median of each counts.
//!
//! Express is measured where `node` and `npm` are. `npm` puts its packages into the target folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use http::Method;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use shop::journeys::Customer;
use shop_contracts::id::ProductId;
use shop_contracts::{Peer, Peers};
use shop_outside::supplier;
use testbed::load::Zipf;
use testbed::redis::Redis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections, each with one request under way.
const CONNECTIONS: usize = 64;

/// How long a round takes.
const ROUND: Duration = Duration::from_secs(3);

/// Rounds of each.
const ROUNDS: usize = 3;

/// Attempts at [`TIMES`].
const ATTEMPTS: usize = 3;

/// Products in the catalogue.
const PRODUCTS: usize = 3000;

/// What the gateway must do at least, in Express's requests a second. On a quiet machine of two cores
/// it is 5; where others are at work, the two do not suffer alike.
const TIMES: f64 = 4.0;

/// A server in a process of its own, killed when this is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts `command` and waits for the line that holds its port.
    fn start(mut command: Command, ready: impl Fn(&str) -> Option<u16>) -> Result<Server> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let port = loop {
            let line = lines.next().context("it ended before it was ready")??;
            if let Some(port) = ready(&line) {
                break port;
            }
        };
        // It must not block on a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Server { child, port })
    }

    /// What it has in memory now and had at most, in MiB.
    fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .or_else(|_| self.ps())?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
        };
        let now = field("VmRSS:").context("the system says how much memory it has")? / 1024.0;
        Ok((now, field("VmHWM:").map_or(now, |most| most / 1024.0)))
    }

    /// Where there is no `/proc`.
    fn ps(&self) -> io::Result<String> {
        let pid = self.child.id().to_string();
        let output = Command::new("ps").args(["-o", "rss=", "-p", &pid]).output()?;
        Ok(format!("VmRSS: {}", String::from_utf8_lossy(&output.stdout)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of one round.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Round {
    const NONE: Round = Round { rate: 0.0, p50: 0.0, p99: 0.0 };
}

// The load has one core at most, and neither of the two programs more of the rest than the other.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let redis = testbed::redis::process().await?;
    let folder = tempfile::tempdir()?;
    let shop = shop(&redis, folder.path())?;
    let list = supplier::list(1, PRODUCTS);
    let ids: Vec<ProductId> = list.products.iter().map(|product| ProductId(product.id)).collect();
    let gateway = Peer::new("gateway", format!("http://127.0.0.1:{}", shop.port));
    for id in &ids {
        Customer::look(&gateway, *id).await?;
    }
    // Express limits nobody, and all of the load comes from one address.
    let off = json!({"flags": {"pattern.limiter": {"defaultVariant": "off"}}});
    gateway.call::<Value>(Method::PUT, "/flags", Some(&off)).await?;
    let express = match express(&redis)? {
        Some(server) => {
            copy(&redis, &gateway, &ids).await?;
            Some(server)
        }
        None => None,
    };

    page::title("catalogue hits · the gateway, and Express + ioredis + opossum");
    page::note(redis.origin());
    page::note(format_args!(
        "{CONNECTIONS} connections; {ROUNDS} rounds of {} s, alternating; Zipf 1.0, {} products",
        ROUND.as_secs(),
        page::count(PRODUCTS as u64)
    ));
    let counters = |port: u16| async move {
        let peers = Peers::at(|name| {
            let at = Peers::NAMES.iter().position(|peer| *peer == name).unwrap_or_default();
            format!("http://127.0.0.1:{}", usize::from(port) + at + 1)
        });
        peers.catalog.counters().await
    };
    let loads = counters(shop.port).await?.product_loads;
    // Times are the machine's as well: it takes three attempts to say that it is too slow.
    let (mut ours, mut theirs) = (Round::NONE, None);
    for _ in 0..ATTEMPTS {
        let (mut shops, mut expresses) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            shops.push(attack(shop.port, &ids, round).await?);
            if let Some(express) = &express {
                expresses.push(attack(express.port, &ids, round).await?);
            }
        }
        ours = median(shops);
        theirs = (!expresses.is_empty()).then(|| median(expresses));
        if theirs.is_none_or(|theirs| ours.rate >= TIMES * theirs.rate) {
            break;
        }
    }
    let loads = counters(shop.port).await?.product_loads - loads;
    let (memory, most) = shop.memory()?;
    let mut rows = vec![row("shop, all 8 services", ours, memory, most)];
    let mut held = Ok(());
    if let (Some(theirs), Some(express)) = (theirs, &express) {
        let (memory_theirs, most_theirs) = express.memory()?;
        rows.push(row("Express", theirs, memory_theirs, most_theirs));
        let times = ours.rate / theirs.rate;
        if times < TIMES {
            held = Err(format!("{times:.1} times Express's requests a second, not {TIMES}"));
        } else if memory > memory_theirs {
            held = Err(format!("{memory:.0} MiB, and Express has {memory_theirs:.0}"));
        }
        rows.push(vec!["shop / Express".into(), format!("{times:.1} ×")]);
    }
    page::grid(&["", "requests/s", "p50", "p99", "memory", "at most"], &rows);
    page::note("Memory is resident, after the load; the load generator is beside them.");
    if express.is_none() {
        page::note("Express was not measured: there is no node and npm on this machine.");
    }
    // What was loaded anew was not a hit; a copy lives a minute and is refreshed shortly before.
    ensure!(loads <= 2 * PRODUCTS as u64, "{loads} of the reads were no hits");
    held.map_err(anyhow::Error::msg)
}

fn row(what: &str, round: Round, memory: f64, most: f64) -> Vec<String> {
    vec![
        what.into(),
        page::count(round.rate as u64),
        format!("{:.1} ms", round.p50),
        format!("{:.1} ms", round.p99),
        format!("{memory:.0} MiB"),
        format!("{most:.0} MiB"),
    ]
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    rounds[rounds.len() / 2]
}

/// The whole shop, as `shop up` opens it, with the catalogue's cache in `redis`.
fn shop(redis: &Redis, folder: &Path) -> Result<Server> {
    // Any port could be taken; eight in a row are found by trying.
    for port in (18080..19080).step_by(20) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
        command.args(["up", "--port", &port.to_string(), "--cache", redis.url(), "--data"]);
        command.arg(folder).stderr(Stdio::null());
        let ready = |line: &str| line.contains("The shop is open").then_some(port);
        if let Ok(server) = Server::start(command, ready) {
            return Ok(server);
        }
    }
    bail!("no shop opened")
}

/// Express, where there is node and npm. Its packages go into the target folder.
fn express(redis: &Redis) -> Result<Option<Server>> {
    let there = |program: &str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let testbed::server::Address::Unix(socket) = redis.address() else {
        return Ok(None);
    };
    if !there("node") || !there("npm") {
        return Ok(None);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/express");
    let room = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("express");
    fs::create_dir_all(&room)?;
    for file in ["package.json", "server.js"] {
        fs::copy(source.join(file), room.join(file))?;
    }
    let quiet = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--omit=dev"];
    let installed = Command::new("npm").args(quiet).current_dir(&room).status()?;
    ensure!(installed.success(), "npm could not install Express\nnext: npm install in {room:?}");
    let mut command = Command::new("node");
    command.arg("server.js").current_dir(&room);
    command.env("NODE_ENV", "production").env("PORT", "0").env("REDIS_SOCKET", socket);
    let ready = |line: &str| line.strip_prefix("ready ").and_then(|port| port.parse().ok());
    Server::start(command, ready).map(Some)
}

/// Puts the documents where Express looks for them: the same bytes.
async fn copy(redis: &Redis, gateway: &Peer, ids: &[ProductId]) -> Result<()> {
    let client = redis::Client::open(redis.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    for id in ids {
        let path = format!("/api/products/{id}");
        let answer = gateway.forward(http::Method::GET, &path, bytes::Bytes::new(), &[]).await?;
        let key = format!("express:product:{id}");
        redis::cmd("SET").arg(key).arg(&answer.body()[..]).exec_async(&mut connection).await?;
    }
    Ok(())
}

/// Asks as fast as it is answered, for a round.
async fn attack(port: u16, ids: &[ProductId], round: usize) -> Result<Round> {
    let requests: std::sync::Arc<Vec<Vec<u8>>> = ids
        .iter()
        .map(|id| {
            format!("GET /api/products/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
        })
        .collect::<Vec<_>>()
        .into();
    let zipf = Zipf::new(ids.len(), 1.0);
    let (begun, mut connections) = (Instant::now(), JoinSet::new());
    for number in 0..CONNECTIONS {
        let (requests, zipf) = (std::sync::Arc::clone(&requests), zipf.clone());
        connections.spawn(async move {
            let mut random = StdRng::seed_from_u64((round * CONNECTIONS + number) as u64);
            let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let mut buffer = Vec::with_capacity(4096);
            while begun.elapsed() < ROUND {
                let asked = Instant::now();
                stream.write_all(&requests[zipf.at(random.random())]).await?;
                answer(&mut stream, &mut buffer).await?;
                took.saturating_record(asked.elapsed().as_micros() as u64);
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(one) = connections.join_next().await {
        took.add(one??)?;
    }
    let millis = |part| took.value_at_quantile(part) as f64 / 1e3;
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Round { rate, p50: millis(0.5), p99: millis(0.99) })
}

/// Reads one answer, and no more than that: the next is asked for when this one is there.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the server hung up");
        let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = end + 4 + length.context("an answer tells its length")?;
        while buffer.len() < whole {
            ensure!(stream.read_buf(buffer).await? > 0, "the server hung up");
        }
        return Ok(());
    }
}
