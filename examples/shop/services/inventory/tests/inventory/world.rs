//! A warehouse that answers on a port of its own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Method, Response};
use shop_bus::Bus;
use shop_contracts::event::Event;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Client, Delivery, Line, Wanted};
use shop_contracts::{Peer, Problem, Quantity};
use shop_flags::{Flags, PatternLock};
use shop_inventory::{Inventory, Options};
use shop_service::{Running, Stop, serve_locally};
use testbed::place::Place;
use testbed::redis::Redis;
use tokio::task::JoinHandle;

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) flags: Flags,
    stop: Stop,
    running: Option<Running>,
    place: Place,
    redis: Option<Redis>,
}

impl World {
    /// Without a Redis, as embedded.
    pub(crate) async fn new() -> World {
        World::open(None, PatternLock::Conditional, Options::default()).await
    }

    /// On `redis`, guarded by `lock`.
    pub(crate) async fn guarded(redis: Redis, lock: PatternLock, options: Options) -> World {
        World::open(Some(redis), lock, options).await
    }

    async fn open(redis: Option<Redis>, lock: PatternLock, options: Options) -> World {
        let (stop, place, flags) = (Stop::default(), Place::chosen().await, Flags::default());
        let (client, running) = start(&stop, &place, redis.as_ref(), &flags, options).await;
        flags.set(lock);
        World { client, flags, stop, running: Some(running), place, redis }
    }

    pub(crate) async fn restart(&mut self) {
        self.stop.now();
        let running = self.running.take().expect("it runs");
        assert_eq!(running.stopped().await.lost, 0, "it stops when it is asked to");
        self.stop = Stop::default();
        let (redis, options) = (self.redis.as_ref(), Options::default());
        let (client, running) = start(&self.stop, &self.place, redis, &self.flags, options).await;
        (self.client, self.running) = (client, Some(running));
    }

    /// One more process of the service, which tells others over `bus`.
    pub(crate) async fn telling(&self, bus: &Arc<dyn Bus>) -> (Client, JoinHandle<()>) {
        let opened =
            Inventory::open(self.place.url(), None, self.flags.clone(), Options::default()).await;
        let inventory = opened.expect("a database").telling(Arc::clone(bus));
        let running = serve_locally("inventory", inventory.router(), &self.stop).await;
        let client = Client(Peer::new("inventory", running.expect("a port").url()));
        (client, tokio::spawn(inventory.tend()))
    }

    /// What was said about an order, in its order.
    pub(crate) async fn said(&self, order: OrderId) -> Vec<Event> {
        let said = self.client.events(order).await.expect("events");
        said.into_iter().map(|said| said.event).collect()
    }

    /// The types of that.
    pub(crate) async fn kinds(&self, order: OrderId) -> Vec<String> {
        self.said(order).await.into_iter().map(|event| event.kind).collect()
    }

    /// A product with so many in stock.
    pub(crate) async fn delivered(&self, first_stock: u32) -> ProductId {
        let product = ProductId::new();
        self.client.deliver(&[Delivery { product, first_stock }]).await.expect("taken in");
        product
    }

    /// Available, reserved, sold.
    pub(crate) async fn counts(&self, product: ProductId) -> (i64, i64, i64) {
        let stock = self.client.stock(product).await.expect("a known product");
        (stock.available, stock.reserved, stock.sold)
    }

    pub(crate) async fn ask(&self, method: &str, path: &str) -> Response<Bytes> {
        let method = Method::try_from(method).expect("a method");
        self.client.0.forward(method, path, Bytes::new(), &[]).await.expect("an answer")
    }
}

async fn start(
    stop: &Stop,
    place: &Place,
    redis: Option<&Redis>,
    flags: &Flags,
    options: Options,
) -> (Client, Running) {
    let redis = redis.map(Redis::url);
    let inventory = Inventory::open(place.url(), redis, flags.clone(), options).await;
    let inventory = inventory.expect("a database");
    let running = serve_locally("inventory", inventory.router(), stop).await.expect("a port");
    (Client(Peer::new("inventory", running.url())), running)
}

pub(crate) fn wanted<const N: usize>(lines: [(ProductId, u32); N]) -> Wanted {
    let line = |(product, quantity)| Line { product, quantity: self::quantity(quantity) };
    Wanted { lines: lines.into_iter().map(line).collect() }
}

pub(crate) fn quantity(number: u32) -> Quantity {
    Quantity::try_from(number).expect("a quantity")
}

/// Sends what no client of ours would, and reads the refusal.
pub(crate) async fn raw(peer: &Peer, method: &str, path: &str, body: &str) -> Problem {
    let method = Method::try_from(method).expect("a method");
    let body = Bytes::copy_from_slice(body.as_bytes());
    let answer = peer.forward(method, path, body, &[]).await.expect("an answer");
    let problem: Problem = serde_json::from_slice(answer.body()).expect("a problem");
    assert_eq!(answer.status(), problem.status);
    problem
}
