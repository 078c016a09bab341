//! The orders service on a loopback socket, and those around it.

use std::time::Duration;

use shop_calls::Calls;
use shop_contracts::carts::Line;
use shop_contracts::id::{CustomerId, ProductId};
use shop_contracts::orders::{self, Order, Place as Wish, State};
use shop_contracts::{Money, Peer, Problem, Quantity};
use shop_contracts::{carts, inventory, notifications, payments};
use shop_flags::Flags;
use shop_orders::{Orders, Pace};
use shop_service::{Stop, serve_locally};
use testbed::place::Place;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::peers::Peers;

/// Longer than anything takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long a saga rests whose driver is dead. Longer than a busy machine stands still, and a driver
/// that is alive loses its lease by it.
const TTL: Duration = Duration::from_secs(2);

/// How often orders are looked after.
const SOON: Duration = Duration::from_millis(20);

/// The service under test. It stops when this is dropped.
pub(crate) struct World {
    pub(crate) peers: Peers,
    pub(crate) client: orders::Client,
    pub(crate) customer: CustomerId,
    pub(crate) tea: ProductId,
    pub(crate) milk: ProductId,
    pub(crate) patience: Duration,
    pub(crate) wait: Duration,
    /// What stands around its calls, if anything does.
    pub(crate) calls: Option<Calls>,
    pub(crate) flags: Flags,
    place: Place,
    played: String,
    stop: Stop,
}

/// An instance in a runtime of its own.
pub(crate) struct Instance {
    pub(crate) client: orders::Client,
    runtime: Runtime,
    _stop: Stop,
}

impl Instance {
    /// Nothing of it goes on, and nothing is given back: what a killed process leaves behind.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }
}

impl World {
    /// A customer with two teas and a milk in the cart: 9.50 EUR.
    pub(crate) async fn new() -> World {
        World::with(LONG, LONG).await
    }

    /// Others are given up after `patience`, and a wish that is said again waits for `wait`.
    pub(crate) async fn with(patience: Duration, wait: Duration) -> World {
        let (peers, place, stop) = (Peers::default(), Place::chosen().await, Stop::default());
        let played = serve_locally("played", peers.router(), &stop).await.expect("a port");
        let mut world = World {
            peers,
            // Nobody answers there; the line after the next puts that right.
            client: orders::Client(Peer::new("orders", "http://127.0.0.1:1")),
            customer: CustomerId::new(),
            tea: ProductId::new(),
            milk: ProductId::new(),
            patience,
            wait,
            calls: None,
            flags: Flags::default(),
            place,
            played: played.url(),
            stop,
        };
        world.client = world.serve(world.orders().await).await;
        world.fill(world.tea, "tea", 2, 400);
        world.fill(world.milk, "milk", 1, 150);
        world
    }

    /// One more instance at the same place, such as the one after a crash.
    pub(crate) async fn orders(&self) -> Orders {
        let peer = |name| {
            let peer = Peer::new(name, &*self.played).patience(self.patience);
            self.calls.as_ref().map_or(peer.clone(), |calls| calls.to(peer))
        };
        let orders = Orders::open(
            self.place.url(),
            carts::Client(peer("carts")),
            inventory::Client(peer("inventory")),
            payments::Client(peer("payments")),
            notifications::Client(peer("notifications")),
        );
        let pauses = [10, 20, 30].map(Duration::from_millis);
        let orders = orders.await.expect("a database").switched(self.flags.clone());
        let orders = orders.pace(Pace { pauses, wait: self.wait, tend: SOON });
        orders.leases(None, TTL).expect("no address")
    }

    /// The same, switched.
    pub(crate) async fn switched(mut self, flags: Flags) -> World {
        self.flags = flags;
        self.client = self.serve(self.orders().await).await;
        self
    }

    /// One more instance that answers, and that can be killed.
    pub(crate) async fn instance(&self) -> Instance {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (played, place) = (self.played.clone(), self.place.url().to_owned());
        let (flags, patience) = (self.flags.clone(), self.patience);
        let serving = runtime.spawn(async move {
            let peer = |name| Peer::new(name, &*played).patience(patience);
            let orders = Orders::open(
                &place,
                carts::Client(peer("carts")),
                inventory::Client(peer("inventory")),
                payments::Client(peer("payments")),
                notifications::Client(peer("notifications")),
            );
            let orders = orders.await.expect("a database").switched(flags);
            let orders = orders.leases(None, TTL).expect("no address");
            let stop = Stop::default();
            let running = serve_locally("orders", orders.router(), &stop).await.expect("a port");
            (running.url(), stop)
        });
        let (url, stop) = serving.await.expect("it serves");
        let client = orders::Client(Peer::new("orders", url).patience(LONG));
        Instance { client, runtime, _stop: stop }
    }

    /// The same, with `calls` around what it asks, and looking after what it leaves.
    pub(crate) async fn guarded(mut self, calls: Calls) -> World {
        self.calls = Some(calls);
        let orders = self.orders().await;
        tokio::spawn(orders.tend());
        self.client = self.serve(orders).await;
        self
    }

    async fn serve(&self, orders: Orders) -> orders::Client {
        let running = serve_locally("orders", orders.router(), &self.stop).await.expect("a port");
        orders::Client(Peer::new("orders", running.url()).patience(LONG))
    }

    /// So many of a product in the cart.
    pub(crate) fn fill(&self, product: ProductId, name: &str, quantity: u32, cents: i64) {
        let quantity = Quantity::try_from(quantity).expect("a quantity");
        let line = Line { product, name: name.to_owned(), quantity, price: Money::euros(cents) };
        self.peers.look().carts.entry(self.customer).or_default().insert(product, line);
    }

    /// What is in the cart: how many of which.
    pub(crate) fn cart(&self) -> Vec<(ProductId, u32)> {
        let played = self.peers.look();
        let lines = played.carts.get(&self.customer).into_iter().flatten();
        lines.map(|(product, line)| (*product, line.quantity.get())).collect()
    }

    /// A wish under this key, with this card.
    pub(crate) fn wish(&self, key: &str, card: &str) -> Wish {
        // A key has at least eight characters.
        let key = format!("wish-{key}");
        Wish {
            customer: self.customer,
            card: card.to_owned().try_into().expect("a card"),
            key: key.try_into().expect("a key"),
        }
    }

    /// A wish with a card that is good.
    pub(crate) async fn buy(&self, key: &str) -> Result<Order, Problem> {
        self.client.place(&self.wish(key, "tok_ok")).await
    }

    /// Says a wish, hearing of it later.
    pub(crate) fn start(&self, key: &str) -> tokio::task::JoinHandle<Result<Order, Problem>> {
        let (client, wish) = (self.client.clone(), self.wish(key, "tok_ok"));
        tokio::spawn(async move { client.place(&wish).await })
    }

    /// The customer's only order.
    pub(crate) async fn only(&self) -> Order {
        let mut orders = self.client.orders(self.customer).await.expect("orders");
        assert_eq!(orders.len(), 1, "{orders:?}");
        orders.remove(0)
    }

    /// The customer's only order, once it is in this state.
    pub(crate) async fn only_when(&self, state: State) -> Order {
        let look = async {
            loop {
                let orders = self.client.orders(self.customer).await.expect("orders");
                match <[Order; 1]>::try_from(orders) {
                    Ok([order]) if order.state == state => return order,
                    _ => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(LONG, look).await.expect("it comes to this state")
    }
}

/// Where a customer finds an order.
pub(crate) fn address(order: &Order) -> Option<String> {
    Some(format!("/api/orders/{}", order.id))
}
