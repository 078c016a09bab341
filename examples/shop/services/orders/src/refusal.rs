//! What a customer is told of an order that came to nothing. It is stored with the order, so that
//! the same wish, said again, is refused in the same words and with the same status.

use shop_contracts::id::OrderId;
use shop_contracts::orders::{Order, State};
use shop_contracts::{Kind, Problem};

use crate::store::Kept;

/// As what an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There was not enough of something.
    OutOfStock,
    /// The provider said no.
    PaymentDeclined,
    /// It could not be brought to its end, through no fault of the customer's.
    Unavailable,
    /// Nobody was asked for money: the question never went out. So nothing has to go back.
    NotAsked,
}

const TABLE: [(Refusal, &str, Kind); 4] = [
    (Refusal::OutOfStock, "out-of-stock", Kind::OutOfStock),
    (Refusal::PaymentDeclined, "payment-declined", Kind::PaymentDeclined),
    (Refusal::Unavailable, "unavailable", Kind::Unavailable),
    (Refusal::NotAsked, "not-asked", Kind::Unavailable),
];

impl Refusal {
    /// How it is stored.
    pub(crate) fn name(self) -> &'static str {
        TABLE.iter().find(|line| line.0 == self).expect("each refusal has its line").1
    }

    /// Which one is stored by this name.
    pub(crate) fn named(name: &str) -> Option<Refusal> {
        TABLE.iter().find(|line| line.1 == name).map(|line| line.0)
    }

    fn kind(self) -> Kind {
        TABLE.iter().find(|line| line.0 == self).expect("each refusal has its line").2
    }
}

/// Where the customer finds the order: an address of the gateway's.
pub(crate) fn address(order: OrderId) -> String {
    format!("/api/orders/{order}")
}

/// What its customer is told of an order, as soon as that is decided.
pub(crate) fn answer(kept: Kept) -> Option<Result<Order, Problem>> {
    let Kept { order, refusal } = kept;
    match order.state {
        State::Confirmed => Some(Ok(order)),
        State::Rejected | State::Cancelling | State::Cancelled => {
            let kind = refusal.unwrap_or(Refusal::Unavailable).kind();
            let why = order.reason.as_deref().unwrap_or("it did not work out");
            let told = format!("{why}; to order again is a new wish, with a new key");
            Some(Err(Problem::new(kind, told).about(address(order.id))))
        }
        State::Pending | State::StockReserved | State::Paid => None,
    }
}
