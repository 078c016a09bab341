//! The payments service on a loopback socket, and the provider around it.

use std::sync::Arc;
use std::time::Duration;

use shop_bus::Bus;
use shop_contracts::event::Event;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::money::Price;
use shop_contracts::payments::{Charge, Client};
use shop_contracts::{Money, Peer};
use shop_flags::Flags;
use shop_outside::payment::Provider;
use shop_payments::Payments;
use shop_service::{Stop, serve_locally};
use testbed::place::Place;
use tokio::task::JoinHandle;

/// The service under test. It stops when this is dropped.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) provider: Provider,
    pub(crate) flags: Flags,
    pub(crate) place: Place,
    _stop: Stop,
}

impl World {
    /// A provider that takes `latency`, and is given up after `patience`.
    pub(crate) async fn new(latency: Duration, patience: Duration) -> World {
        let place = Place::chosen().await;
        let (provider, flags) = (Provider::new(latency), Flags::default());
        let (client, stop) = instance(&place, &provider, &flags, patience).await;
        World { client, provider, flags, place, _stop: stop }
    }

    /// One more process of the service, which tells others over `bus`.
    pub(crate) async fn telling(&self, bus: &Arc<dyn Bus>) -> (Client, Stop, JoinHandle<()>) {
        let (provider, flags) = (self.provider.clone(), self.flags.clone());
        let payments = Payments::open(self.place.url(), provider, flags).await.expect("a database");
        let payments = payments.telling(Arc::clone(bus));
        let stop = Stop::default();
        let running = serve_locally("payments", payments.router(), &stop).await.expect("a port");
        let client = Client(Peer::new("payments", running.url()));
        (client, stop, tokio::spawn(payments.tend()))
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
}

/// One instance of the service at this place.
pub(crate) async fn instance(
    place: &Place,
    provider: &Provider,
    flags: &Flags,
    patience: Duration,
) -> (Client, Stop) {
    let payments = Payments::open(place.url(), provider.clone(), flags.clone()).await;
    let payments = payments.expect("a database").patience(patience);
    let stop = Stop::default();
    let running = serve_locally("payments", payments.router(), &stop).await.expect("a port");
    let peer = Peer::new("payments", running.url()).patience(Duration::from_secs(60));
    (Client(peer), stop)
}

pub(crate) fn charge(cents: i64, card: &str) -> Charge {
    Charge {
        customer: CustomerId::new(),
        amount: Price::try_from(Money::euros(cents)).expect("a price"),
        card: card.to_owned().try_into().expect("a card"),
    }
}

pub(crate) fn order() -> OrderId {
    OrderId::new()
}
