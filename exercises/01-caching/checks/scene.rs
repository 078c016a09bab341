//! What the caching checks have in common: a product, its prices, clients that read it.

use grading::history::Step;
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::origin::{Origin, OriginDown};
use testbed::proxy::Proxy;

/// What is cached. Its Debug form is what the timeline shows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    cents: u32,
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

/// A world with a product in it, whose price changes. Product and prices come from the world's
/// seed, so that no answer can know them beforehand.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) database: Origin<Price>,
    pub(crate) key: String,
    pub(crate) old: Price,
    pub(crate) new: Price,
}

impl Scene {
    pub(crate) fn set(world: World) -> Scene {
        let mut random = world.random();
        let database = world.database();
        let scene = Scene {
            key: format!("product:{}", random.random_range(10..100)),
            old: Price { cents: random.random_range(500..1_000) },
            new: Price { cents: random.random_range(1_000..2_000) },
            database,
            world,
        };
        scene.database.write(&scene.key, scene.old);
        scene
    }

    /// The same stage, swept: nothing in Redis, an empty page of history.
    pub(crate) async fn set_anew(world: World) -> Result<Scene, Finding> {
        world.history().turn_page();
        let scene = Scene::set(world);
        let mut look = scene.world.look().await?;
        for key in scene.entries().await? {
            let _: () = look.del(key).await?;
        }
        Ok(scene)
    }

    /// A client of the shop, with a cache of its own at a connection of its own.
    pub(crate) async fn client<C, E: fmt::Display>(
        &self,
        lane: &'static str,
        open: impl FnOnce(&str) -> Result<C, E>,
    ) -> Result<Arc<Client<C>>, Finding> {
        let proxy = self.world.client(lane).await?;
        let cache = open(proxy.url())
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let (database, history) = (self.database.clone(), self.world.history().clone());
        Ok(Arc::new(Client { lane, cache, proxy, database, history }))
    }

    /// The last step of `lane` whose text holds `part`.
    pub(crate) fn last(&self, lane: &str, part: &str) -> Option<Step> {
        self.world.history().last(lane, part)
    }

    /// All keys of this world. It is small and ours, so KEYS may be used.
    pub(crate) async fn entries(&self) -> Result<Vec<String>, Finding> {
        let mut keys: Vec<String> = self.world.look().await?.keys("*").await?;
        // On a shared server the test bed's own mark lies beside them.
        keys.retain(|key| !key.starts_with("testbed:"));
        keys.sort();
        Ok(keys)
    }
}

/// One client of the shop; its lane in the timeline shows what it asks and what passes its wire.
pub(crate) struct Client<C> {
    pub(crate) lane: &'static str,
    pub(crate) cache: C,
    pub(crate) proxy: Proxy,
    pub(crate) database: Origin<Price>,
    pub(crate) history: grading::History,
}

impl<C> Client<C> {
    /// What the cache is given to load the row at `key`.
    pub(crate) fn load(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Price, OriginDown>> + Send + use<C> {
        let (database, key) = (self.database.clone(), key.to_owned());
        async move { database.load(&key).await?.ok_or(OriginDown) }
    }

    /// Makes a call and writes it into the timeline.
    pub(crate) async fn call<T: fmt::Debug, E: fmt::Display>(
        &self,
        call: impl Into<String>,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.history.call(self.lane, call, answer).await
    }

    /// The last answer that this client got.
    pub(crate) fn last_answer(&self) -> Option<Step> {
        self.history.last(self.lane, "= ")
    }

    /// Judges an answer that has to be `expected`, whatever goes on.
    pub(crate) fn judge<E: fmt::Debug>(
        &self,
        answer: Result<Price, E>,
        expected: Price,
    ) -> Result<(), Finding> {
        match answer {
            Ok(price) if price == expected => Ok(()),
            Ok(price) => Err(self.broken(expected, format!("{price:?}"))),
            Err(error) => Err(self.broken(expected, format!("{error:?}"))),
        }
    }

    fn broken(&self, expected: Price, saw: String) -> Finding {
        let expected = format!("{expected:?}, which the database holds");
        Evidence::new(expected, saw).at(self.last_answer()).into()
    }

    /// Reads until a read needs no load, or says what had to come back by itself.
    pub(crate) async fn becomes_cached<E: fmt::Display, Reading>(
        &self,
        expected: &str,
        read: impl Fn() -> Reading,
    ) -> Result<(), Finding>
    where
        Reading: Future<Output = Result<Price, E>>,
    {
        let began = Instant::now();
        loop {
            let before = self.database.loads();
            if let Err(error) = read().await {
                let saw = format!("an error: {error}");
                return Err(Evidence::new(expected, saw).at(self.last_answer()).into());
            }
            if self.database.loads() == before {
                return Ok(());
            }
            if began.elapsed() > SOON {
                let saw = format!("every read for {SOON:?} still went to the database");
                let load = self.history.last("database", "load");
                return Err(Evidence::new(expected, saw).at(load).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
