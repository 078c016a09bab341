//! A server in a container, where a Docker engine answers.
//!
//! The Docker client is a program of its own, `testbed-containers`, which cargo builds when
//! it is first needed: nobody who has the server's binary waits for it. That program holds
//! the container until its standard input ends, so the container, too, goes with its owner.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::supervised::Trouble;
use super::{Greeting, Own, Recipe};

/// How long an engine may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server in a container that lives for as long as this does; it is removed some tenths of
/// a second later.
#[derive(Debug)]
pub struct Contained {
    holder: Mutex<Holder>,
    url: String,
    greet: fn(&str) -> Result<Greeting, String>,
    patience: Duration,
}

#[derive(Debug)]
struct Holder {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contained {
    /// Where clients connect to.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn order(&self, order: &str) -> Result<(), Trouble> {
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(holder.orders, "{order}")?;
        match holder.answer()? {
            Value::Object(done) if done.contains_key("done") => Ok(()),
            answer => Err(io::Error::other(answer["error"].to_string()).into()),
        }
    }
}

impl Holder {
    fn answer(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the container's client could not be built or was lost"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Own for Contained {
    fn kill(&self) -> Result<(), Trouble> {
        // A frozen process is killed only when it thaws; one that was not frozen is no error.
        let _ = self.order("unpause");
        self.order("kill")
    }

    fn restart(&self) -> Result<(), Trouble> {
        self.kill()?;
        self.order("start")?;
        let deadline = Instant::now() + self.patience;
        loop {
            match (self.greet)(&self.url) {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() > deadline => return Err(io::Error::other(why).into()),
                Err(_) => sleep(Duration::from_millis(10)),
            }
        }
    }

    fn stop(&self) -> Result<(), Trouble> {
        self.order("pause")
    }

    fn resume(&self) -> Result<(), Trouble> {
        self.order("unpause")
    }
}

/// The engine's address in the form of `DOCKER_HOST`, if it answers: the one that the variable
/// names, else the sockets of Docker, of Docker Desktop and colima, and of podman.
///
/// # Errors
/// What to tell the user where none answers.
pub fn engine() -> Result<String, String> {
    if let Some(host) = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return match ping(&host) {
            true => Ok(host),
            false => Err(format!("DOCKER_HOST is {host}, and no engine answers there")),
        };
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = [
        (None, "/var/run/docker.sock"),
        (runtime.as_ref(), ".docker/run/docker.sock"),
        (runtime.as_ref(), "docker.sock"),
        (home.as_ref(), ".docker/run/docker.sock"),
        (home.as_ref(), ".docker/desktop/docker.sock"),
        (home.as_ref(), ".colima/default/docker.sock"),
        (runtime.as_ref(), "podman/podman.sock"),
        (home.as_ref(), ".local/share/containers/podman/machine/podman.sock"),
        (None, "/run/podman/podman.sock"),
    ];
    places
        .into_iter()
        .filter_map(|(base, socket)| match base {
            Some(base) => Some(base.join(socket)),
            None => socket.starts_with('/').then(|| PathBuf::from(socket)),
        })
        .map(|socket| format!("unix://{}", socket.display()))
        .find(|host| ping(host))
        .ok_or_else(|| "no Docker engine answers".into())
}

/// Whether a container can serve for this kind of server. The client publishes one port.
///
/// # Errors
/// What to tell the user.
pub fn known(recipe: &Recipe) -> Result<(), String> {
    match recipe.second_port {
        None => Ok(()),
        Some(_) => Err(format!("{} needs two ports, a container here has one", recipe.name)),
    }
}

/// Starts the server that `testbed-containers` knows by the recipe's id. Blocks: for a minute
/// or two where the client has to be built and the image to be fetched.
///
/// # Errors
/// What to tell the user.
pub fn start(recipe: &Recipe, engine: &str) -> Result<Contained, String> {
    known(recipe)?;
    let id = recipe.id;
    super::tell(&format!("starting {id} in a container; the first time, its client is built"));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = super::workspace();
    let mut client = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--manifest-path"])
        .arg(workspace.join("crates/containers/Cargo.toml"))
        .arg("--target-dir")
        .arg(workspace.join("target/containers"))
        .args(["--", id])
        .env("DOCKER_HOST", engine)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the owner; the client must live to remove the container.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    let (Some(orders), Some(answers)) = (client.stdin.take(), client.stdout.take()) else {
        return Err("the container's client has no pipe".into());
    };
    // Reaps the client whenever it ends.
    std::thread::spawn(move || client.wait());
    let mut holder = Holder { orders, answers: BufReader::new(answers) };
    let answer = holder.answer().map_err(|error| error.to_string())?;
    match (answer["url"].as_str(), answer["error"].as_str()) {
        (Some(url), _) => Ok(Contained {
            holder: Mutex::new(holder),
            url: url.into(),
            greet: recipe.greet,
            patience: recipe.patience,
        }),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(format!("the container's client said: {answer}")),
    }
}

/// Whether an engine answers `GET /_ping`, which every version has. Of an engine behind TLS
/// or ssh it is only believed.
fn ping(host: &str) -> bool {
    fn ask<S: Read + Write>(mut engine: S) -> bool {
        let mut answer = [0; 12];
        let asked = engine.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n");
        asked.is_ok() && engine.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")
    }
    let secured = env::var_os("DOCKER_TLS_VERIFY").is_some_and(|verify| !verify.is_empty());
    match host.split_once("://") {
        Some(("unix", path)) => UnixStream::connect(path)
            .is_ok_and(|engine| engine.set_read_timeout(Some(PATIENCE)).is_ok() && ask(engine)),
        Some(("tcp" | "http", address)) if !secured => {
            let address = address.to_socket_addrs().ok().and_then(|mut found| found.next());
            address.is_some_and(|address| {
                TcpStream::connect_timeout(&address, PATIENCE).is_ok_and(|engine| {
                    engine.set_read_timeout(Some(PATIENCE)).is_ok() && ask(engine)
                })
            })
        }
        Some(_) => true,
        None => false,
    }
}
