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

    /// Said with its reason in one text, as a journal keeps it.
    pub(crate) fn because(self, why: &str) -> String {
        format!("{}: {why}", self.name())
    }

    /// What was said in such a text. What is none, such as "no answer within 15 s", is through no
    /// fault of the customer's.
    pub(crate) fn read(said: &str) -> (Refusal, String) {
        let parts = said.split_once(": ");
        let read = parts.and_then(|(name, why)| Some((Refusal::named(name)?, why.to_owned())));
        read.unwrap_or_else(|| (Refusal::Unavailable, said.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_one_text_is_read_again() {
        for (refusal, ..) in TABLE {
            let said = refusal.because("card 1: declined");
            assert_eq!(Refusal::read(&said), (refusal, "card 1: declined".to_owned()));
        }
        let other = "it panicked: at the disco";
        assert_eq!(Refusal::read(other), (Refusal::Unavailable, other.to_owned()));
    }
}
