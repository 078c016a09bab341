//! The seam: a wish goes in, an order or a refusal comes out.
//!
//! What is here holds for every checkout: the same wish leads to one order, and the order is
//! written down before anybody is asked to do something for it. How it is then brought to its end
//! is the business of [`synchronous`], or, with `pattern.async` on, of [`asynchronous`]; to see what
//! that is for, `pattern.saga` off leaves it to [`hopeful`].

mod asynchronous;
mod facts;
mod hopeful;
mod recovery;
mod steps;
mod synchronous;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shop_calls::{Context, named};
use shop_contracts::id::OrderId;
use shop_contracts::money::Price;
use shop_contracts::orders::{Order, Place, State, Took};
use shop_contracts::{Kind, Money, Problem, Quantity, carts, inventory, notifications, payments};
use shop_flags::{Flags, PatternAsync, PatternIdempotency, PatternSaga};
use shop_outbox::Outbox;
use shop_service::Failure;
use shop_storage::{Error, now};
use tokio::time::{Instant, sleep};

use crate::How;
use crate::refusal::{address, answer};
use crate::store::{Kept, Store};

use asynchronous::Asynchronous;
use facts::Facts;
use hopeful::Hopeful;
pub use recovery::Recovered;
use synchronous::Synchronous;

/// How patiently orders are brought to their end.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The pauses between attempts at what may be asked again: one attempt more than pauses.
    pub pauses: [Duration; 3],
    /// How long a wish that is said again waits for the order that is under way for it. Below what
    /// callers wait for us.
    pub wait: Duration,
    /// How often orders are looked after that were left under way.
    pub tend: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        let pauses = [100, 500, 2000].map(Duration::from_millis);
        Pace { pauses, wait: Duration::from_secs(20), tend: Duration::from_secs(5) }
    }
}

/// Those whom a checkout asks.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) carts: carts::Client,
    pub(crate) inventory: inventory::Client,
    pub(crate) payments: payments::Client,
    pub(crate) notifications: notifications::Client,
}

impl Services {
    /// Takes out of the cart what was bought, and no more: the customer may have gone on filling
    /// it. So it is read again, and of each product that was bought only as many go as were bought.
    /// A change of the same product between that look and our change is still lost; to close this
    /// gap, the carts service would have to subtract.
    pub(crate) async fn empty_cart(&self, order: &Order) -> Result<(), Problem> {
        let now = self.carts.cart(order.customer).await?;
        for line in now.lines {
            let bought = order.lines.iter().find(|bought| bought.product == line.product);
            let Some(bought) = bought else { continue };
            let more = line.quantity.get().saturating_sub(bought.quantity.get());
            match Quantity::try_from(more) {
                Ok(more) => self.carts.put(order.customer, line.product, more).await?,
                Err(_) => self.carts.remove(order.customer, line.product).await?,
            };
        }
        Ok(())
    }
}

/// Turns wishes into orders.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    store: Store,
    carts: carts::Client,
    way: Synchronous,
    sagas: Asynchronous,
    hopeful: Hopeful,
    flags: Flags,
    pub(crate) pace: Pace,
    /// Orders whose checkout is over, and which may not have come to their end.
    left: Arc<Mutex<Vec<OrderId>>>,
}

impl Checkout {
    pub(crate) fn new(store: Store, services: Services, outbox: Outbox, how: &How) -> Checkout {
        let (carts, pace, flags) = (services.carts.clone(), how.pace, how.flags.clone());
        let facts = Facts { outbox: outbox.clone(), flags: flags.clone() };
        let sagas = Asynchronous::new(store.clone(), services.clone(), outbox, how);
        let hopeful = Hopeful {
            store: store.clone(),
            services: services.clone(),
            facts: facts.clone(),
            flags: flags.clone(),
        };
        let way = Synchronous { store: store.clone(), facts, services, pauses: pace.pauses };
        Checkout { store, carts, way, sagas, hopeful, flags, pace, left: Arc::default() }
    }

    /// Checks the customer's cart out, once for each key.
    ///
    /// The same key again is answered with what became of the order that it led to, in the same
    /// words. While that is under way it waits, for at most [`Pace::wait`]; then it is `conflict`,
    /// with the order's address. The key stands for the order, also where the second wish names
    /// another card: a customer whose card was declined orders again under a new key. A refusal
    /// that led to no order, such as an empty cart, is not remembered. With `pattern.idempotency` off
    /// no key is remembered, and each request is an order.
    ///
    /// With `pattern.async` on nobody waits: the answer is the order as it stands.
    ///
    /// It runs in a task of its own. When a customer hangs up, or the deadline comes, axum drops the
    /// handler; dropping the handle of a task lets the task go on. The deadline goes along, for those
    /// steps that may be given up.
    pub(crate) async fn place(&self, wish: Place) -> Result<Order, Failure> {
        let (checkout, context) = (self.clone(), Context::now());
        let task = tokio::spawn(named(async move { checkout.to_its_end(wish, &context).await }));
        task.await.unwrap_or_else(|lost| {
            tracing::error!(%lost, "a checkout's task broke down");
            Err(Failure(Problem::internal()))
        })
    }

    async fn to_its_end(&self, wish: Place, context: &Context) -> Result<Order, Failure> {
        let key = self.key(&wish);
        if let Some(kept) = self.store.wish(wish.customer, &key).await? {
            return self.outcome(&wish, &key, kept, context).await;
        }
        let cart = context.clone().scope(self.carts.cart(wish.customer)).await?;
        if cart.lines.is_empty() {
            // Perhaps it is empty because the order was placed since we looked.
            return match self.store.wish(wish.customer, &key).await? {
                Some(kept) => self.outcome(&wish, &key, kept, context).await,
                None => Err(Failure::new(Kind::EmptyCart, "put something into the cart first")),
            };
        }
        let price = price(&cart.lines)?;
        let order = Order {
            id: OrderId::new(),
            customer: wish.customer,
            state: State::Pending,
            lines: cart.lines,
            total: price.money(),
            reason: None,
            placed_at: now(),
            took: Took::default(),
        };
        let is_asynchronous = self.flags.get::<PatternAsync>() == PatternAsync::On;
        let placed = match is_asynchronous {
            true if self.hopes() => self.hopeful.place(&order, &key, wish.card.clone()).await?,
            true => self.sagas.place(&order, &key, wish.card.clone()).await?,
            false => self.way.place(&order, &key).await?,
        };
        if !placed {
            let kept = self.store.wish(wish.customer, &key).await?;
            let kept = kept.ok_or_else(|| Failure(Problem::internal()))?;
            return self.outcome(&wish, &key, kept, context).await;
        }
        if is_asynchronous {
            return Ok(order);
        }
        let end = self.way.carry_out(&order, price, wish.card, context).await;
        if end.is_err() {
            self.left().push(order.id);
        }
        // Whatever went wrong from here on, there is an order to look at.
        end.map_err(|Failure(problem)| Failure(problem.about(address(order.id))))
    }

    /// As what a wish is remembered.
    fn key(&self, wish: &Place) -> String {
        match self.flags.get::<PatternIdempotency>() {
            PatternIdempotency::On => wish.key.as_str().to_owned(),
            // One that nobody can say again.
            PatternIdempotency::Off => format!("{} {}", wish.key.as_str(), OrderId::new()),
        }
    }

    /// What became of the order to which this wish has led.
    async fn outcome(
        &self,
        wish: &Place,
        key: &str,
        mut kept: Kept,
        context: &Context,
    ) -> Result<Order, Failure> {
        let until = Instant::now() + self.pace.wait;
        let until = context.deadline.map_or(until, |deadline| until.min(deadline.instant()));
        loop {
            let order = kept.order.clone();
            if let Some(answer) = answer(kept) {
                return Ok(answer?);
            }
            if self.flags.get::<PatternAsync>() == PatternAsync::On {
                return Ok(order);
            }
            if Instant::now() >= until {
                let detail = "the order for this key is still under way: look at it";
                return Err(Failure(Problem::new(Kind::Conflict, detail).about(address(order.id))));
            }
            // Looking is cheap, and finds the order whichever instance is at it.
            sleep(Duration::from_millis(50)).await;
            let looked = self.store.wish(wish.customer, key).await?;
            kept = looked.ok_or_else(|| Failure(Problem::internal()))?;
        }
    }

    /// Goes on with the sagas that nobody drives.
    pub(crate) async fn tend_sagas(&self) {
        if let Err(error) = self.sagas.tend().await {
            tracing::error!(%error, "the sagas cannot be looked after");
        }
    }

    /// Whether orders are left to a task in memory. Then nobody comes after it, either.
    fn hopes(&self) -> bool {
        self.flags.get::<PatternAsync>() == PatternAsync::On
            && self.flags.get::<PatternSaga>() == PatternSaga::Off
    }

    /// See [`Orders::recover`](crate::Orders::recover).
    pub(crate) async fn recover(&self, before: i64) -> Result<Recovered, Error> {
        if self.hopes() {
            return Ok(Recovered::default());
        }
        self.way.recover(before).await
    }

    /// Goes on with orders that their checkouts have left, such as one whose payment could not be
    /// given back because nobody answered. No need to wait until they are old: nobody is at them.
    pub(crate) async fn go_on(&self) -> Result<Recovered, Error> {
        let left = std::mem::take(&mut *self.left());
        let mut kept = Vec::new();
        for order in left {
            kept.extend(self.store.order(order).await?.filter(|kept| is_open(kept.order.state)));
        }
        let orders: Vec<_> = kept.iter().map(|kept| kept.order.id).collect();
        let recovered = self.way.bring_to_their_ends(kept).await?;
        // The next round sorts out which of them are done.
        self.left().extend(orders);
        Ok(recovered)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<OrderId>> {
        // Whole after each of its operations, also where a thread panicked.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_open(state: State) -> bool {
    crate::state::open().any(|open| open == state)
}

/// What the lines come to. The order's total is the sum of the order's own lines, so that the two
/// cannot differ.
fn price(lines: &[carts::Line]) -> Result<Price, Failure> {
    let sum = lines
        .iter()
        .try_fold(Money::euros(0), |sum, line| sum.plus(line.price.times(line.quantity.get())?));
    let price = sum.map(Price::try_from).and_then(Result::ok);
    price.ok_or_else(|| {
        let most = Money::euros(Price::HIGHEST);
        Failure::new(Kind::Invalid, format!("an order comes to at most {most}; order less at once"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shop_contracts::id::ProductId;

    #[test]
    fn a_sum_is_exact_or_refused() {
        let line = |quantity: u32, cents| carts::Line {
            product: ProductId::new(),
            name: "tea".to_owned(),
            quantity: Quantity::try_from(quantity).expect("a quantity"),
            price: Money::euros(cents),
        };
        let sum = price(&[line(2, 400), line(1, 150)]).expect("a price");
        assert_eq!(sum.money(), Money::euros(950));
        let most = price(&[line(1, Price::HIGHEST)]).expect("a price");
        assert_eq!(most.money(), Money::euros(Price::HIGHEST));
        let too_much = [
            vec![line(1, Price::HIGHEST), line(1, 1)],
            vec![line(2, i64::MAX)],
            vec![line(1, i64::MAX), line(1, i64::MAX)],
            vec![line(1, 0)],
        ];
        for lines in too_much {
            assert!(price(&lines).expect_err("too much").0.is(Kind::Invalid), "{lines:?}");
        }
    }
}
