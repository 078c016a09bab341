//! `POST /api/orders/checkout`: eleven steps, one transaction.
//!
//! ```text
//! begin
//!    1  lock the cart                  7  charge the card        1 s, at the payment provider
//!    2  lock the stock                 8  record the payment
//!    3  check it                       9  tell the customer      2 s, at the mail server
//!    4  price the lines               10  record that they know
//!    5  insert the order              11  clear the cart
//!    6  take the stock
//! commit
//! ```
//!
//! All of it or nothing: nobody ever sees an order without its payment, or stock taken for nobody.
//! The rows are locked before they are looked at, in the order of their ids, so that nothing is
//! sold twice and no two buyers wait for each other. That is how it should be done, as long as all
//! that is done is done *in the database*. Steps 7 and 9 are not, and this is what follows.
//!
//! # Who waits
//!
//! The locks of steps 1 and 2 are kept until the commit, three seconds later. A second buyer of
//! the same product waits at step 2 until then, a tenth for half a minute. On PostgreSQL that is
//! whoever wants one of these products; on SQLite, which has one writer at a time, everybody who
//! changes anything waits at `begin`: to register, to fill a cart, to write a review.
//!
//! # What a rollback does not undo
//!
//! If the mail server fails at step 9, the order, the payment's record and the stock go back to
//! what they were. The charge does not: the provider does not know that there was a transaction.
//! The customer has paid and has no order, and when they try again, it is another order, with
//! another key, that is charged once more. Here nothing remembers it: the provider's books do.
//!
//! # A customer who hangs up
//!
//! The server drops what it was doing for a connection that was closed, and a transaction that is
//! dropped is rolled back. Between step 7 and the commit that is again a charge without an order;
//! from the middle of step 9 on there is a mail that confirms it. A program that is killed, and a
//! database that is lost, do the same. If only the *answer* is lost, the order stands, and whoever
//! asks again finds the cart empty.

use std::collections::HashMap;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use shop_contracts::carts::Cart;
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::inventory::Line;
use shop_contracts::orders::{Checkout, Order, State as Stage, Took};
use shop_contracts::text::Card;
use shop_contracts::{Kind, Problem, Quantity};
use shop_outside::Weather;
use shop_outside::mail::{Mail, Server, Undelivered};
use shop_outside::payment::{Charge, Provider, Receipt, Refusal};
use shop_service::{Body, Failure};
use shop_storage::sqlx::{self, Any, AnyConnection, Row, Transaction};
use shop_storage::{Database, now};

use crate::accounts::Caller;
use crate::catalog::id;
use crate::{Monolith, carts};

/// The handler: all that is in the caller's cart becomes an order, or nothing happens *here*.
pub(crate) async fn checkout(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
    Body(Checkout { card }): Body<Checkout>,
) -> Result<(StatusCode, Json<Order>), Failure> {
    let started = Instant::now();
    let placed_at = now();
    let _under_way = shop.under_way.read().await;

    let mut change = shop.database.begin().await?;

    let wanted = lock_cart(&shop.database, &mut change, customer).await?;
    let stock = lock_stock(&shop.database, &mut change, customer).await?;
    check_stock(&wanted, &stock)?;
    let cart = price_lines(&mut change, customer).await?;
    let mut order = place(customer, cart, placed_at);
    insert_order(&mut change, &order).await?;
    take_stock(&mut change, &wanted).await?;
    order.took.reserving = Some(micros(started));

    let paying = Instant::now();
    let receipt = charge_card(&shop.provider, &order, &card).await?;
    order.took.paying = Some(micros(paying));
    record_payment(&mut change, order.id, &receipt).await?;

    let notifying = Instant::now();
    let mailbox = tell_customer(&shop.mail, &mut change, &order).await?;
    order.took.notifying = Some(micros(notifying));
    record_notification(&mut change, order.id, &mailbox).await?;

    clear_cart(&mut change, customer).await?;

    order.took.confirmed = Some(micros(started));
    commit(change, &order).await?;
    Ok((StatusCode::CREATED, Json(order)))
}

/// The order that it will be, as nobody sees it before the commit.
fn place(customer: CustomerId, Cart { lines, total }: Cart, placed_at: i64) -> Order {
    Order {
        id: OrderId::new(),
        customer,
        state: Stage::Confirmed,
        lines,
        total,
        reason: None,
        placed_at,
        took: Took::default(),
    }
}

/// 1. The customer's cart is ours until the commit: the same customer's second click waits here,
///    and then finds it empty.
async fn lock_cart(
    database: &Database,
    change: &mut AnyConnection,
    customer: CustomerId,
) -> Result<Vec<Line>, Failure> {
    carts::lock(database, change, customer).await?;
    let rows = sqlx::query(
        "SELECT product, quantity FROM cart_items WHERE customer = $1 ORDER BY product",
    )
    .bind(customer.to_string())
    .fetch_all(change)
    .await?;
    if rows.is_empty() {
        return Err(Failure::new(Kind::EmptyCart, "there is nothing in the cart to check out"));
    }
    let wanted = rows.iter().map(|row| {
        let quantity: i64 = row.try_get("quantity")?;
        let quantity = Quantity::try_from(quantity);
        let quantity = quantity.map_err(|wrong| sqlx::Error::Decode(wrong.into()))?;
        Ok(Line { product: id(row, "product")?, quantity })
    });
    Ok(wanted.collect::<Result<_, sqlx::Error>>()?)
}

/// 2. What is in stock of each product, which nobody else can buy now until the commit.
///
/// All buyers lock in the order of the ids. If one took the tea and then wanted the milk, and
/// another had the milk and wanted the tea, they would wait for each other, and the database would
/// end one of them.
async fn lock_stock(
    database: &Database,
    change: &mut AnyConnection,
    customer: CustomerId,
) -> Result<HashMap<ProductId, i64>, Failure> {
    let lock = database.for_update();
    let rows = sqlx::query(&format!(
        "SELECT product, available FROM inventory
         WHERE product IN (SELECT product FROM cart_items WHERE customer = $1)
         ORDER BY product{lock}"
    ))
    .bind(customer.to_string())
    .fetch_all(change)
    .await?;
    let stock = rows.iter().map(|row| Ok((id(row, "product")?, row.try_get("available")?)));
    Ok(stock.collect::<Result<_, sqlx::Error>>()?)
}

/// 3. Is there enough? Whoever looks before locking answers for a moment that has passed.
fn check_stock(wanted: &[Line], stock: &HashMap<ProductId, i64>) -> Result<(), Failure> {
    let mut short = wanted.iter().filter_map(|line| {
        let available = stock.get(&line.product).copied().unwrap_or(0);
        (available < i64::from(line.quantity)).then_some((line.product, available))
    });
    match short.next() {
        None => Ok(()),
        Some((product, available)) => Err(Problem::new(
            Kind::OutOfStock,
            format!("of the product {product} there are {available} left: put fewer in the cart"),
        )
        .about(format!("/api/products/{product}"))
        .into()),
    }
}

/// 4. Names and prices as they are now, which is what the customer agreed to by checking out.
async fn price_lines(change: &mut AnyConnection, customer: CustomerId) -> Result<Cart, Failure> {
    carts::cart(change, customer).await
}

/// 5. The order and its lines. From here on the rest of the database can refer to it, and nobody
///    can see it.
async fn insert_order(change: &mut AnyConnection, order: &Order) -> Result<(), Failure> {
    sqlx::query("INSERT INTO orders (id, customer, total, placed_at) VALUES ($1, $2, $3, $4)")
        .bind(order.id.to_string())
        .bind(order.customer.to_string())
        .bind(order.total.amount)
        .bind(order.placed_at)
        .execute(&mut *change)
        .await?;
    for line in &order.lines {
        let insert = "INSERT INTO order_lines (order_id, product, name, quantity, price)
                      VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(insert)
            .bind(order.id.to_string())
            .bind(line.product.to_string())
            .bind(&line.name)
            .bind(i64::from(line.quantity))
            .bind(line.price.amount)
            .execute(&mut *change)
            .await?;
    }
    Ok(())
}

/// 6. Less of each. It was checked, and the rows are ours; the table's own `CHECK` stands behind it.
async fn take_stock(change: &mut AnyConnection, wanted: &[Line]) -> Result<(), Failure> {
    for line in wanted {
        sqlx::query("UPDATE inventory SET available = available - $1 WHERE product = $2")
            .bind(i64::from(line.quantity))
            .bind(line.product.to_string())
            .execute(&mut *change)
            .await?;
    }
    Ok(())
}

/// 7. The money, from a company that is not us. A second, with all the locks held.
///
/// The order's id is the idempotency key, as the provider asks. It is of no use here: an attempt
/// that fails leaves no order behind, so the next one has another id.
async fn charge_card(provider: &Provider, order: &Order, card: &Card) -> Result<Receipt, Failure> {
    let charge =
        Charge { key: order.id.0, amount: order.total.amount, card: card.as_str().to_owned() };
    provider.charge(&charge, Weather::Fine).await.map_err(|refusal| match refusal {
        Refusal::Declined
        | Refusal::InsufficientFunds
        | Refusal::ExpiredCard
        | Refusal::UnknownCard(_) => {
            Failure::new(Kind::PaymentDeclined, format!("{refusal}; nothing was ordered"))
        }
        Refusal::OutOfOrder => {
            Failure::new(Kind::Unavailable, format!("{refusal}; nothing was ordered"))
        }
        Refusal::Amount(_) | Refusal::KeyInUse { .. } | Refusal::NothingCharged(_) => {
            tracing::error!(%refusal, order = %order.id, "the provider refused a charge of ours");
            Problem::internal().into()
        }
    })
}

/// 8. That it was paid, and the provider's name for it.
async fn record_payment(
    change: &mut AnyConnection,
    order: OrderId,
    receipt: &Receipt,
) -> Result<(), Failure> {
    let insert = "INSERT INTO payments (order_id, amount, reference, charged_at)
                  VALUES ($1, $2, $3, $4)";
    sqlx::query(insert)
        .bind(order.to_string())
        .bind(receipt.amount)
        .bind(&receipt.reference)
        .bind(now())
        .execute(change)
        .await?;
    Ok(())
}

/// 9. The confirmation, by a server that is not ours. Two seconds, with all the locks held; and
///    it confirms what is not committed yet.
///
/// Without it there is no order: `?` rolls back, as for every other step. The charge stays.
async fn tell_customer(
    mail: &Server,
    change: &mut AnyConnection,
    order: &Order,
) -> Result<String, Failure> {
    let (mailbox, name): (String, String) =
        sqlx::query_as("SELECT email, name FROM users WHERE id = $1")
            .bind(order.customer.to_string())
            .fetch_one(change)
            .await?;
    let letter = Mail {
        key: order.id.0,
        to: mailbox.clone(),
        subject: format!("Your order {}", order.id),
        body: letter(&name, order),
    };
    mail.send(letter, Weather::Fine).await.map_err(|undelivered| {
        let kind = match undelivered {
            Undelivered::Bounced(_) | Undelivered::Refused => Kind::Conflict,
            Undelivered::OutOfOrder => Kind::Unavailable,
        };
        let told = format!("the order could not be confirmed by mail: {undelivered}");
        Failure::new(kind, format!("{told}; nothing was ordered"))
    })?;
    Ok(mailbox)
}

fn letter(name: &str, order: &Order) -> String {
    let mut text = format!("Dear {name},\n\nthank you for your order.\n\n");
    for line in &order.lines {
        text += &format!("{:>4}  {}, {} each\n", line.quantity.get(), line.name, line.price);
    }
    text + &format!("\nYou paid {}.\n", order.total)
}

/// 10. That they were told, and where.
async fn record_notification(
    change: &mut AnyConnection,
    order: OrderId,
    mailbox: &str,
) -> Result<(), Failure> {
    sqlx::query("INSERT INTO notifications (order_id, mailbox, sent_at) VALUES ($1, $2, $3)")
        .bind(order.to_string())
        .bind(mailbox)
        .bind(now())
        .execute(change)
        .await?;
    Ok(())
}

/// 11. What was bought is no longer meant to be bought.
async fn clear_cart(change: &mut AnyConnection, customer: CustomerId) -> Result<(), Failure> {
    sqlx::query("DELETE FROM cart_items WHERE customer = $1")
        .bind(customer.to_string())
        .execute(change)
        .await?;
    Ok(())
}

/// Ends the transaction, and everybody's waiting. How long it took goes in with the rest.
async fn commit(mut change: Transaction<'static, Any>, order: &Order) -> Result<(), Failure> {
    let note = "UPDATE orders SET reserving = $1, paying = $2, notifying = $3, confirmed = $4
                WHERE id = $5";
    sqlx::query(note)
        .bind(order.took.reserving)
        .bind(order.took.paying)
        .bind(order.took.notifying)
        .bind(order.took.confirmed)
        .bind(order.id.to_string())
        .execute(&mut *change)
        .await?;
    change.commit().await?;
    Ok(())
}

fn micros(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX)
}
