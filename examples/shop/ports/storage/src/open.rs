//! From a place to connections.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};

use crate::{Error, Options, Side};

pub(crate) struct Opened {
    pub(crate) side: Side,
    pub(crate) readers: AnyPool,
    pub(crate) writers: AnyPool,
    /// Taken while the schema changes, where the database itself has no such lock.
    pub(crate) lock: Option<PathBuf>,
}

pub(crate) async fn open(url: &str, name: &str, options: Options) -> Result<Opened, Error> {
    // Registers the drivers once; later calls do nothing.
    sqlx::any::install_default_drivers();
    if let Some(folder) = url.strip_prefix("sqlite://") {
        sqlite(url, Path::new(folder), name, options).await
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        postgres(url, name, options).await
    } else {
        Err(place(url, "it should be sqlite://FOLDER or postgres://HOST/DATABASE"))
    }
}

async fn sqlite(url: &str, folder: &Path, name: &str, options: Options) -> Result<Opened, Error> {
    fs::create_dir_all(folder).map_err(|error| place(url, &error.to_string()))?;
    let file = folder.join(format!("{name}.db"));
    let address = format!("sqlite://{}?mode=rwc", escape(&file.to_string_lossy()));
    let pool = |connections| {
        let patience = options.patience.as_millis();
        // WAL lets readers read while one writes. With it, NORMAL keeps the database whole
        // through a crash of the program, and may lose the last commits only when the machine
        // itself goes down: https://www.sqlite.org/pragma.html#pragma_synchronous.
        let pragmas = format!(
            "PRAGMA busy_timeout = {patience}; PRAGMA journal_mode = WAL; \
             PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
        );
        connect(&address, pragmas, connections, options.patience)
    };
    Ok(Opened {
        side: Side::Sqlite,
        // The writer first: it makes the file.
        writers: pool(1).await?,
        readers: pool(options.connections).await?,
        lock: Some(folder.join(format!("{name}.lock"))),
    })
}

async fn postgres(url: &str, name: &str, options: Options) -> Result<Opened, Error> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
        return Err(place(url, &format!("`{name}` is no name for a schema")));
    }
    let patience = options.patience.as_millis();
    let settings = format!(
        "SET search_path TO {name}; SET lock_timeout = {patience}; \
         SET client_min_messages = warning;"
    );
    let pool = connect(url, settings, options.connections, options.patience).await?;
    // "IF NOT EXISTS" looks and then makes: of two who come at once, one may still be refused.
    let make = format!("CREATE SCHEMA IF NOT EXISTS {name}");
    if let Err(refused) = pool.execute(make.as_str()).await.map_err(Error::from)
        && !matches!(refused, Error::Taken(_))
    {
        return Err(refused);
    }
    Ok(Opened { side: Side::Postgres, readers: pool.clone(), writers: pool, lock: None })
}

async fn connect(
    address: &str,
    greeting: String,
    connections: u32,
    patience: Duration,
) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .after_connect(move |connection: &mut AnyConnection, _| {
            let greeting = greeting.clone();
            Box::pin(async move { connection.execute(greeting.as_str()).await.map(|_| ()) })
        });
    // A pool tries again until its patience ends, and then tells only that. One try of its own
    // tells what is wrong.
    AnyConnection::connect(address).await?.close().await?;
    Ok(pool.connect(address).await?)
}

fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn place(url: &str, why: &str) -> Error {
    Error::Place { url: without_password(url), why: why.to_owned() }
}

/// An address as it may be shown: without the password that it may hold.
pub fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

/// Waits for the lock beside the database; it is free again when the file is closed, also by
/// the end of the process.
pub(crate) fn take(lock: &Path) -> std::io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(lock)?;
    file.lock()?;
    Ok(file)
}
