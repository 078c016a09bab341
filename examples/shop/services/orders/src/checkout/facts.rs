//! That others are told of an order, in the transaction of its state. For a checkout that is a saga,
//! also what follows from an entry of its journal, in the entry's own transaction.

use sagas::{Entry, Outcome};
use serde_json::json;
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_contracts::orders::{Order, State, Took};
use shop_flags::Flags;
use shop_outbox::{After, Outbox};
use shop_storage::Error;
use shop_storage::sqlx::{self, Row};

use super::steps::{CHARGE, CONFIRM, RESERVE, crash, point};
use crate::journal::{Follow, Written};
use crate::refusal::Refusal;
use crate::store::{Change, Learned, Store};

/// Who says it.
const SOURCE: &str = "/orders";

#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) outbox: Outbox,
    pub(crate) flags: Flags,
}

impl Facts {
    /// That somebody wants to buy.
    pub(crate) async fn placed(&self, change: &mut Change, order: &Order) -> Result<After, Error> {
        let data = json!({
            "customer": order.customer, "lines": order.lines, "total": order.total,
        });
        let event = Event::new(SOURCE, Type::OrderPlaced, order.id, order.id, data);
        self.outbox.add(change, event).await
    }

    /// Moves an order, and tells others where that is its end. False where it is not in the first
    /// state: nobody is told by us.
    pub(super) async fn advance(
        &self,
        store: &Store,
        order: OrderId,
        (from, to): (State, State),
        learned: Learned,
    ) -> Result<bool, Error> {
        let mut change = store.0.begin().await?;
        if !Store::advance_in(&mut change, order, from, to, learned).await? {
            return Ok(false);
        }
        let after = match to {
            State::Confirmed => self.say(&mut change, order, Type::OrderConfirmed).await?,
            State::Rejected | State::Cancelled => {
                self.say(&mut change, order, Type::OrderCancelled).await?
            }
            _ => After::default(),
        };
        change.commit().await?;
        after.committed().await;
        Ok(true)
    }

    async fn say(&self, change: &mut Change, order: OrderId, kind: Type) -> Result<After, Error> {
        let row = sqlx::query("SELECT customer, total, refusal, reason FROM orders WHERE id = $1")
            .bind(order.to_string())
            .fetch_one(&mut **change)
            .await?;
        let customer: String = row.try_get("customer")?;
        let data = match kind {
            Type::OrderConfirmed => {
                let total: i64 = row.try_get("total")?;
                json!({"customer": customer, "total": shop_contracts::Money::euros(total)})
            }
            _ => {
                let (refusal, reason): (Option<String>, Option<String>) =
                    (row.try_get("refusal")?, row.try_get("reason")?);
                json!({"customer": customer, "refusal": refusal, "reason": reason})
            }
        };
        self.outbox.add(change, Event::new(SOURCE, kind, order, order, data)).await
    }
}

impl Follow for Facts {
    type After = After;

    async fn follow(&self, change: &mut Change, written: Written<'_>) -> Result<After, Error> {
        let order: OrderId = written.id.parse().map_err(|_| stranger(written.id))?;
        let took = written.at - written.since;
        let over = written.stands == Some(Outcome::Compensated);
        match written.entry {
            Entry::Done { step } if step == RESERVE => {
                let took = Took { reserving: Some(took), ..Took::default() };
                go(change, order, State::Pending, State::StockReserved, took.into()).await?;
            }
            Entry::Done { step } if step == CHARGE => {
                let took = Took { paying: Some(took), ..Took::default() };
                go(change, order, State::StockReserved, State::Paid, took.into()).await?;
            }
            Entry::Done { step } if step == CONFIRM => {
                let placed: i64 = sqlx::query_scalar("SELECT placed_at FROM orders WHERE id = $1")
                    .bind(order.to_string())
                    .fetch_one(&mut **change)
                    .await?;
                let took = Took { confirmed: Some(written.at - placed), ..Took::default() };
                go(change, order, State::Paid, State::Confirmed, took.into()).await?;
                return self.say(change, order, Type::OrderConfirmed).await;
            }
            Entry::Refused { step, reason } | Entry::Unknown { step, reason } => {
                let learned: Learned = Refusal::read(reason).into();
                let from = before(step).ok_or_else(|| stranger(step))?;
                // Nothing was done for it, so there is nothing to undo.
                if over && from == State::Pending {
                    go(change, order, from, State::Rejected, learned).await?;
                    return self.say(change, order, Type::OrderCancelled).await;
                }
                go(change, order, from, State::Cancelling, learned).await?;
            }
            Entry::Done { .. } | Entry::Undone { .. } | Entry::Parked { .. } | Entry::Resumed => {}
        }
        if over {
            go(change, order, State::Cancelling, State::Cancelled, Learned::default()).await?;
            return self.say(change, order, Type::OrderCancelled).await;
        }
        Ok(After::default())
    }

    async fn committed(&self, written: Written<'_>, after: After) {
        let point = match written.entry {
            Entry::Done { step } => point(step, "do"),
            Entry::Undone { step } => point(step, "undo"),
            _ => "",
        };
        crash(&self.flags, written.id, "after", point);
        after.committed().await;
    }
}

/// The state in which an order is while this step is under way.
fn before(step: &str) -> Option<State> {
    match step {
        RESERVE => Some(State::Pending),
        CHARGE => Some(State::StockReserved),
        CONFIRM => Some(State::Paid),
        _ => None,
    }
}

/// The order's state follows the journal and nothing else. Where it is another, somebody has moved
/// it past the journal; then the entry is not written either, and the saga lies until that is mended.
async fn go(
    change: &mut Change,
    order: OrderId,
    from: State,
    to: State,
    learned: Learned,
) -> Result<(), Error> {
    match Store::advance_in(change, order, from, to, learned).await? {
        true => Ok(()),
        false => Err(stranger(&format!("order {order} is not {from:?}, and cannot be {to:?}"))),
    }
}

fn stranger(what: &str) -> Error {
    sqlx::Error::Protocol(format!("the journal does not fit the orders: {what}")).into()
}
