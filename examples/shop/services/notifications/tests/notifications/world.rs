//! A notifications service that answers on a port of its own, and what it needs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use shop_bus::Bus;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::notifications::{Client, Confirmation, State};
use shop_contracts::{Money, Peer, users};
use shop_flags::Flags;
use shop_notifications::{Notifications, subscription};
use shop_outside::mail::Server;
use shop_service::{Stop, serve_locally};
use testbed::place::Place;
use tokio::task::JoinHandle;

use crate::users::Users;

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) users: Users,
    pub(crate) mail: Server,
    pub(crate) flags: Flags,
    pub(crate) ada: CustomerId,
    patience: Duration,
    stop: Stop,
    place: Place,
}

impl World {
    /// With a mail server that takes so long for each letter.
    pub(crate) async fn new(latency: Duration) -> World {
        World::with_patience(latency, shop_notifications::PATIENCE).await
    }

    pub(crate) async fn with_patience(latency: Duration, patience: Duration) -> World {
        let (stop, users) = (Stop::default(), Users::default());
        let mut world = World {
            client: Client(Peer::new("notifications", "http://127.0.0.1:1")),
            ada: users.knows("Ada Lovelace", "ada@example.org"),
            users,
            mail: Server::new(latency),
            flags: Flags::default(),
            patience,
            stop,
            place: Place::chosen().await,
        };
        world.client = world.another().await;
        world
    }

    /// One more process of the service, as far as one can tell from outside: it shares the database
    /// and the mail server, and nothing else.
    pub(crate) async fn another(&self) -> Client {
        let users = users::Client(start("users", self.users.router(), &self.stop).await);
        let (mail, flags) = (self.mail.clone(), self.flags.clone());
        let opened = Notifications::open(self.place.url(), users, mail, flags).await;
        let service = opened.expect("a database").patience(self.patience);
        let peer = start("notifications", service.router(), &self.stop).await;
        Client(peer.patience(Duration::from_secs(60)))
    }

    /// One more process, which hears from `bus`.
    pub(crate) async fn hearing(&self, bus: &Arc<dyn Bus>) -> JoinHandle<()> {
        let users = users::Client(start("users", self.users.router(), &self.stop).await);
        let (mail, flags) = (self.mail.clone(), self.flags.clone());
        let opened = Notifications::open(self.place.url(), users, mail, flags).await;
        let service = opened.expect("a database").patience(self.patience);
        bus.subscribe(subscription()).await.expect("a queue");
        tokio::spawn(service.telling(Arc::clone(bus)).tend())
    }

    /// One more process, which hears from `bus` and can be asked.
    pub(crate) async fn both(&self, bus: &Arc<dyn Bus>) -> (Client, JoinHandle<()>) {
        let users = users::Client(start("users", self.users.router(), &self.stop).await);
        let (mail, flags) = (self.mail.clone(), self.flags.clone());
        let opened = Notifications::open(self.place.url(), users, mail, flags).await;
        let service = opened.expect("a database").patience(self.patience).telling(Arc::clone(bus));
        bus.subscribe(subscription()).await.expect("a queue");
        let peer = start("notifications", service.router(), &self.stop).await;
        (Client(peer.patience(Duration::from_secs(60))), tokio::spawn(service.tend()))
    }

    /// Asks until the notification about `order` is in this state.
    pub(crate) async fn until(&self, order: OrderId, state: State) {
        let reached = async {
            while self.client.notification(order).await.map(|told| told.state) != Ok(state) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), reached).await;
        told.unwrap_or_else(|_| panic!("it never became {state:?}"));
    }
}

async fn start(name: &'static str, router: Router, stop: &Stop) -> Peer {
    let running = serve_locally(name, router, stop).await.expect("a port");
    Peer::new(name, running.url())
}

pub(crate) fn confirmation(customer: CustomerId) -> Confirmation {
    Confirmation { customer, total: Money::euros(1290) }
}
