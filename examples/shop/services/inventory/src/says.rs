//! What the warehouse says: each is an event in its outbox, in the transaction of what it tells of.
//!
//! | event | when | data |
//! | --- | --- | --- |
//! | `stock.reserved.v1` | all lines are held | the lines |
//! | `stock.released.v1` | what was held is for sale again | the lines |
//!
//! A repeat changes nothing, and what changes nothing says nothing. Nor does a release that comes
//! before its reservation: it ends an order for which nothing was held.

use std::collections::BTreeMap;

use shop_contracts::Quantity;
use shop_contracts::event::{Event, Type};
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Line, Wanted};
use shop_storage::Error;
use shop_storage::sqlx;

/// Who says it.
const SOURCE: &str = "/inventory";

/// That these are held for `order`, or no longer held.
pub(crate) fn of_lines(
    kind: Type,
    order: OrderId,
    lines: &BTreeMap<ProductId, Quantity>,
) -> Result<Event, Error> {
    let line = |(&product, &quantity)| Line { product, quantity };
    let wanted = Wanted { lines: lines.iter().map(line).collect() };
    let data = serde_json::to_value(wanted).map_err(|error| sqlx::Error::Encode(error.into()))?;
    Ok(Event::new(SOURCE, kind, order, order, data))
}
