//! The synchronous checkout: one service is asked after the other, while the customer waits.
//!
//! ```text
//! reserve -> charge -> commit -> take it out of the cart -> tell the customer
//! ```
//!
//! Each service has its own database, so no transaction holds these together. What holds them
//! together is that each step is named by the order's id and may be asked twice, that the order's
//! state says which steps are done, and that the first two can be undone. The charge is the
//! turning point: before it everything can be undone at no cost, after it the order goes forward.
//!
//! An answer that does not come is the hard part. It may mean "never arrived" as well as "done".
//! For the stock the two are undone in the same way. For money we ask first, and what stays
//! unknown is ended: the payments service refuses a charge that comes after its refund.
//!
//! Others hear of it on the bus, as of any order: placed, confirmed, cancelled. Notifications hears as
//! well, and is asked besides: whoever comes first claims the order's one mail.
//!
//! The deadline of the customer's request is given to the two steps that may be given up, and to
//! nothing else. Once the money is asked for, the order is brought to its end, whoever waits for it.

use std::time::Duration;

use shop_calls::{Context, asked_again};
use shop_contracts::id::OrderId;
use shop_contracts::inventory::{Line, Wanted};
use shop_contracts::money::Price;
use shop_contracts::notifications::{self, Confirmation};
use shop_contracts::orders::{Order, State, Took};
use shop_contracts::payments::{self, Charge};
use shop_contracts::text::Card;
use shop_contracts::{Kind, Problem, carts};
use shop_service::Failure;
use shop_storage::{Error, now};
use tokio::time::{Instant, sleep};

use super::Services;
use super::facts::Facts;
use crate::refusal::{Refusal, answer};
use crate::store::{Kept, Learned, Store};

#[derive(Clone, Debug)]
pub(crate) struct Synchronous {
    pub(crate) store: Store,
    pub(crate) facts: Facts,
    pub(crate) services: Services,
    pub(crate) pauses: [Duration; 3],
}

impl Synchronous {
    /// Writes a new order down, and says that it was placed. False where there is one for this wish;
    /// then nothing has happened.
    pub(crate) async fn place(&self, order: &Order, wish: &str) -> Result<bool, Error> {
        let mut change = self.store.0.begin().await?;
        if !Store::insert_in(&mut change, order, wish).await? {
            return Ok(false);
        }
        let after = self.facts.placed(&mut change, order).await?;
        change.commit().await?;
        after.committed().await;
        Ok(true)
    }

    /// Brings an order that was just placed to its end.
    pub(crate) async fn carry_out(
        &self,
        order: &Order,
        price: Price,
        card: Card,
        context: &Context,
    ) -> Result<Order, Failure> {
        self.reserve(order, context).await?;
        self.charge(order, price, card, context).await?;
        self.confirm(order).await?;
        self.afterwards(order).await;
        let kept = self.kept(order.id).await?;
        Ok(answer(kept).unwrap_or_else(|| Err(elsewhere()))?)
    }

    async fn reserve(&self, order: &Order, context: &Context) -> Result<(), Failure> {
        let line = |line: &carts::Line| Line { product: line.product, quantity: line.quantity };
        let wanted = Wanted { lines: order.lines.iter().map(line).collect() };
        let started = Instant::now();
        let reserving = self.services.inventory.reserve(order.id, &wanted);
        match context.clone().scope(reserving).await {
            Ok(_) => {
                let took = Took { reserving: Some(since(started)), ..Took::default() };
                self.advance(order.id, State::Pending, State::StockReserved, took.into()).await
            }
            // What the warehouse has never heard of is not in it either.
            Err(problem) if problem.is(Kind::OutOfStock) || problem.is(Kind::NotFound) => {
                let refused = (Refusal::OutOfStock, said(&problem)).into();
                self.advance(order.id, State::Pending, State::Rejected, refused).await?;
                Err(self.refused(order.id).await)
            }
            // Nothing is held, so there is nothing to give back.
            Err(problem) if problem.unsent => {
                let why = format!("the stock was not reserved: {}", said(&problem));
                let refused = (Refusal::NotAsked, why).into();
                self.advance(order.id, State::Pending, State::Rejected, refused).await?;
                Err(again_after(self.refused(order.id).await, &problem))
            }
            Err(problem) => {
                let why = format!("the stock could not be reserved: {}", said(&problem));
                Err(self.cancel(order, State::Pending, Refusal::Unavailable, why).await)
            }
        }
    }

    async fn charge(
        &self,
        order: &Order,
        amount: Price,
        card: Card,
        context: &Context,
    ) -> Result<(), Failure> {
        let charge = Charge { customer: order.customer, amount, card };
        let started = Instant::now();
        let charging = self.services.payments.charge(order.id, &charge);
        match context.clone().scope(charging).await {
            Ok(payment) if payment.state == payments::State::Charged => {}
            Err(problem) if problem.is(Kind::PaymentDeclined) => {
                let why = said(&problem);
                let refusal = Refusal::PaymentDeclined;
                return Err(self.cancel(order, State::StockReserved, refusal, why).await);
            }
            // The breaker is open, or there is no time left. What is held goes back at once.
            Err(problem) if problem.unsent => {
                let why = format!("no payment was asked for: {}", said(&problem));
                let cancelled = self.cancel(order, State::StockReserved, Refusal::NotAsked, why);
                return Err(again_after(cancelled.await, &problem));
            }
            // Any other answer, and none, leaves open what was charged.
            unclear => {
                tracing::warn!(order = %order.id, ?unclear, "it is not known what was charged");
                if !self.is_charged(order.id).await {
                    let why = "the payment did not come to an end, and what was charged goes back";
                    let refusal = Refusal::Unavailable;
                    return Err(self
                        .cancel(order, State::StockReserved, refusal, why.to_owned())
                        .await);
                }
            }
        }
        let took = Took { paying: Some(since(started)), ..Took::default() };
        let paid = self.advance(order.id, State::StockReserved, State::Paid, took.into()).await;
        // From here on the customer has paid, whatever becomes of us.
        paid.map_err(|failure| will_be_confirmed(order.id, &failure.0))
    }

    /// Asks until it is known, or often enough. False is no promise that nothing will be charged;
    /// the refund makes it one.
    pub(super) async fn is_charged(&self, order: OrderId) -> bool {
        use payments::State::{Charged, Declined, Refunded, Void};
        let asked = self.persist(async || {
            match self.services.payments.payment(order).await.map(|payment| payment.state) {
                Ok(Charged) => Ok(true),
                Ok(Declined | Refunded | Void) => Ok(false),
                // Pending; or unheard of, and perhaps on its way.
                _ => Err(Problem::new(Kind::Unavailable, "not known yet")),
            }
        });
        asked.await.unwrap_or(false)
    }

    /// From paid to confirmed. It is paid for and held, so this is asked again where it fails; an
    /// order for which that does not help stays paid, and is confirmed by the next recovery. Only
    /// where the warehouse says that it holds nothing for this order, the money goes back.
    pub(super) async fn confirm(&self, order: &Order) -> Result<(), Failure> {
        match self.persist(|| self.services.inventory.commit(order.id)).await {
            Ok(_) => {
                let took = Took { confirmed: Some(now() - order.placed_at), ..Took::default() };
                let done = self.advance(order.id, State::Paid, State::Confirmed, took.into()).await;
                done.map_err(|failure| will_be_confirmed(order.id, &failure.0))
            }
            Err(problem) if may_pass(&problem) => Err(will_be_confirmed(order.id, &problem)),
            Err(problem) => {
                let why = format!("the stock could not be kept: {}", said(&problem));
                Err(self.cancel(order, State::Paid, Refusal::Unavailable, why).await)
            }
        }
    }

    /// What follows from a confirmed order. Whatever fails here, the order stands.
    pub(super) async fn afterwards(&self, order: &Order) {
        // The cart first: until it is empty, it can be bought once more under another key, and
        // telling takes its time.
        if let Err(problem) = self.services.empty_cart(order).await {
            tracing::warn!(order = %order.id, %problem, "what was bought is still in the cart");
        }
        let started = Instant::now();
        let confirmation = Confirmation { customer: order.customer, total: order.total };
        match self.services.notifications.confirm(order.id, &confirmation).await {
            Ok(told) if told.state == notifications::State::Sent => {
                if let Err(error) = self.store.notified(order.id, since(started)).await {
                    tracing::warn!(order = %order.id, %error, "how long telling took is lost");
                }
            }
            told => tracing::warn!(order = %order.id, ?told, "the customer was not told"),
        }
    }

    /// Gives an order up, and undoes what was done for it. What its customer is told.
    pub(super) async fn cancel(
        &self,
        order: &Order,
        from: State,
        refusal: Refusal,
        why: String,
    ) -> Failure {
        let learned = (refusal, why).into();
        match self.advance(order.id, from, State::Cancelling, learned).await {
            Ok(()) => {
                if let Err(failure) = self.undo(order.id, refusal).await {
                    tracing::error!(order = %order.id, %failure, "an order is not undone yet");
                }
                self.refused(order.id).await
            }
            Err(failure) => failure,
        }
    }

    /// From cancelling to cancelled: nothing charged, nothing held. Neither waits for the other:
    /// where one service is away, the other's part is undone all the same.
    pub(super) async fn undo(&self, order: OrderId, refusal: Refusal) -> Result<(), Failure> {
        let refund = self.persist(|| async move {
            if matches!(refusal, Refusal::PaymentDeclined | Refusal::NotAsked) {
                return Ok(());
            }
            match self.services.payments.refund(order).await?.state {
                payments::State::Refunded | payments::State::Void => Ok(()),
                _ => Err(Problem::new(Kind::Unavailable, "the payment is not over yet")),
            }
        });
        let release = self.persist(|| self.services.inventory.release(order));
        let (refunded, released) = tokio::join!(refund, release);
        refunded?;
        released?;
        self.advance(order, State::Cancelling, State::Cancelled, Learned::default()).await
    }

    /// Asks, and asks again after a pause where that may help, as often as there are pauses. Not
    /// where somebody is known to be away for longer than the pause: an open breaker says so. What
    /// is left undone then is taken up by [`Orders::tend`](crate::Orders::tend).
    async fn persist<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        for pause in self.pauses {
            match asked_again(ask()).await {
                Err(problem) if may_pass(&problem) && is_back(&problem, pause) => {
                    sleep(pause).await;
                }
                answer => return answer,
            }
        }
        asked_again(ask()).await
    }

    pub(super) async fn advance(
        &self,
        order: OrderId,
        from: State,
        to: State,
        learned: Learned,
    ) -> Result<(), Failure> {
        let mut pauses = self.pauses.into_iter();
        let mut again = false;
        loop {
            let moved = self.facts.advance(&self.store, order, (from, to), learned.clone());
            let error = match moved.await {
                Ok(true) => return Ok(()),
                // It may have been ourselves, and only its answer was lost.
                Ok(false) if again && self.kept(order).await?.order.state == to => return Ok(()),
                Ok(false) => return Err(Failure(elsewhere())),
                Err(error @ (Error::Busy(_) | Error::Unavailable(_))) => error,
                Err(error) => return Err(error.into()),
            };
            let Some(pause) = pauses.next() else { return Err(error.into()) };
            again = true;
            sleep(pause).await;
        }
    }

    async fn kept(&self, order: OrderId) -> Result<Kept, Failure> {
        self.store.order(order).await?.ok_or_else(|| Failure(Problem::internal()))
    }

    /// What is told of an order that came to nothing: as it stands in the store, so that it is
    /// told alike each time.
    async fn refused(&self, order: OrderId) -> Failure {
        match self.kept(order).await.map(answer) {
            Ok(Some(Err(problem))) => Failure(problem),
            Ok(_) => Failure(elsewhere()),
            Err(failure) => failure,
        }
    }
}

impl From<Took> for Learned {
    fn from(took: Took) -> Learned {
        Learned { took, refusal: None }
    }
}

impl From<(Refusal, String)> for Learned {
    fn from(refusal: (Refusal, String)) -> Learned {
        Learned { refusal: Some(refusal), took: Took::default() }
    }
}

/// Whether the same may have another answer in a moment.
pub(super) fn may_pass(problem: &Problem) -> bool {
    [Kind::TimedOut, Kind::Unavailable, Kind::Internal].into_iter().any(|kind| problem.is(kind))
}

/// Whether it is worth asking after so long, for all that was said of it.
fn is_back(problem: &Problem, pause: Duration) -> bool {
    problem.retry_after.is_none_or(|seconds| Duration::from_secs(seconds) <= pause)
}

/// `failure`, with the moment at which `cause` may be over.
fn again_after(failure: Failure, cause: &Problem) -> Failure {
    Failure(failure.0.after(cause.retry_after))
}

/// A paid order that is not confirmed yet: the next recovery does it.
fn will_be_confirmed(order: OrderId, problem: &Problem) -> Failure {
    tracing::error!(%order, %problem, "a paid order is not confirmed yet");
    if problem.is(Kind::Conflict) {
        return Failure(problem.clone());
    }
    let detail = "it is paid, and will be confirmed: do not order it again";
    Failure::new(Kind::Unavailable, detail)
}

fn elsewhere() -> Problem {
    Problem::new(Kind::Conflict, "somebody else is bringing this order to its end: look at it")
}

pub(super) fn said(problem: &Problem) -> String {
    problem.detail.clone().unwrap_or_else(|| problem.title.clone())
}

fn since(started: Instant) -> i64 {
    i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX)
}
