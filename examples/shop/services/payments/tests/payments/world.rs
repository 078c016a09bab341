//! The payments service on a loopback socket, and the provider around it.

use std::time::Duration;

use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::money::Price;
use shop_contracts::payments::{Charge, Client};
use shop_contracts::{Money, Peer};
use shop_flags::Flags;
use shop_outside::payment::Provider;
use shop_payments::Payments;
use shop_service::{Stop, listen, serve};

/// Where a test keeps its database.
pub(crate) struct Place {
    pub(crate) url: String,
    _folder: tempfile::TempDir,
}

pub(crate) fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    Place { url: format!("sqlite://{}", folder.path().display()), _folder: folder }
}

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
        let (place, provider, flags) = (place(), Provider::new(latency), Flags::default());
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
    let payments = Payments::open(&place.url, provider.clone(), flags.clone()).await;
    let payments = payments.expect("a database").patience(patience);
    let stop = Stop::default();
    let listener = listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let running = serve("payments", listener, payments.router(), &stop).expect("an address");
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
