//! Reading a URL as PostgreSQL's own clients do (its manual, "Connection URIs"), and writing
//! one that they, and the client of the lessons, read back to the same place.

use std::borrow::Cow;
use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use ::url::Url;

use crate::server::Address;
use crate::server::address::encode;

/// PostgreSQL's port, which is part of the name of its socket too.
pub(super) const PORT: u16 = 5432;

/// Where servers put their socket as a rule; clients look there when no host is named.
const SOCKETS: &[&str] = &["/run/postgresql", "/var/run/postgresql", "/tmp"];

/// What a URL names: a database, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    address: Address,
    user: String,
    password: Option<String>,
    database: String,
    /// What else was said, for the client of the lesson: `sslmode`, `options`.
    rest: Vec<(String, String)>,
}

impl Target {
    /// The superuser of a server of ours, and its first database.
    pub(super) fn ours(address: Address, password: Option<&str>) -> Self {
        let name = || "postgres".to_owned();
        let password = password.map(String::from);
        Self { address, user: name(), password, database: name(), rest: Vec::new() }
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// What to tell the user; it holds no password.
    pub fn read(text: &str) -> Result<Self, String> {
        const FORM: &str = "it should look like postgres://USER:PASSWORD@HOST:PORT/DATABASE";
        let url = Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err(FORM.into());
        }
        let plain = |text: &str| {
            let bytes = percent_encoding::percent_decode_str(text);
            bytes.decode_utf8().map(Cow::into_owned).map_err(|_| FORM.to_owned())
        };
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let mut host = url.host_str().map(plain).transpose()?.and_then(some);
        let mut port = url.port();
        let mut user = some(plain(url.username())?);
        let mut password = url.password().map(plain).transpose()?;
        let mut database = some(plain(url.path().trim_start_matches('/'))?);
        let mut rest = Vec::new();
        for (name, value) in url.query_pairs() {
            let value = value.into_owned();
            match &*name {
                "host" | "hostaddr" => host = some(value),
                "port" => port = Some(value.parse().map_err(|_| FORM.to_owned())?),
                "user" => user = some(value),
                "password" => password = Some(value),
                "dbname" => database = some(value),
                "sslmode" if !["disable", "allow", "prefer"].contains(&value.as_str()) => {
                    return Err("TLS is not built in; name a server that does without".into());
                }
                _ => rest.push((name.into_owned(), value)),
            }
        }
        let port = port.unwrap_or(PORT);
        let address = match host {
            Some(folder) if folder.starts_with('/') => Address::Unix(socket(&folder, port)),
            Some(host) => Address::Tcp(host.trim_matches(['[', ']']).to_owned(), port),
            None => usual(port),
        };
        let user = user
            .or_else(|| ["PGUSER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok()))
            .unwrap_or_else(|| "postgres".into());
        let database = database.unwrap_or_else(|| user.clone());
        Ok(Self { address, user, password, database, rest })
    }

    /// The same server, another database.
    pub(super) fn at(&self, database: &str) -> Self {
        Self { database: database.into(), ..self.clone() }
    }

    /// The same database, reached at another address.
    pub(crate) fn through(&self, address: Address) -> Self {
        Self { address, ..self.clone() }
    }

    /// Where the server listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// As whom to log in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, where there is one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Which database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The URL. Nothing in it is left to the environment of the client.
    pub fn render(&self) -> String {
        let login = match &self.password {
            Some(password) => format!("{}:{}", encode(&self.user), encode(password)),
            None => encode(&self.user),
        };
        let mut query: Vec<(String, String)> = Vec::new();
        let host = match &self.address {
            Address::Tcp(..) => self.address.to_string(),
            // The host in front is there for parsers that want one with the user; the query's
            // is meant.
            Address::Unix(socket) => {
                let folder = socket.parent().unwrap_or(Path::new("/"));
                query.push(("host".into(), folder.display().to_string()));
                let port = socket.extension().unwrap_or_default().to_string_lossy();
                if port != PORT.to_string() {
                    query.push(("port".into(), port.into_owned()));
                }
                "localhost".into()
            }
        };
        query.extend(self.rest.iter().cloned());
        let mut url = format!("postgres://{login}@{host}/{}", encode(&self.database));
        for (number, (name, value)) in query.iter().enumerate() {
            let mark = if number == 0 { '?' } else { '&' };
            let value: Vec<String> = value.split('/').map(encode).collect();
            let _ = write!(url, "{mark}{}={}", encode(name), value.join("/"));
        }
        url
    }
}

/// The socket in a folder: PostgreSQL makes its name of the port.
fn socket(folder: &str, port: u16) -> PathBuf {
    Path::new(folder).join(format!(".s.PGSQL.{port}"))
}

/// Where a client looks that was told no host.
fn usual(port: u16) -> Address {
    let mut sockets = SOCKETS.iter().map(|folder| socket(folder, port));
    let found = sockets.find(|socket| socket.exists());
    found.map_or_else(|| Address::Tcp("localhost".into(), port), Address::Unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_read_back() {
        for url in [
            "postgres://postgres@localhost/postgres?host=/tmp/testbed.x1/a%20b",
            "postgres://shop:p%40ss%2F%3A%20word@db.example:6543/o%2Frders?sslmode=disable",
            "postgres://postgres@[::1]:5432/x?options=-c%20search_path%3Da",
            "postgres://postgres@localhost/x?host=/run&port=7",
        ] {
            let target = Target::read(url).unwrap();
            assert_eq!(Target::read(&target.render()).unwrap(), target, "{url}");
        }
    }

    #[test]
    fn a_url_says_where_and_who() {
        let url = "postgresql://shop:p%40ss@[::1]:6543/orders?application_name=x";
        let target = Target::read(url).unwrap();
        assert_eq!(target.address, Address::Tcp("::1".into(), 6543));
        assert_eq!((target.user(), target.password()), ("shop", Some("p@ss")));
        assert_eq!(target.at("other").database(), "other");
        let socket = Target::read("postgres:///orders?host=/run/pg&user=shop").unwrap();
        assert_eq!(socket.address, Address::Unix("/run/pg/.s.PGSQL.5432".into()));
        assert_eq!(socket.render(), "postgres://shop@localhost/orders?host=/run/pg");
    }

    #[test]
    fn what_cannot_be_served_is_said() {
        for url in ["mysql://x/y", "nonsense", "postgres://x/y?sslmode=require"] {
            assert!(Target::read(url).is_err(), "{url}");
        }
    }
}
