//! The payments service on a loopback socket, and the provider around it.

use std::time::Duration;

use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::money::Price;
use shop_contracts::payments::{Charge, Client};
use shop_contracts::{Money, Peer};
use shop_flags::Flags;
use shop_outside::payment::Provider;
use shop_payments::Payments;
use shop_service::{Stop, serve_locally};
use testbed::place::Place;

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
