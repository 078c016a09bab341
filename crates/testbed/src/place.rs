//! A place for a database, for one test: what `shop-storage` opens.
//!
//! ```no_run
//! # async fn test() {
//! use testbed::place::Place;
//!
//! let place = Place::chosen().await;
//! println!("{}", place.url());
//! # }
//! ```
//!
//! A suite says nothing of databases and runs on each of them:
//!
//! ```console
//! $ cargo nextest run -p shop-orders
//! $ TESTBED_STORAGE=postgres cargo nextest run -p shop-orders
//! ```
//!
//! Whoever has no place cannot test, so this panics, and says why. A test that were skipped
//! instead would look like one that passed.

use tempfile::TempDir;

use crate::postgres::{self, Postgres};

/// The variable that says which database a suite runs on.
const VARIABLE: &str = "TESTBED_STORAGE";

/// Where one test keeps its data. Empty at first, nobody else's, and gone when it is dropped.
#[derive(Debug)]
pub struct Place {
    url: String,
    server: Option<Postgres>,
    _folder: Option<TempDir>,
}

/// What [`VARIABLE`] may say.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Sqlite,
    Postgres,
}

impl Place {
    /// What `TESTBED_STORAGE` says: `sqlite`, which is also meant where it says nothing, or
    /// `postgres`.
    ///
    /// # Panics
    /// The variable says something else; or as for [`Place::folder`] and [`Place::postgres`].
    pub async fn chosen() -> Place {
        // What is not Unicode is none of our words.
        let said = std::env::var_os(VARIABLE).map(|said| said.to_string_lossy().into_owned());
        match choice(said.as_deref()) {
            Ok(Choice::Sqlite) => Place::folder(),
            Ok(Choice::Postgres) => Place::postgres().await,
            Err(why) => panic!("{why}"),
        }
    }

    /// A temporary folder, as `sqlite://FOLDER`.
    ///
    /// # Panics
    /// The folder cannot be made.
    pub fn folder() -> Place {
        let folder = tempfile::tempdir()
            .unwrap_or_else(|error| panic!("cannot make a folder for a database: {error}"));
        let url = format!("sqlite://{}", folder.path().display());
        Place { url, server: None, _folder: Some(folder) }
    }

    /// A fresh database on a server by the whole chain: [`postgres::private`].
    ///
    /// # Panics
    /// There is no PostgreSQL to be had. The message ends with the command to run.
    pub async fn postgres() -> Place {
        let server = postgres::private().await.unwrap_or_else(|missing| panic!("{missing}"));
        Place { url: server.url().to_owned(), server: Some(server), _folder: None }
    }

    /// Its address: `sqlite://…` or `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server that it is on, to look at its locks or to end its sessions. A folder is on none.
    pub fn server(&self) -> Option<&Postgres> {
        self.server.as_ref()
    }
}

fn choice(said: Option<&str>) -> Result<Choice, String> {
    match said {
        None | Some("" | "sqlite") => Ok(Choice::Sqlite),
        Some("postgres") => Ok(Choice::Postgres),
        Some(other) => Err(format!("set {VARIABLE} to sqlite or postgres, not `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Choice, Place, choice};

    #[test]
    fn the_variable_chooses_and_nonsense_is_refused() {
        assert_eq!(choice(None), Ok(Choice::Sqlite));
        assert_eq!(choice(Some("")), Ok(Choice::Sqlite));
        assert_eq!(choice(Some("sqlite")), Ok(Choice::Sqlite));
        assert_eq!(choice(Some("postgres")), Ok(Choice::Postgres));
        let refused = choice(Some("Postgres")).expect_err("no word of ours");
        assert_eq!(refused, "set TESTBED_STORAGE to sqlite or postgres, not `Postgres`");
    }

    #[test]
    fn a_folder_is_there_until_its_place_is_dropped() {
        let (one, other) = (Place::folder(), Place::folder());
        assert_ne!(one.url(), other.url());
        assert!(one.server().is_none());
        let path = one.url().strip_prefix("sqlite://").map(Path::new).expect("a folder").to_owned();
        std::fs::write(path.join("orders.db"), "rows").expect("room");
        drop(one);
        assert!(!path.exists(), "{}", path.display());
    }

    #[tokio::test]
    async fn a_database_is_there_until_its_place_is_dropped() {
        use crate::postgres::{Session, Target};
        let (one, other) = (Place::postgres().await, Place::postgres().await);
        let open = |url: &str| {
            Session::open(
                &Target::read(url).expect("an address"),
                std::time::Duration::from_secs(20),
            )
        };
        let url = one.url().to_owned();
        assert!(url.starts_with("postgres://") && one.server().is_some(), "{url}");
        open(&url).expect("a session").query("CREATE TABLE orders (id TEXT)").expect("room");
        let mut session = open(other.url()).expect("a session");
        session.query("SELECT * FROM orders").expect_err("the other's, and not to be seen");
        drop(one);
        open(&url).expect_err("it is gone");
    }
}
