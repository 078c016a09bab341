//! The services that orders asks, played by one small router. It keeps their rules, writes down
//! what it was asked, and can be told to be in trouble.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http_body_util::{Full, Limited};
use shop_contracts::carts::{Cart, Line, Put};
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::inventory::{self, Reservation, Wanted};
use shop_contracts::notifications::{self, Confirmation, Notification};
use shop_contracts::payments::{self, Charge, Payment};
use shop_contracts::{Kind, Money, Problem};
use tokio::sync::Barrier;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Cart,
    Reserve,
    AskReservation,
    Charge,
    AskPayment,
    Refund,
    Commit,
    Release,
    Notify,
    PutBack,
    Remove,
}

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    Fine,
    /// Not done, and said so.
    Refused(Kind),
    /// Done, and the connection breaks off in the middle of the answer.
    AnswerLost,
    /// Not done, and the connection breaks off.
    RequestLost,
    /// Done, and never answered.
    Hangs,
    /// Stands still before it is done.
    Before(Gate),
    /// Stands still after it is done.
    After(Gate),
}

/// Where a call stands still, until the test has met it twice: once when it has come, and once
/// to let it go.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Barrier>);

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate(Arc::new(Barrier::new(2)))
    }

    pub(crate) async fn meet(&self) {
        self.0.wait().await;
    }
}

/// The played services. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(Arc<Mutex<Played>>);

#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) carts: HashMap<CustomerId, BTreeMap<ProductId, Line>>,
    pub(crate) stock: HashMap<ProductId, u32>,
    pub(crate) unknown: Vec<ProductId>,
    pub(crate) reservations: HashMap<OrderId, (inventory::State, Wanted)>,
    pub(crate) payments: HashMap<OrderId, (payments::State, i64)>,
    pub(crate) mails: Vec<(OrderId, Confirmation)>,
    pub(crate) mail_state: Option<notifications::State>,
    pub(crate) calls: Vec<Step>,
    troubles: HashMap<Step, VecDeque<Trouble>>,
    always: HashMap<Step, Trouble>,
}

impl Peers {
    pub(crate) fn look(&self) -> MutexGuard<'_, Played> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next calls of this kind go so, one after the other; those after them go well.
    pub(crate) fn next(&self, step: Step, troubles: impl IntoIterator<Item = Trouble>) {
        self.look().troubles.entry(step).or_default().extend(troubles);
    }

    /// All calls of this kind go so from now on.
    pub(crate) fn always(&self, step: Step, trouble: Trouble) {
        self.look().always.insert(step, trouble);
    }

    /// All trouble is over.
    pub(crate) fn calm(&self) {
        let mut played = self.look();
        played.troubles.clear();
        played.always.clear();
    }

    /// How often this was asked.
    pub(crate) fn asked(&self, step: Step) -> usize {
        self.look().calls.iter().filter(|call| **call == step).count()
    }

    /// What customers have paid and not got back.
    pub(crate) fn kept(&self) -> i64 {
        let charged = |payment: &&(payments::State, i64)| payment.0 == payments::State::Charged;
        self.look().payments.values().filter(charged).map(|payment| payment.1).sum()
    }

    /// How many orders hold stock that they have not bought.
    pub(crate) fn held(&self) -> usize {
        self.look()
            .reservations
            .values()
            .filter(|(state, _)| *state == inventory::State::Held)
            .count()
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/carts/{customer}", get(cart))
            .route("/carts/{customer}/items/{product}", put(put_back).delete(remove))
            .route("/reservations/{order}", get(reservation).put(reserve).delete(release))
            .route("/reservations/{order}/commit", post(commit))
            .route("/payments/{order}", put(charge).get(payment))
            .route("/payments/{order}/refund", post(refund))
            .route("/notifications/{order}", put(notify))
            .with_state(self.clone())
    }

    /// Plays one call: what `act` does, in whatever trouble is due.
    async fn play<T: IntoResponse>(
        &self,
        step: Step,
        act: impl FnOnce(&mut Played) -> Result<T, Problem>,
    ) -> Response {
        let trouble = {
            let mut played = self.look();
            played.calls.push(step);
            let next = played.troubles.get_mut(&step).and_then(VecDeque::pop_front);
            next.or_else(|| played.always.get(&step).cloned()).unwrap_or(Trouble::Fine)
        };
        match &trouble {
            Trouble::Refused(kind) => return Problem::new(*kind, "as told").into_response(),
            Trouble::RequestLost => return broken_off(),
            Trouble::Before(gate) => {
                gate.meet().await;
                gate.meet().await;
            }
            _ => {}
        }
        let answer = act(&mut self.look()).into_response();
        match &trouble {
            Trouble::AnswerLost => broken_off(),
            Trouble::Hangs => std::future::pending().await,
            Trouble::After(gate) => {
                gate.meet().await;
                gate.meet().await;
                answer
            }
            _ => answer,
        }
    }
}

/// An answer whose body is longer than allowed: the server gives up in its middle and closes.
fn broken_off() -> Response {
    Response::new(Body::new(Limited::new(Full::from("{\"lost\": true}"), 5)))
}

fn conflict() -> Problem {
    Problem::new(Kind::Conflict, "it is over")
}

fn view(lines: &BTreeMap<ProductId, Line>) -> Json<Cart> {
    let lines: Vec<_> = lines.values().cloned().collect();
    let sum = lines.iter().map(|line| line.price.amount * i64::from(line.quantity)).sum();
    Json(Cart { lines, total: Money::euros(sum) })
}

async fn cart(State(peers): State<Peers>, Path(customer): Path<CustomerId>) -> Response {
    peers.play(Step::Cart, |played| Ok(view(played.carts.entry(customer).or_default()))).await
}

async fn put_back(
    State(peers): State<Peers>,
    Path((customer, product)): Path<(CustomerId, ProductId)>,
    Json(wanted): Json<Put>,
) -> Response {
    let act = |played: &mut Played| {
        let cart = played.carts.entry(customer).or_default();
        let line = cart.get_mut(&product).ok_or_else(conflict)?;
        line.quantity = wanted.quantity;
        Ok(view(cart))
    };
    peers.play(Step::PutBack, act).await
}

async fn remove(
    State(peers): State<Peers>,
    Path((customer, product)): Path<(CustomerId, ProductId)>,
) -> Response {
    let act = |played: &mut Played| {
        let cart = played.carts.entry(customer).or_default();
        cart.remove(&product);
        Ok(view(cart))
    };
    peers.play(Step::Remove, act).await
}

async fn reserve(
    State(peers): State<Peers>,
    Path(order): Path<OrderId>,
    Json(wanted): Json<Wanted>,
) -> Response {
    let act = |played: &mut Played| {
        match played.reservations.get(&order) {
            Some((inventory::State::Held, held)) if *held == wanted => {}
            Some(_) => return Err(conflict()),
            None => {
                for line in &wanted.lines {
                    if played.unknown.contains(&line.product) {
                        return Err(Problem::new(Kind::NotFound, "no such product"));
                    }
                    let stock = played.stock.get(&line.product).copied().unwrap_or(u32::MAX);
                    if stock < line.quantity.get() {
                        return Err(Problem::new(Kind::OutOfStock, format!("only {stock} left")));
                    }
                }
                played.reservations.insert(order, (inventory::State::Held, wanted));
            }
        }
        Ok(Json(Reservation { order, state: inventory::State::Held }))
    };
    peers.play(Step::Reserve, act).await
}

async fn reservation(State(peers): State<Peers>, Path(order): Path<OrderId>) -> Response {
    let act = |played: &mut Played| {
        let held = played.reservations.get(&order);
        let (state, _) = held.ok_or_else(|| Problem::new(Kind::NotFound, "nothing is held"))?;
        Ok(Json(Reservation { order, state: *state }))
    };
    peers.play(Step::AskReservation, act).await
}

async fn commit(State(peers): State<Peers>, Path(order): Path<OrderId>) -> Response {
    let act = |played: &mut Played| {
        let held = played.reservations.get_mut(&order);
        let (state, _) = held.ok_or_else(|| Problem::new(Kind::NotFound, "nothing is held"))?;
        if *state == inventory::State::Released {
            return Err(conflict());
        }
        *state = inventory::State::Sold;
        Ok(Json(Reservation { order, state: *state }))
    };
    peers.play(Step::Commit, act).await
}

async fn release(State(peers): State<Peers>, Path(order): Path<OrderId>) -> Response {
    let act = |played: &mut Played| {
        let none = (inventory::State::Released, Wanted { lines: Vec::new() });
        let (state, _) = played.reservations.entry(order).or_insert(none);
        if *state == inventory::State::Sold {
            return Err(conflict());
        }
        *state = inventory::State::Released;
        Ok(StatusCode::NO_CONTENT)
    };
    peers.play(Step::Release, act).await
}

async fn charge(
    State(peers): State<Peers>,
    Path(order): Path<OrderId>,
    Json(charge): Json<Charge>,
) -> Response {
    let act = |played: &mut Played| {
        let amount = charge.amount.money().amount;
        let state = match charge.card.as_str() {
            "tok_ok" => payments::State::Charged,
            "tok_pending" => payments::State::Pending,
            _ => payments::State::Declined,
        };
        let payment = played.payments.entry(order).or_insert((state, amount));
        match payment.0 {
            payments::State::Declined => {
                Err(Problem::new(Kind::PaymentDeclined, "the card was declined"))
            }
            payments::State::Void | payments::State::Refunded => Err(conflict()),
            payments::State::Pending => Err(Problem::new(Kind::TimedOut, "the provider is silent")),
            payments::State::Charged => Ok(told(order, *payment)),
        }
    };
    peers.play(Step::Charge, act).await
}

async fn payment(State(peers): State<Peers>, Path(order): Path<OrderId>) -> Response {
    let act = |played: &mut Played| {
        let payment = played.payments.get(&order);
        let payment = payment.ok_or_else(|| Problem::new(Kind::NotFound, "no payment"))?;
        Ok(told(order, *payment))
    };
    peers.play(Step::AskPayment, act).await
}

async fn refund(State(peers): State<Peers>, Path(order): Path<OrderId>) -> Response {
    let act = |played: &mut Played| {
        let payment = played.payments.entry(order).or_insert((payments::State::Void, 0));
        payment.0 = match payment.0 {
            payments::State::Charged | payments::State::Refunded => payments::State::Refunded,
            _ => payments::State::Void,
        };
        Ok(told(order, *payment))
    };
    peers.play(Step::Refund, act).await
}

fn told(order: OrderId, (state, amount): (payments::State, i64)) -> Json<Payment> {
    let amount = Some(Money::euros(amount));
    Json(Payment { order, customer: None, amount, state, reference: None })
}

async fn notify(
    State(peers): State<Peers>,
    Path(order): Path<OrderId>,
    Json(confirmation): Json<Confirmation>,
) -> Response {
    let act = |played: &mut Played| {
        let state = played.mail_state.unwrap_or(notifications::State::Sent);
        played.mails.push((order, confirmation));
        Ok(Json(Notification { order, state }))
    };
    peers.play(Step::Notify, act).await
}
