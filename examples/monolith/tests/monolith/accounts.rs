//! Who is who, and who is refused.

use http::Method;
use serde_json::{Value, json};
use shop_contracts::id::CustomerId;
use shop_contracts::users::{Customer, Role, Token};
use shop_contracts::{Kind, Problem};
use shop_service::token::Tokens;
use std::time::Duration;
use testbed::place::Place;

use crate::place::sides;
use crate::shop::{Buyer, Shop};

sides! {
    an_account_is_made_once_and_opened_by_its_password
    what_makes_no_account_is_told_where_it_is_wrong
    only_a_token_of_ours_that_has_not_ended_is_good
    a_token_for_an_account_that_is_gone_is_refused
    what_cannot_be_read_is_refused
}

fn ada() -> Value {
    json!({"email": "Ada@Example.org", "password": "correct horse", "name": "Ada"})
}

async fn an_account_is_made_once_and_opened_by_its_password(place: Place) {
    let shop = Shop::open(place).await;
    let register = async |wish: &Value| {
        shop.peer.call::<Customer>(Method::POST, "/api/register", Some(wish)).await
    };
    let customer = register(&ada()).await.expect("an account");
    assert_eq!((customer.email.as_str(), customer.role), ("ada@example.org", Role::Customer));

    let again = register(&ada()).await.expect_err("the address is taken");
    assert!(again.is(Kind::Taken), "{again}");

    let login = async |email: &str, password: &str| {
        let login = json!({"email": email, "password": password});
        shop.peer.call::<Token>(Method::POST, "/api/login", Some(&login)).await
    };
    let token = login("ada@example.org", "correct horse").await.expect("a token");
    assert_eq!(shop.tokens.read(&token.access_token).expect("ours").sub, customer.id);
    let buyer = Buyer { token: token.access_token, ..shop.known_as(customer.id) };
    assert_eq!(buyer.cart().await.lines, []);

    let wrong = login("ada@example.org", "correct house").await.expect_err("a wrong password");
    let nobody = login("bob@example.org", "correct horse").await.expect_err("no account");
    assert!(wrong.is(Kind::Unauthorized), "{wrong}");
    assert_eq!(wrong, nobody, "the answer does not tell who has an account");
}

async fn what_makes_no_account_is_told_where_it_is_wrong(place: Place) {
    let shop = Shop::open(place).await;
    let wrong = [
        ("email", json!("ada")),
        ("email", json!(7)),
        ("password", json!("short")),
        ("name", json!(" ")),
        ("name", json!("A\u{0}da")),
        ("role", json!("staff")),
    ];
    for (field, value) in wrong {
        let mut wish = ada();
        wish[field] = value;
        let refused = shop.peer.call::<Customer>(Method::POST, "/api/register", Some(&wish)).await;
        let refused = refused.expect_err(field);
        assert!(refused.is(Kind::Invalid), "{refused}");
        assert_eq!(refused.errors[0].at, format!("body.{field}"));
    }
}

async fn only_a_token_of_ours_that_has_not_ended_is_good(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.customer("ada@example.org").await;
    let paths = ["/api/cart", "/api/orders", &format!("/api/orders/{}", buyer.id)];

    let forger = Tokens::new(&Tokens::secret());
    let forged = forger.issue(buyer.id, Role::Customer, Duration::from_secs(60));
    let ended = shop.tokens.issue(buyer.id, Role::Customer, Duration::ZERO);
    // A token ends with its second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for token in [forged, ended, "nonsense".to_owned(), String::new()] {
        let stranger = Buyer { token, ..buyer.clone() };
        for path in paths {
            let refused: Problem = stranger.get::<Value>(path).await.expect_err(path);
            assert!(refused.is(Kind::Unauthorized), "{path}: {refused}");
        }
        for refused in [
            stranger.checkout().await.map(drop).expect_err("no order"),
            stranger.put(shop.product(0), 1).await.map(drop).expect_err("no cart"),
        ] {
            assert!(refused.is(Kind::Unauthorized), "{refused}");
        }
    }
    for path in paths {
        let refused = shop.peer.get::<Value>(path).await.expect_err(path);
        assert!(refused.is(Kind::Unauthorized), "without a token, {path}: {refused}");
    }
}

async fn a_token_for_an_account_that_is_gone_is_refused(place: Place) {
    let shop = Shop::open(place).await;
    let ghost = shop.known_as(CustomerId::new());
    let review = json!({"stars": 5, "words": "Boo."});
    let reviews = format!("/api/products/{}/reviews", shop.product(0));
    for refused in [
        ghost.put(shop.product(0), 1).await.map(drop).expect_err("no cart"),
        ghost.checkout().await.map(drop).expect_err("no cart"),
        ghost.ask::<Value>(Method::POST, &reviews, Some(review)).await.expect_err("no author"),
    ] {
        assert!(refused.is(Kind::Unauthorized), "{refused}");
    }
    assert_eq!(ghost.orders().await, []);
}

async fn what_cannot_be_read_is_refused(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.customer("ada@example.org").await;
    let json = "Content-Type: application/json";
    let register = |kind: &str| format!("POST /api/register HTTP/1.1\r\n{kind}");
    let long = format!(r#"{{"name": "{}"}}"#, "a".repeat(64 << 10));
    let token = format!("Authorization: Bearer {}", buyer.token);
    let checkout = format!("POST /api/orders/checkout HTTP/1.1\r\n{token}\r\n{json}");
    for (head, body, status) in [
        (register(json), &b"{"[..], 400),
        (register(json), b"", 400),
        (register(json), b"[]", 422),
        (register(json), long.as_bytes(), 413),
        (register("Content-Type: text/plain"), b"{}", 415),
        (checkout.clone(), br#"{"card": 7}"#, 422),
        (checkout.clone(), br#"{"card": "4242 4242"}"#, 422),
        (checkout, br#"{"card": "tok_ok", "total": 1}"#, 422),
        ("GET /api/nothing HTTP/1.1".to_owned(), b"", 404),
        ("DELETE /api/login HTTP/1.1".to_owned(), b"", 405),
    ] {
        let (answered, text) = buyer.say(&head, body).await;
        assert_eq!(answered, status, "{head}: {text}");
        assert!(text.contains("application/problem+json"), "{text}");
    }
    let (answered, _) = buyer.say("GET /health HTTP/1.1", b"").await;
    assert_eq!(answered, 200);
}
