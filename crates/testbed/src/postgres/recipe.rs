//! How the chain finds, starts and greets a PostgreSQL.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::session::{Refusal, Session};
use super::url::{PORT, Target};
use super::{PATIENCE, cluster};
use crate::server::install::Packages;
use crate::server::{Address, Greeting, Recipe};

/// PostgreSQL, from version 14 on.
pub const RECIPE: Recipe = Recipe {
    name: "PostgreSQL",
    id: "postgres",
    variable: "DATABASE_URL",
    programs: &["postgres"],
    places: &[
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/opt/homebrew/opt/postgresql*/bin",
        "/usr/local/opt/postgresql*/bin",
        "/opt/local/lib/postgresql*/bin",
    ],
    rootless: true,
    many_files: true,
    port: PORT,
    private: || Address::Unix(".s.PGSQL.5432".into()),
    arguments,
    prelude: None,
    second_port: None,
    linger: None,
    furnish: cluster::furnish,
    // The manual's "immediate shutdown": at once, and with all of its processes.
    farewell: Signal::QUIT,
    ready: "ready to accept connections",
    patience: Duration::from_secs(30),
    password: true,
    url: |address, password| Target::ours(address.clone(), password).render(),
    greet,
    packages: Packages {
        apt: "postgresql",
        // Otherwise it makes a cluster, which a service serves from the next start on.
        apt_file: Some((
            "/etc/postgresql-common/createcluster.d/distributed-systems-sandbox.conf",
            "create_main_cluster = false",
        )),
        dnf: &["postgresql-server"],
        brew: "postgresql@17",
        wheel: None,
    },
};

/// What makes a server quick to start, small, and true to what lessons look at.
///
/// Without the first two it would wait for the disk. A commit survives the death of every
/// process of the server all the same, as the system's memory holds what was written; it does
/// not survive the death of the machine, after which the whole cluster may be unreadable.
/// Tests throw it away anyway. Never do this where the data is meant to be kept.
///
/// `synchronous_commit` stays on: off, a commit is answered while it still lies in memory of
/// the server's own, and a killed server comes back without its last fifth of a second. It
/// costs little where nothing waits for the disk.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    // All tests of a binary are on one server, as many at once as the machine has cores.
    "max_connections=300",
    // In its room, which goes when it does.
    "dynamic_shared_memory_type=mmap",
    // Nothing happens that the lesson did not ask for.
    "autovacuum=off",
    "log_checkpoints=off",
];

fn arguments(address: &Address) -> Vec<String> {
    let listen = match address {
        // Relative to the data directory, so it is short enough wherever the room is.
        Address::Unix(socket) => {
            let folder = Path::new("..").join(socket.parent().unwrap_or(Path::new("")));
            vec![
                "listen_addresses=".into(),
                format!("unix_socket_directories={}", folder.display()),
                format!("port={PORT}"),
            ]
        }
        Address::Tcp(host, port) => vec![
            format!("listen_addresses={host}"),
            "unix_socket_directories=".into(),
            format!("port={port}"),
        ],
    };
    let settings = listen.into_iter().chain(SETTINGS.iter().copied().map(String::from));
    let settings = settings.flat_map(|setting| ["-c".into(), setting]);
    ["-D".into(), cluster::DATA.into()].into_iter().chain(settings).collect()
}

fn greet(url: &str) -> Result<Greeting, String> {
    let target = Target::read(url)?;
    // The URL itself may hold a password, so only its place is named.
    let placed = |error: Refusal| format!("{}: {error}", target.address());
    let mut session = Session::open(&target, PATIENCE).map_err(placed)?;
    // 15.18 (Debian 15.18-0+deb12u1)
    let version = session.setting("server_version").and_then(|said| said.split(' ').next());
    let version = format!("PostgreSQL {}", version.unwrap_or("of an unknown version"));
    let pid = match session.setting("is_superuser") {
        Some("on") => first_line_of_its_pid_file(&mut session),
        _ => None,
    };
    Ok(Greeting { version, pid })
}

/// The server's first process, of which only its superuser may know.
fn first_line_of_its_pid_file(session: &mut Session) -> Option<u32> {
    let rows =
        session.query("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)").ok()?;
    rows.first()?.first()?.as_deref()?.parse().ok()
}
