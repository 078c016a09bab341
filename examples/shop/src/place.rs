//! Where the data lie: in a folder and in memory, or in servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context, Result};
use shop_bus::{Bus, Embedded, Rabbitmq};
use shop_service::token::Tokens;
use shop_storage::without_password;
use testbed::postgres::Postgres;
use testbed::rabbitmq::Rabbit;
use testbed::redis::Redis;

/// Where a shop keeps its data. Dropped, the servers that were started for it are gone.
#[derive(Debug)]
pub struct Place {
    /// The storage port's place: `sqlite://FOLDER` or `postgres://…`.
    pub storage: String,
    /// The cache port's place: `memory:` or `redis://…`.
    pub cache: String,
    /// The bus port's place: `sqlite://FOLDER` or `amqp://…`.
    pub bus: String,
    /// One line for storage and cache each, for people.
    pub told: Vec<String>,
    /// And one for the bus.
    pub told_bus: String,
    held: Held,
    broker: Option<Rabbit>,
}

#[derive(Debug)]
enum Held {
    Nothing,
    Folder(#[expect(dead_code, reason = "removed when it is dropped")] tempfile::TempDir),
    Servers(
        #[expect(dead_code, reason = "stopped when they are dropped")]
        Box<(Postgres, Redis, tempfile::TempDir)>,
    ),
}

impl Place {
    /// Embedded, in `folder`.
    pub fn embedded(folder: &Path) -> Place {
        Place {
            storage: format!("sqlite://{}", folder.display()),
            cache: "memory:".into(),
            bus: format!("sqlite://{}", folder.display()),
            told: vec![format!("SQLite in {}", folder.display()), "moka, in memory".into()],
            told_bus: format!("SQLite in {}", folder.display()),
            held: Held::Nothing,
            broker: None,
        }
    }

    /// Embedded, in a folder that goes with this.
    ///
    /// # Errors
    /// There is no room for one.
    pub fn passing() -> Result<Place> {
        let folder = tempfile::tempdir().context("cannot make a folder for the databases")?;
        let told_bus = "SQLite in a temporary folder".to_owned();
        let told = vec![told_bus.clone(), "moka, in memory".to_owned()];
        let place = Place { told, told_bus, ..Place::embedded(folder.path()) };
        Ok(Place { held: Held::Folder(folder), ..place })
    }

    /// A PostgreSQL and a Redis, by the test bed's chain: those that `DATABASE_URL` and `REDIS_URL`
    /// name, or else private ones that go with this.
    ///
    /// # Errors
    /// There is none; the message names the command that gets one.
    pub async fn real() -> Result<Place> {
        let postgres = testbed::postgres::private().await?;
        let redis = testbed::redis::private().await?;
        let folder = tempfile::tempdir().context("cannot make a folder for the bus")?;
        let told = vec![postgres.origin().to_string(), redis.origin().to_string()];
        Ok(Place {
            storage: postgres.url().to_owned(),
            cache: redis.url().to_owned(),
            bus: format!("sqlite://{}", folder.path().display()),
            told,
            told_bus: "SQLite in a temporary folder".to_owned(),
            held: Held::Servers(Box::new((postgres, redis, folder))),
            broker: None,
        })
    }

    /// Real where that is asked for, or else passing.
    ///
    /// # Errors
    /// Those of [`Place::real`] and [`Place::passing`].
    pub async fn for_a_run(real: bool) -> Result<Place> {
        if real { Place::real().await } else { Place::passing() }
    }

    /// The same with another storage, where one is named.
    pub fn with_storage(mut self, url: Option<String>) -> Place {
        if let Some(url) = url {
            self.told[0] = without_password(&url);
            self.storage = url;
        }
        self
    }

    /// The same with another cache, where one is named.
    pub fn with_cache(mut self, url: Option<String>) -> Place {
        if let Some(url) = url {
            self.told[1] = without_password(&url);
            self.cache = url;
        }
        self
    }

    /// The same with another bus, where one is named.
    pub fn with_bus(mut self, url: Option<String>) -> Place {
        if let Some(url) = url {
            self.told_bus = without_password(&url);
            self.bus = url;
        }
        self
    }

    /// The same with a RabbitMQ, by the test bed's chain: a virtual host of its own, which goes with
    /// this.
    ///
    /// # Errors
    /// There is none; the message names the command that gets one.
    pub async fn with_broker(mut self) -> Result<Place> {
        let broker = testbed::rabbitmq::private().await?;
        self.told_bus = broker.origin().to_string();
        self.bus = broker.url().to_owned();
        self.broker = Some(broker);
        Ok(self)
    }

    /// The bus, for the program called `name`.
    ///
    /// # Errors
    /// Nobody answers there, or there is no room.
    pub async fn open_bus(&self, name: &str) -> Result<Arc<dyn Bus>> {
        let context = || format!("{} is no bus; next: --data FOLDER, or --bus URL", self.told_bus);
        if let Some(folder) = self.bus.strip_prefix("sqlite://") {
            let bus = Embedded::open(Path::new(folder)).await.with_context(context)?;
            return Ok(Arc::new(bus));
        }
        Ok(Arc::new(Rabbitmq::open(&self.bus, name).await.with_context(context)?))
    }

    /// The Redis that the cache is in, for what else needs one.
    pub fn redis(&self) -> Option<&str> {
        Some(self.cache.as_str()).filter(|cache| *cache != "memory:")
    }

    /// Whether the data are still there when the program has ended.
    pub fn lasts(&self) -> bool {
        matches!(self.held, Held::Nothing)
    }
}

/// The folder of the embedded shop, where none is named.
pub fn folder() -> PathBuf {
    testbed::server::state().join("shop")
}

/// The secret with which tokens are signed: from `SHOP_SECRET`, or else from a file in `folder`
/// that is made when it is needed and that only its owner may read. Services that run in processes
/// of their own have to share it.
///
/// # Errors
/// A variable that is too short, or a file that cannot be read or written.
pub fn secret(folder: &Path) -> Result<Vec<u8>> {
    if let Ok(secret) = std::env::var("SHOP_SECRET") {
        anyhow::ensure!(
            secret.len() >= 32,
            "SHOP_SECRET is too short: 32 characters or more\n\
             next: SHOP_SECRET=$(openssl rand -hex 32)"
        );
        return Ok(secret.into_bytes());
    }
    let file = folder.join("secret");
    let read = || match fs::read(&file) {
        Ok(secret) if secret.len() >= 32 => Ok(Some(secret)),
        Ok(_) => Err(io::Error::other("it is too short")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let context =
        || format!("cannot use the secret in {0}; next: rm {0}, and log in again", file.display());
    if let Some(secret) = read().with_context(context)? {
        return Ok(secret);
    }
    fs::create_dir_all(folder).with_context(context)?;
    // Beside its place and then into it, so that nobody reads half of it; and not over one that
    // somebody else has put there meanwhile.
    let mut made = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    io::Write::write_all(&mut made, &Tokens::secret()).with_context(context)?;
    match made.persist_noclobber(&file) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error).with_context(context),
    }
    read().with_context(context)?.with_context(context)
}
