//! Holds a server in a container for as long as somebody listens.
//!
//! ```text
//! testbed-containers redis
//! ```
//!
//! or `postgres` starts one, prints one line of JSON, `{"url": "redis://…"}` or
//! `{"error": "…"}`, and holds the container until standard input ends. Whoever started this
//! keeps the other end of that pipe, so the container is removed however the owner dies.
//! (testcontainers removes a container when its handle is dropped, which `kill -9` prevents;
//! it has no reaper process.) Meanwhile each line of standard input is an order, `kill`,
//! `start`, `pause` or `unpause`, answered by `{"done": "kill"}` or `{"error": "…"}`.
//!
//! This is a program of its own because a Docker client is two hundred crates: the test bed
//! has it built and run only where it found no server on the machine. It speaks to the
//! engine that `DOCKER_HOST` names, podman's too.
//!
//! # Adding a server
//!
//! One more arm in [`Server::named`].

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::mpsc::{self, error::TryRecvError};

/// What to start, and how its clients reach it.
struct Server {
    image: &'static str,
    tag: &'static str,
    port: u16,
    /// Part of the line that means that clients are welcome.
    ready: WaitFor,
    /// What runs in place of the image's own entrypoint and user, where those would do more.
    instead: Option<(&'static str, &'static str)>,
    command: Vec<String>,
    /// What the command reads from its environment.
    environment: Option<(&'static str, String)>,
    /// The URL up to the host, and after the port.
    url: (String, &'static str),
}

/// Starts a PostgreSQL whose data directory is made on the first start, and kept for the next.
/// The image's own entrypoint would start a server twice, the first time only to itself, and
/// both say that they are ready. The settings are those of the test bed's private servers.
const POSTGRES: &str = r#"
set -e
cd /tmp
if [ ! -e data ]; then
  printf %s "$SECRET" >secret
  initdb -D data --username=postgres --pwfile=secret --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --no-sync >/dev/null
  rm secret
  echo 'host all all all scram-sha-256' >>data/pg_hba.conf
fi
exec postgres -D data -c listen_addresses='*' -c unix_socket_directories= \
  -c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=100 \
  -c autovacuum=off -c log_checkpoints=off
"#;

impl Server {
    fn named(name: &str) -> Result<Self> {
        // The engine publishes the port to the whole network, so no server goes without a
        // password that nobody can guess.
        let password = format!("{:032x}", rand::random::<u128>());
        match name {
            "redis" => Ok(Self {
                image: "redis",
                tag: "7.2.4", // the last one under the BSD licence
                port: 6379,
                ready: WaitFor::message_on_stdout("Ready to accept connections"),
                instead: None,
                command: ["redis-server", "--save", "", "--appendonly", "no", "--requirepass"]
                    .map(String::from)
                    .into_iter()
                    .chain([password.clone()])
                    .collect(),
                environment: None,
                url: (format!("redis://:{password}@"), ""),
            }),
            "postgres" => Ok(Self {
                image: "postgres",
                tag: "17",
                port: 5432,
                ready: WaitFor::message_on_stderr("database system is ready to accept connections"),
                instead: Some(("sh", "postgres")),
                command: vec!["-c".into(), POSTGRES.into()],
                environment: Some(("SECRET", password.clone())),
                url: (format!("postgres://postgres:{password}@"), "/postgres"),
            }),
            _ => bail!("no container is known for `{name}`; there is one for: redis, postgres"),
        }
    }

    async fn start(&self) -> Result<ContainerAsync<GenericImage>> {
        // A port that the engine chose would be another after a restart.
        let port = TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
        let mut image = GenericImage::new(self.image, self.tag).with_wait_for(self.ready.clone());
        if let Some((entrypoint, _)) = self.instead {
            image = image.with_entrypoint(entrypoint);
        }
        let mut image = image.with_mapped_port(port, self.port.tcp()).with_cmd(&self.command);
        if let Some((_, user)) = self.instead {
            image = image.with_user(user);
        }
        if let Some((name, value)) = &self.environment {
            image = image.with_env_var(*name, value);
        }
        image
            .start()
            .await
            .with_context(|| format!("cannot run {}:{} in a container", self.image, self.tag))
    }

    async fn url(&self, container: &ContainerAsync<GenericImage>) -> Result<String> {
        let host = container.get_host().await?.to_string();
        // The port is that of IPv4, and `localhost` may mean ::1.
        let host = if host == "localhost" { "127.0.0.1" } else { &host };
        let port = container.get_host_port_ipv4(self.port).await?;
        let (before, after) = &self.url;
        Ok(format!("{before}{host}:{port}{after}"))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match hold(input()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&json!({ "error": format!("{error:#}") }));
            ExitCode::FAILURE
        }
    }
}

async fn hold(mut orders: Orders) -> Result<()> {
    let name = std::env::args().nth(1).context("which server? try: testbed-containers redis")?;
    let server = Server::named(&name)?;
    // While this was being built the owner may have gone.
    if orders.try_recv() == Err(TryRecvError::Disconnected) {
        return Ok(());
    }
    // Never abandoned half-way: a container that exists but has no handle would stay.
    let container = server.start().await?;
    let url = server.url(&container).await;
    if let Ok(url) = &url {
        say(&json!({ "url": url }));
        while let Some(order) = orders.recv().await {
            say(&match obey(&container, &order).await {
                Ok(()) => json!({ "done": order }),
                Err(error) => json!({ "error": format!("{error:#}") }),
            });
        }
    }
    container.rm().await.context("cannot remove the container")?;
    url.map(drop)
}

async fn obey(container: &ContainerAsync<GenericImage>, order: &str) -> Result<()> {
    match order {
        // At once: no time is given between the polite signal and SIGKILL.
        "kill" => container.stop_with_timeout(Some(0)).await?,
        "start" => container.start().await?,
        "pause" => container.pause().await?,
        "unpause" => container.unpause().await?,
        _ => bail!("no order `{order}`"),
    }
    Ok(())
}

type Orders = mpsc::UnboundedReceiver<String>;

/// The lines of standard input, to its end. On a thread, because tokio's standard input
/// cannot be cancelled and would hold up the exit.
fn input() -> Orders {
    let (orders, received) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for order in io::stdin().lines().map_while(Result::ok) {
            if orders.send(order).is_err() {
                return;
            }
        }
    });
    received
}

/// One line to the owner; where the owner is gone, the input ends as well.
fn say(line: &serde_json::Value) {
    let _ = writeln!(io::stdout(), "{line}");
}
