//! What no customer should send, and somebody will: a 4xx that says why, never a 5xx, and nothing
//! of anybody else's.

use std::time::Duration;

use http::Method;
use serde_json::json;
use shop_contracts::Kind;
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::users::Role;
use shop_service::token::Tokens;

use crate::open::{Open, ask, raw, refused};

const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) async fn what_cannot_be_read_is_refused(open: Open) {
    let paths = ["/api/customers", "/api/tokens"];
    for path in paths {
        for body in ["", "{", "nonsense", "{\"email\": }", "\u{0}", "{} {}", "[1, 2"] {
            let told = raw(&open.gateway, Method::POST, path, body, &[JSON]).await;
            let problem = told.expect_err(body);
            assert!(
                problem.is(Kind::Malformed) || problem.is(Kind::Invalid),
                "{body}: {problem:?}"
            );
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            let told = raw(&open.gateway, Method::POST, path, "", &[("content-type", kind)]).await;
            refused(told, Kind::UnsupportedMediaType, kind);
        }
        let told = raw(&open.gateway, Method::POST, path, vec![0xff, 0xfe, 0x00], &[JSON]).await;
        refused(told, Kind::Malformed, "no UTF-8");
    }
    let nowhere = ask(&open.gateway, Method::GET, "/api/nothing", &json!(null), &[]).await;
    refused(nowhere, Kind::NotFound, "an address that is none");
    let method = ask(&open.gateway, Method::DELETE, "/api/categories", &json!(null), &[]).await;
    refused(method, Kind::MethodNotAllowed, "another method");
}

pub(crate) async fn values_that_are_not_allowed_are_refused(open: Open) {
    let ada = open.customer("eve").await;
    let tea = open.products[0];
    let item = format!("/api/cart/items/{tea}");
    for quantity in [json!(0), json!(-1), json!(100), json!(1.5), json!("1"), json!(null)] {
        let told = ada.ask(Method::PUT, &item, &json!({"quantity": quantity})).await;
        let problem = refused(told, Kind::Invalid, &quantity.to_string());
        assert_eq!(problem.errors[0].at, "body.quantity");
    }
    let told = ada.ask(Method::PUT, &item, &json!({"quantity": 1, "price": 1})).await;
    refused(told, Kind::Invalid, "a field too many");
    for path in ["/api/cart/items/1", "/api/cart/items/tea", "/api/cart/items/%00"] {
        let told = ada.ask(Method::PUT, path, &json!({"quantity": 1})).await;
        refused(told, Kind::Invalid, path);
    }
    let unknown = format!("/api/cart/items/{}", ProductId::new());
    let told = ada.ask(Method::PUT, &unknown, &json!({"quantity": 1})).await;
    refused(told, Kind::NotFound, "a product that is not");
    refused(ada.buy("tok_ok", "no-cart-yet").await, Kind::EmptyCart, "nothing in the cart");
    ada.put(tea, 1).await.expect("one");
    for card in ["", "x", "tok ok", "4111 1111 1111 1111", &"a".repeat(65)] {
        refused(ada.buy(card, "a-wish-of-mine").await, Kind::Invalid, card);
    }
    for key in ["", "short", &"k".repeat(65), "with space"] {
        let problem = refused(ada.buy("tok_ok", key).await, Kind::Invalid, key);
        assert_eq!(problem.errors[0].at, "header.idempotency-key");
    }
    let bare = ada.ask(Method::POST, "/api/orders/checkout", &json!({"card": "tok_ok"})).await;
    refused(bare, Kind::Invalid, "no key at all");
    for account in [
        json!({"email": "ada", "password": "open sesame", "name": "Ada"}),
        json!({"email": "b@example.org", "password": "short", "name": "Bob"}),
        json!({"email": "b@example.org", "password": "open sesame", "name": " "}),
        json!({"email": "b@example.org", "password": "open sesame"}),
        json!({"email": "b@example.org", "password": "open sesame", "name": "Bob", "role": "staff"}),
        json!(["b@example.org"]),
    ] {
        let told = ask(&open.gateway, Method::POST, "/api/customers", &account, &[]).await;
        refused(told, Kind::Invalid, &account.to_string());
    }
    let again = json!({"email": "EVE@customers.example", "password": "open sesame", "name": "Ada"});
    let told = ask(&open.gateway, Method::POST, "/api/customers", &again, &[]).await;
    refused(told, Kind::Taken, "the same address in capitals");
    open.adds_up().await;
}

pub(crate) async fn what_is_too_large_is_refused(open: Open) {
    let name = "n".repeat(20 << 10);
    let new = json!({"email": "big@example.org", "password": "open sesame", "name": name});
    let told = ask(&open.gateway, Method::POST, "/api/customers", &new, &[]).await;
    refused(told, Kind::TooLarge, "20 KiB of a name");
    let query = format!("/api/products?q={}", "q".repeat(101));
    let told = ask(&open.gateway, Method::GET, &query, &json!(null), &[]).await;
    refused(told, Kind::Invalid, "a long search");
    let deep = "[".repeat(10_000);
    let told = raw(&open.gateway, Method::POST, "/api/tokens", deep, &[JSON]).await;
    assert!(told.expect_err("a deep body").status < 500);
}

pub(crate) async fn nobody_gets_in_without_a_token_of_ours(open: Open) {
    let tokens = &open.shop.setup.tokens;
    let ended = tokens.issue(CustomerId::new(), Role::Customer, Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let forged = Tokens::new(&Tokens::secret());
    let forged = forged.issue(CustomerId::new(), Role::Staff, Duration::from_secs(60));
    let wrong = [
        format!("Bearer {ended}"),
        format!("Bearer {forged}"),
        "Bearer".into(),
        "Bearer ".into(),
        "Bearer a.b.c".into(),
        "Basic YWRhOmFkYQ==".into(),
        // {"alg":"none"} . {"sub":…,"role":"staff"} . nothing
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoic3RhZmYifQ.".into(),
    ];
    for path in ["/api/cart", "/api/orders", "/api/me"] {
        let told = ask(&open.gateway, Method::GET, path, &json!(null), &[]).await;
        refused(told, Kind::Unauthorized, "no token");
        for header in &wrong {
            let headers = [("authorization", header.as_str())];
            let told = ask(&open.gateway, Method::GET, path, &json!(null), &headers).await;
            refused(told, Kind::Unauthorized, header);
        }
    }
    for (email, password) in
        [("nobody@example.org", "open sesame"), ("eve@customers.example", "not my password")]
    {
        let login = json!({"email": email, "password": password});
        let told = ask(&open.gateway, Method::POST, "/api/tokens", &login, &[]).await;
        refused(told, Kind::Unauthorized, email);
    }
}

pub(crate) async fn nobody_sees_what_is_anothers(open: Open) {
    let (ada, bob) = (open.customer("ada1").await, open.customer("bob1").await);
    ada.put(open.products[0], 2).await.expect("in Ada's cart");
    assert_eq!(bob.get("/api/cart").await.expect("Bob's cart")["lines"], json!([]));
    let order = ada.buy("tok_ok", "adas-wish").await.expect("confirmed");
    let path = format!("/api/orders/{}", order["id"].as_str().expect("an id"));
    let told = refused(bob.get(&path).await, Kind::NotFound, "Ada's order");
    let unknown = format!("/api/orders/{}", OrderId::new());
    let nothing = refused(bob.get(&unknown).await, Kind::NotFound, "no order");
    assert_eq!(told.title, nothing.title, "whether it is there is not Bob's to know");
    assert_eq!(bob.get("/api/orders").await.expect("Bob's orders"), json!([]));
    // The same key is Bob's own wish.
    bob.put(open.products[1], 1).await.expect("in Bob's cart");
    let other = bob.buy("tok_ok", "adas-wish").await.expect("confirmed");
    assert_ne!(other["id"], order["id"]);
    open.adds_up().await;
}

pub(crate) async fn only_staff_sets_prices(open: Open) {
    let path = format!("/api/products/{}/price", open.products[0]);
    let price = json!({"price": {"amount": 1, "currency": "EUR"}});
    let told = ask(&open.gateway, Method::PUT, &path, &price, &[]).await;
    refused(told, Kind::Unauthorized, "nobody");
    let ada = open.customer("eve").await;
    refused(ada.ask(Method::PUT, &path, &price).await, Kind::Forbidden, "a customer");
    let [_, (email, password, _)] = shop::goods::ACCOUNTS;
    let staff = open.login(email, password).await;
    staff.ask(Method::PUT, &path, &price).await.expect("a new price");
    for wrong in [0, -1, 1_000_000_001] {
        let price = json!({"price": {"amount": wrong, "currency": "EUR"}});
        refused(staff.ask(Method::PUT, &path, &price).await, Kind::Invalid, "no price");
    }
    let seen = ask(&open.gateway, Method::GET, &path[..path.len() - 6], &json!(null), &[]).await;
    assert_eq!(seen.expect("the product")["price"]["amount"], 1);
}
