//! The steps of a checkout that is a saga.
//!
//! ```text
//!   reserve ──> charge ──> confirm* ──> empty            * the pivot: what was held is sold
//!      │           │
//!   release <── refund
//! ```
//!
//! What each asks is what the synchronous checkout asks, by the order's id, which is the key of every
//! call. Whom it asks, nobody waits for; so it asks again where that may help, and where it is not
//! known what was done, that is asked as well. The customer hears of the confirmed order from the
//! service that tells customers, which hears of it from the bus.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use observability::metrics::Counters;
use observability::propagation::{OneTrace, Propagation};
use sagas::saga::Patience;
use sagas::{Failure, Run, Saga, Step};
use serde::{Deserialize, Serialize};
use shop_calls::asked_again;
use shop_contracts::inventory::{Line, Wanted};
use shop_contracts::money::Price;
use shop_contracts::orders::Order;
use shop_contracts::payments::{self, Charge};
use shop_contracts::text::Card;
use shop_contracts::{Kind, Problem, carts};
use shop_flags::known::KNOWN;
use shop_flags::{FaultOrdersCrash, Flags, Switch};
use shop_outbox::Outbox;
use shop_storage::now;

use super::Services;
use super::synchronous::{may_pass, said};
use crate::How;
use crate::refusal::Refusal;
use crate::store::{Attempt, Store};

/// As it stands in the journal. So do the names of the steps: they stay what they are.
pub(crate) const CHECKOUT: &str = "checkout";
pub(crate) const RESERVE: &str = "reserve";
pub(crate) const CHARGE: &str = "charge";
pub(crate) const CONFIRM: &str = "confirm";
pub(crate) const EMPTY: &str = "empty";

/// How long one attempt may take. Longer than any service is waited for, so that each comes to an
/// end of its own, and can be written down.
const DEADLINE: Duration = Duration::from_secs(15);

/// What all steps know. It lies in the journal, and so does the card: which is a token of the payment
/// provider's, and of no use to anybody else.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Purchase {
    pub(crate) order: Order,
    pub(crate) card: Card,
}

/// The checkout as a saga.
pub(super) fn checkout(
    store: Store,
    services: Services,
    outbox: Outbox,
    how: &How,
) -> Saga<Purchase> {
    let How { pace, flags, traces, steps, .. } = how;
    let (flags, traces, steps) = (flags.clone(), traces.clone(), steps.clone());
    let hands = Hands { store, services, flags, outbox, traces, steps };
    let patience = Patience {
        attempts: u32::try_from(pace.pauses.len() + 1).unwrap_or(1),
        first: pace.pauses[0],
        longest: pace.pauses[pace.pauses.len() - 1],
        deadline: DEADLINE,
    };
    let (act, ask, undo) = ("do", "ask", "undo");
    Saga::named(CHECKOUT)
        .step(
            Step::new(RESERVE, hands.noted(RESERVE, act, reserve))
                .ask(hands.noted(RESERVE, ask, is_reserved))
                .undo(hands.noted(RESERVE, undo, release))
                .patience(patience),
        )
        .step(
            Step::new(CHARGE, hands.noted(CHARGE, act, charge))
                .ask(hands.noted(CHARGE, ask, is_charged))
                .undo(hands.noted(CHARGE, undo, refund))
                .patience(patience),
        )
        .step(
            Step::new(CONFIRM, hands.noted(CONFIRM, act, confirm))
                .ask(hands.noted(CONFIRM, ask, is_confirmed))
                .patience(patience)
                .pivot()
                // The warehouse sells nothing of a reservation that is over, however late it is asked.
                .final_refusal(),
        )
        .step(Step::new(EMPTY, hands.noted(EMPTY, act, empty)).patience(patience))
}

#[derive(Clone)]
struct Hands {
    store: Store,
    services: Services,
    flags: Flags,
    outbox: Outbox,
    traces: OneTrace,
    steps: Option<Counters<3>>,
}

type Noted<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

impl Hands {
    /// `call`, of which each attempt is written down for those who want to know what happened.
    fn noted<T, F, D>(
        &self,
        step: &'static str,
        what: &'static str,
        call: F,
    ) -> impl Fn(Run<Purchase>) -> Noted<T> + Send + Sync + 'static
    where
        T: Told + Send + 'static,
        F: Fn(Services, Arc<Purchase>) -> D + Copy + Send + Sync + 'static,
        D: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let hands = self.clone();
        move |run| {
            let hands = hands.clone();
            Box::pin(async move {
                let order = run.context.order.id;
                let point = point(step, what);
                crash(&hands.flags, order, "before", point);
                let began_at = now();
                // It is repeated here, so nobody below repeats it.
                let work = asked_again(call(hands.services.clone(), Arc::clone(&run.context)));
                let came = match shop_outbox::is_known() {
                    true => work.await,
                    // The one who placed the order is gone: it is taken up again.
                    false => {
                        let began = hands.outbox.began(order).await.unwrap_or_default();
                        let again = [shop_outbox::delivery(&began, true)];
                        hands.traces.receive(CHECKOUT, &again, work).await
                    }
                };
                if came.is_ok() {
                    crash(&hands.flags, order, "lost", point);
                }
                if let Some(steps) = &hands.steps {
                    steps.with([step, what, outcome(&came)]).inc();
                }
                let said = match &came {
                    Ok(answer) => answer.told().to_owned(),
                    Err(failure) => failure.to_string(),
                };
                let (number, ended_at) = (run.attempt, now());
                let attempt = Attempt {
                    step: step.into(),
                    what: what.into(),
                    number,
                    began_at,
                    ended_at,
                    said,
                };
                if let Err(error) = hands.store.attempted(order, &attempt).await {
                    tracing::warn!(%order, %error, "an attempt is in no table");
                }
                came
            })
        }
    }
}

/// What came of a call, in a word.
trait Told {
    fn told(&self) -> &'static str;
}

impl Told for () {
    fn told(&self) -> &'static str {
        "done"
    }
}

impl Told for bool {
    fn told(&self) -> &'static str {
        if *self { "yes" } else { "no" }
    }
}

/// What came of an attempt, in one of a few words: they are a label.
fn outcome<T: Told>(came: &Result<T, Failure>) -> &'static str {
    match came {
        Ok(answer) => answer.told(),
        Err(Failure::Refused(_)) => "refused",
        Err(Failure::NotDone(_)) => "not_done",
        Err(Failure::Unclear(_)) => "unclear",
    }
}

/// How a call is named in `fault.orders.crash`: an action by its step, an undoing by what it does.
pub(super) fn point(step: &str, what: &str) -> &'static str {
    match (step, what) {
        (RESERVE, "do") => "reserve",
        (RESERVE, "undo") => "release",
        (CHARGE, "do") => "charge",
        (CHARGE, "undo") => "refund",
        (CONFIRM, "do") => "confirm",
        (EMPTY, "do") => "empty",
        _ => "",
    }
}

/// Ends this process, if `fault.orders.crash` says that this is the moment. Nothing is closed and
/// nothing said, as where somebody kills it.
pub(super) fn crash(flags: &Flags, order: impl std::fmt::Display, moment: &str, point: &str) {
    let fault = flags.get_for::<FaultOrdersCrash>(order);
    if fault == FaultOrdersCrash::Off {
        return;
    }
    let variant = KNOWN[FaultOrdersCrash::PLACE].variants[fault.index()];
    if variant.strip_prefix(moment).and_then(|rest| rest.strip_prefix('_')) == Some(point) {
        tracing::error!(variant, "ended, as fault.orders.crash says");
        std::process::abort();
    }
}

pub(super) async fn reserve(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    let order = &purchase.order;
    let line = |line: &carts::Line| Line { product: line.product, quantity: line.quantity };
    let wanted = Wanted { lines: order.lines.iter().map(line).collect() };
    match services.inventory.reserve(order.id, &wanted).await {
        Ok(_) => Ok(()),
        // What the warehouse has never heard of is not in it either.
        Err(problem) if problem.is(Kind::OutOfStock) || problem.is(Kind::NotFound) => {
            Err(Failure::Refused(Refusal::OutOfStock.because(&said(&problem))))
        }
        Err(problem) if problem.unsent => {
            let why = format!("the stock was not reserved: {}", said(&problem));
            Err(Failure::NotDone(Refusal::NotAsked.because(&why)))
        }
        Err(problem) => {
            let why = format!("the stock could not be reserved: {}", said(&problem));
            Err(Failure::Unclear(Refusal::Unavailable.because(&why)))
        }
    }
}

async fn is_reserved(services: Services, purchase: Arc<Purchase>) -> Result<bool, Failure> {
    use shop_contracts::inventory::State;
    match services.inventory.reservation(purchase.order.id).await {
        Ok(reservation) => Ok(reservation.state == State::Held),
        Err(problem) if problem.is(Kind::NotFound) => Ok(false),
        Err(problem) => Err(Failure::NotDone(said(&problem))),
    }
}

pub(super) async fn release(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    services.inventory.release(purchase.order.id).await.map_err(|problem| undone_later(&problem))
}

pub(super) async fn charge(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    let Purchase { order, card } = &*purchase;
    let amount = Price::try_from(order.total)
        .map_err(|error| Failure::Refused(Refusal::Unavailable.because(&error.to_string())))?;
    let charge = Charge { customer: order.customer, amount, card: card.clone() };
    match services.payments.charge(order.id, &charge).await {
        Ok(payment) if payment.state == payments::State::Charged => Ok(()),
        Err(problem) if problem.is(Kind::PaymentDeclined) => {
            Err(Failure::Refused(Refusal::PaymentDeclined.because(&said(&problem))))
        }
        Err(problem) if problem.unsent => {
            let why = format!("no payment was asked for: {}", said(&problem));
            Err(Failure::NotDone(Refusal::NotAsked.because(&why)))
        }
        // Any other answer, and none, leaves open what was charged.
        unclear => {
            tracing::debug!(order = %order.id, ?unclear, "it is not known what was charged");
            let why = "the payment did not come to an end, and what was charged goes back";
            Err(Failure::Unclear(Refusal::Unavailable.because(why)))
        }
    }
}

async fn is_charged(services: Services, purchase: Arc<Purchase>) -> Result<bool, Failure> {
    use payments::State::{Charged, Declined, Pending, Refunded, Void};
    match services.payments.payment(purchase.order.id).await.map(|payment| payment.state) {
        Ok(Charged) => Ok(true),
        Ok(Declined | Refunded | Void) => Ok(false),
        Ok(Pending) => Err(Failure::NotDone("the payment is not over yet".to_owned())),
        // Payments writes down what it is asked for before anything else. Another may be on its way,
        // but then it has this order's key.
        Err(problem) if problem.is(Kind::NotFound) => Ok(false),
        Err(problem) => Err(Failure::NotDone(said(&problem))),
    }
}

pub(super) async fn refund(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    match services.payments.refund(purchase.order.id).await {
        Ok(payment)
            if matches!(payment.state, payments::State::Refunded | payments::State::Void) =>
        {
            Ok(())
        }
        Ok(_) => Err(Failure::NotDone("the payment is not over yet".to_owned())),
        Err(problem) => Err(undone_later(&problem)),
    }
}

pub(super) async fn confirm(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    match services.inventory.commit(purchase.order.id).await {
        Ok(_) => Ok(()),
        Err(problem) => {
            let why = format!("the stock could not be kept: {}", said(&problem));
            let why = Refusal::Unavailable.because(&why);
            Err(match problem.unsent {
                true => Failure::NotDone(why),
                false if may_pass(&problem) => Failure::Unclear(why),
                // It says that it holds nothing for this order.
                false => Failure::Refused(why),
            })
        }
    }
}

async fn is_confirmed(services: Services, purchase: Arc<Purchase>) -> Result<bool, Failure> {
    use shop_contracts::inventory::State;
    match services.inventory.reservation(purchase.order.id).await {
        Ok(reservation) => Ok(reservation.state == State::Sold),
        Err(problem) if problem.is(Kind::NotFound) => Ok(false),
        Err(problem) => Err(Failure::NotDone(said(&problem))),
    }
}

pub(super) async fn empty(services: Services, purchase: Arc<Purchase>) -> Result<(), Failure> {
    let emptied = services.empty_cart(&purchase.order).await;
    emptied.map_err(|problem| Failure::NotDone(said(&problem)))
}

/// An undoing that did not work out now.
fn undone_later(problem: &Problem) -> Failure {
    if may_pass(problem) || problem.unsent {
        Failure::NotDone(said(problem))
    } else {
        Failure::Refused(said(problem))
    }
}
