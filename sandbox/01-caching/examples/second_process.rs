//! Callers of one key in two processes: this one, and the same program once more.
//!
//! Two tasks cannot show what two processes do to each other: they share their memory. So the
//! program starts itself again with an [`Order`] in its environment, and the two meet in Redis
//! only. They talk in lines: "ready", then for each key that comes on the standard input, an
//! [`Outcome`] on the standard output. When the input ends, so does the second process: it cannot
//! outlive the first.

use anyhow::Context;
use caching::stampede::{CoalescingCache, Options, ProtectedCache, Scope};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use testbed::origin::Origin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Holds the order of a second process, as JSON.
const ORDER: &str = "SECOND_PROCESS_ORDER";
/// Begins each line of the second process: a test harness prints lines of its own.
const SAYS: &str = "second process: ";
/// How long anything that it is asked for may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who calls, and of what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The Redis where the two processes meet.
    pub url: String,
    /// Leases between the processes ([`Scope::Fleet`]), or none.
    pub leases: bool,
    /// How many callers each process has.
    pub callers: usize,
    /// What the simulated database takes for a load.
    pub load: Duration,
    /// What a load may take before it is given up.
    pub lease: Duration,
}

/// What came of one key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Loads that this process's database has counted.
    pub loads: u64,
    /// Callers that got the value.
    pub answered: usize,
}

/// The callers of one process, before a cache and a database of their own.
#[derive(Clone)]
pub struct Callers {
    order: Order,
    /// The cache that they all call.
    pub cache: CoalescingCache,
    database: Origin<String>,
}

impl Callers {
    /// Connected, so that the first caller does not begin later than those of the other process.
    pub async fn ready(order: Order) -> anyhow::Result<Callers> {
        let scope = if order.leases { Scope::Fleet } else { Scope::Process };
        // A generous timeout: on a busy machine 200 callers at once are no outage of Redis.
        let timeout = Duration::from_secs(2);
        let options = Options { scope, lease: order.lease, timeout, ..Options::default() };
        let cache = CoalescingCache::open(&order.url, options)?;
        cache.get("ready", async { Ok::<_, Infallible>(true) }).await?;
        let database = Origin::new();
        database.set_latency(order.load);
        Ok(Callers { order, cache, database })
    }

    /// All callers ask for `key` at once.
    pub async fn call(&self, key: &str) -> anyhow::Result<Outcome> {
        let value = format!("what stands at {key}");
        self.database.write(key, value.clone());
        let before = self.database.loads();
        let mut calls = JoinSet::new();
        for _ in 0..self.order.callers {
            let (cache, database, key) =
                (self.cache.clone(), self.database.clone(), key.to_owned());
            let load = {
                let key = key.clone();
                async move { database.load(&key).await }
            };
            calls.spawn(async move { cache.get(&key, load).await });
        }
        let mut answered = 0;
        while let Some(call) = calls.join_next().await {
            answered += usize::from(call??.as_ref() == Some(&value));
        }
        Ok(Outcome { loads: self.database.loads() - before, answered })
    }
}

/// The second process, as the first sees it. It is killed (`kill -9`) when this is dropped.
pub struct SecondProcess {
    process: Child,
    keys: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
}

impl SecondProcess {
    /// Starts this program once more with `arguments`, which must lead it to [`obey`].
    pub async fn start(order: &Order, arguments: &[&str]) -> anyhow::Result<SecondProcess> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env(ORDER, serde_json::to_string(order)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting this program once more")?;
        let keys = process.stdin.take().context("its standard input")?;
        let output = process.stdout.take().context("its standard output")?;
        let (tell, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A harness may leave its own line open before ours.
                let Some((_, said)) = line.split_once(SAYS) else { continue };
                if tell.send(said.to_owned()).is_err() {
                    return;
                }
            }
        });
        let mut second = SecondProcess { process, keys, lines };
        second.hear().await?;
        Ok(second)
    }

    /// Its callers ask for `key`, from now on.
    pub fn call(&mut self, key: &str) -> anyhow::Result<()> {
        writeln!(self.keys, "{key}").context("the second process is gone")
    }

    /// What came of it.
    pub async fn outcome(&mut self) -> anyhow::Result<Outcome> {
        Ok(serde_json::from_str(&self.hear().await?)?)
    }

    async fn hear(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
        line.context("the second process says nothing")?.context("the second process is gone")
    }
}

impl Drop for SecondProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nobody to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What this process has to do, if it is the second one.
pub fn order() -> anyhow::Result<Option<Order>> {
    match std::env::var(ORDER) {
        Ok(order) => Ok(Some(serde_json::from_str(&order).context(ORDER)?)),
        Err(_) => Ok(None),
    }
}

/// Does what the first process says, until it says no more.
pub async fn obey(order: Order) -> anyhow::Result<()> {
    let (tell, mut keys) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for key in std::io::stdin().lines().map_while(Result::ok) {
            let _ = tell.send(key);
        }
        // The first process is gone, perhaps in the middle of a load that nobody waits for.
        std::process::exit(0);
    });
    let callers = Callers::ready(order).await?;
    println!("{SAYS}ready");
    while let Some(key) = keys.recv().await {
        println!("{SAYS}{}", serde_json::to_string(&callers.call(&key).await?)?);
    }
    Ok(())
}
