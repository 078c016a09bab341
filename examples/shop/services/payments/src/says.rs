//! What payments says: each is an event in its outbox, in the transaction of the row that it tells of.
//!
//! | event | when | data |
//! | --- | --- | --- |
//! | `payment.authorized.v1` | it is known that the provider has the money | customer, amount, reference |
//! | `payment.declined.v1` | the provider said no, for a reason that was not told yet | customer, amount, reason |
//! | `payment.refunded.v1` | it is known that the money went back | customer, amount, reference |
//!
//! A repeat changes no row, and what changes no row says nothing. A provider that is out of order has
//! said neither yes nor no: nobody is told.

use serde_json::json;
use shop_contracts::event::{Event, Type};
use shop_contracts::payments::Payment;

/// Who says it.
const SOURCE: &str = "/payments";

/// The provider did what it was asked for: `reference` is its name for it.
pub(crate) fn booked(kind: Type, payment: &Payment, reference: &str) -> Event {
    let Payment { order, customer, amount, .. } = payment;
    let data = json!({"customer": customer, "amount": amount, "reference": reference});
    Event::new(SOURCE, kind, order, *order, data)
}

/// The provider said no.
pub(crate) fn declined(payment: &Payment, reason: &str) -> Event {
    let Payment { order, customer, amount, .. } = payment;
    let data = json!({"customer": customer, "amount": amount, "reason": reason});
    Event::new(SOURCE, Type::PaymentDeclined, order, *order, data)
}
