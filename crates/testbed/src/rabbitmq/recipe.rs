//! How the chain finds, starts and greets a RabbitMQ.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::control::Control;
use super::url::{PORT, Target, USER};
use crate::server::install::Packages;
use crate::server::{Address, Greeting, Linger, Recipe, Room, kept};

/// How far above AMQP's port our hand listens: at 25672 by default, where RabbitMQ's own tools
/// would speak to it. They need Erlang's distribution, which is off.
pub(super) const CONTROL: u16 = 20_000;

/// RabbitMQ, from version 3.10 on.
pub const RECIPE: Recipe = Recipe {
    name: "RabbitMQ",
    id: "rabbitmq",
    variable: "AMQP_URL",
    programs: &["rabbitmq-server"],
    places: &["/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin"],
    rootless: false,
    many_files: true,
    port: PORT,
    private: || Address::Tcp(Ipv4Addr::LOCALHOST.to_string(), unused()),
    arguments,
    prelude: Some(include_str!("launch.sh")),
    second_port: Some(CONTROL),
    linger: Some(Linger {
        notice: "RabbitMQ takes some seconds to start; it then stays for 5 minutes after its \
                 last\ntestbed: use, and `cargo lab down rabbitmq` ends it",
        keep: |url| {
            let kept = Control::of(&Target::read(url)?).and_then(|mut hand| hand.order("keep"));
            kept.map(drop).map_err(|error| error.to_string())
        },
    }),
    furnish,
    // Asked to end it would take a second, and save what nobody will read.
    farewell: Signal::KILL,
    // Of our hand, which is there when all else is.
    ready: "testbed control is listening",
    patience: Duration::from_secs(90),
    password: true,
    url: |address, password| Target::ours(address.clone(), password).render(),
    greet,
    packages: Packages {
        apt: "rabbitmq-server",
        apt_file: None,
        dnf: &["rabbitmq-server"],
        brew: "rabbitmq",
        wheel: None,
    },
};

/// A port that is free, and so is the one above it that our hand needs. Below those that
/// systems give to whoever connects, so that neither is taken before the broker is there.
fn unused() -> u16 {
    let drawn = std::iter::repeat_with(|| rand::random_range(10_000..12_700));
    let found = drawn.take(1000).find(|port| kept::free(*port) && kept::free(*port + CONTROL));
    found.unwrap_or(PORT)
}

fn arguments(address: &Address) -> Vec<String> {
    let (host, port) = match address {
        Address::Tcp(host, port) => (host.as_str(), *port),
        // It has none; see `private`.
        Address::Unix(_) => ("127.0.0.1", PORT),
    };
    let control = port.saturating_add(CONTROL);
    let listeners = format!("[{{\"{host}\",{port}}}]");
    let hand =
        format!("{{ok,_}}=compile:file(testbed_control,[]),testbed_control:start({control}).");
    let words = [
        "-noinput",
        // A name of its own, and a distribution to which nobody connects: RabbitMQ then does not
        // start epmd, a daemon on all interfaces that would stay.
        "-sname",
        "testbed@localhost",
        "-start_epmd",
        "false",
        "-dist_listen",
        "false",
        "-erl_epmd_port",
        &control.to_string(),
        // As many threads as are of use; one a core would be in the way of what is tested.
        "+S",
        "2:2",
        "-rabbit",
        "tcp_listeners",
        &listeners,
        "-eval",
        &hand,
    ];
    words.map(String::from).into()
}

/// The settings. What they say of disk and memory keeps alarms, which stop publishers, for
/// machines that are truly full; the log of quorum queues is small, as it is in memory here.
fn furnish(room: &Room<'_>) -> Result<(), String> {
    let password = room.password.ok_or("a broker on a port wants a password")?;
    let settings = format!(
        "[{{rabbit, [{{default_user, <<\"{USER}\">>}}, {{default_pass, <<\"{password}\">>}},\n\
         {{loopback_users, []}}, {{disk_free_limit, 10000000}},\n\
         {{vm_memory_high_watermark, {{absolute, 1000000000}}}},\n\
         {{log, [{{console, [{{enabled, true}}]}}, {{file, [{{file, false}}]}}]}}]}},\n\
         {{ra, [{{wal_max_size_bytes, 4000000}}]}}].\n"
    );
    let files = [
        ("secret", password),
        ("advanced.config", &settings),
        ("enabled_plugins", "[].\n"),
        ("testbed_control.erl", include_str!("testbed_control.erl")),
    ];
    let written = files.into_iter().try_for_each(|(name, text)| write(room.path, name, text));
    written.map_err(|error| format!("cannot furnish {}: {error}", room.path.display()))
}

/// For nobody else to read: some hold the password.
fn write(room: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = room.join(name);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn greet(url: &str) -> Result<Greeting, String> {
    let target = Target::read(url)?;
    let hello = Control::of(&target).and_then(|mut hand| hand.order("hello"));
    let hello = hello.map_err(|error| {
        // The URL itself holds a password, so only its place is named.
        format!("{}: {error}; AMQP_URL takes what `cargo lab up rabbitmq` prints", target.address())
    })?;
    let version = hello["version"].as_str().unwrap_or("of an unknown version");
    let pid = hello["pid"].as_u64().and_then(|pid| pid.try_into().ok());
    Ok(Greeting { version: format!("RabbitMQ {version}"), pid })
}
