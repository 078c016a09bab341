//! The users service, asked over a real connection by the client that its callers use.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::Method;
use shop_contracts::id::CustomerId;
use shop_contracts::users::{Client, Login, NewCustomer, Registration, Role};
use shop_contracts::{Kind, Peer, Problem};
use shop_service::token::{LIFE, Tokens};
use shop_service::{Stop, serve_locally};
use shop_users::Users;
use testbed::place::Place;
use testbed::together;

struct World {
    client: Client,
    users: Users,
    tokens: Tokens,
    _stop: Stop,
    _place: Place,
}

impl World {
    async fn new() -> World {
        let (stop, place) = (Stop::default(), Place::chosen().await);
        let tokens = Tokens::new(&Tokens::secret());
        let users = Users::open(place.url(), tokens.clone()).await.expect("a database");
        let running = serve_locally("users", users.router(), &stop).await.expect("a port");
        // Many hashes at once wait for each other, and a machine may be slow.
        let peer = Peer::new("users", running.url()).patience(Duration::from_secs(60));
        World { client: Client(peer), users, tokens, _stop: stop, _place: place }
    }
}

fn new_customer(email: &str, role: Role) -> NewCustomer {
    let Login { email, password } = login(email, "correct horse");
    let name = String::from("Ada Lovelace").try_into().expect("a name");
    NewCustomer { registration: Registration { email, password, name }, role }
}

fn login(email: &str, password: &str) -> Login {
    Login {
        email: email.to_owned().try_into().expect("an address"),
        password: password.to_owned().try_into().expect("a password"),
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, kind: Kind) -> Problem {
    let problem = answer.expect_err("a refusal");
    assert!(problem.is(kind), "{kind:?} was expected, not {problem:?}");
    problem
}

#[tokio::test]
async fn who_registers_can_log_in() {
    let world = World::new().await;
    for (email, role) in [("ada@example.org", Role::Customer), ("eve@example.org", Role::Staff)] {
        let customer = world.client.register(&new_customer(email, role)).await.expect("a customer");
        assert_eq!((customer.email.as_str(), customer.role), (email, role));
        assert_eq!(customer.name.as_str(), "Ada Lovelace");
        assert_eq!(world.client.customer(customer.id).await, Ok(customer.clone()));

        let token = world.client.token(&login(email, "correct horse")).await.expect("a token");
        assert_eq!((token.token_type.as_str(), token.expires_in), ("Bearer", LIFE.as_secs()));
        let claims = world.tokens.read(&token.access_token).expect("signed with our secret");
        assert_eq!((claims.sub, claims.role), (customer.id, role));
    }
    refused(world.client.customer(CustomerId::new()).await, Kind::NotFound);
}

#[tokio::test]
async fn a_registration_is_answered_201_and_without_the_password() {
    let world = World::new().await;
    let wish = serde_json::to_vec(&new_customer("ada@example.org", Role::Customer)).expect("JSON");
    let answer = world.client.0.forward(Method::POST, "/customers", wish.into(), &[]).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 201);
    let told = String::from_utf8_lossy(answer.body());
    assert!(!told.contains("password") && !told.contains("argon2"), "{told}");
}

#[tokio::test]
async fn an_address_has_one_account_however_it_is_written() {
    let world = World::new().await;
    let first = world.client.register(&new_customer("ada@example.org", Role::Customer)).await;
    first.expect("a customer");
    for email in ["ada@example.org", " ADA@Example.ORG "] {
        let again = world.client.register(&new_customer(email, Role::Staff)).await;
        refused(again, Kind::Taken);
    }
    let token = world.client.token(&login("Ada@example.org", "correct horse")).await;
    let claims = world.tokens.read(&token.expect("a token").access_token).expect("ours");
    assert_eq!(claims.role, Role::Customer, "what was refused has changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_register_one_address_at_once_one_gets_it() {
    let world = World::new().await;
    let registering = (0..8).map(|_| {
        let client = world.client.clone();
        async move { client.register(&new_customer("ada@example.org", Role::Customer)).await }
    });
    let mut registered = 0;
    for answer in together(registering).await {
        match answer {
            Ok(_) => registered += 1,
            Err(problem) => assert!(problem.is(Kind::Taken), "{problem:?}"),
        }
    }
    assert_eq!(registered, 1);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_told_alike() {
    let world = World::new().await;
    let customer = world.client.register(&new_customer("ada@example.org", Role::Customer)).await;
    customer.expect("a customer");
    let (wrong, unknown) =
        (login("ada@example.org", "correct house"), login("bob@example.org", "correct horse"));

    // Nor does a clock tell, where the same work is done: one hash each.
    let mut told = Vec::new();
    for login in [&wrong, &unknown] {
        let before = world.users.hashes();
        told.push(refused(world.client.token(login).await, Kind::Unauthorized));
        assert_eq!(world.users.hashes() - before, 1);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn what_is_not_allowed_says_where() {
    let world = World::new().await;
    let registration = |email: &str, password: &str, name: &str, role: &str| {
        format!(
            r#"{{"registration": {{"email": "{email}", "password": "{password}", "name": "{name}"}},
                "role": "{role}"}}"#
        )
    };
    let good = registration("ada@example.org", "correct horse", "Ada", "customer");
    for (method, path, body, kind) in [
        ("POST", "/customers", "{", Kind::Malformed),
        ("POST", "/customers", "[]", Kind::Invalid),
        ("POST", "/customers", "{}", Kind::Invalid),
        (
            "POST",
            "/customers",
            &registration("ada", "correct horse", "Ada", "customer"),
            Kind::Invalid,
        ),
        ("POST", "/customers", &registration("a@b.cd", "short", "Ada", "customer"), Kind::Invalid),
        (
            "POST",
            "/customers",
            &registration("a@b.cd", "correct horse", " ", "customer"),
            Kind::Invalid,
        ),
        (
            "POST",
            "/customers",
            &registration("a@b.cd", "correct horse", "Ada", "owner"),
            Kind::Invalid,
        ),
        ("POST", "/customers", &good.repeat(500), Kind::TooLarge),
        ("POST", "/tokens", r#"{"email": "ada@example.org"}"#, Kind::Invalid),
        ("POST", "/tokens", &good, Kind::Invalid),
        ("GET", "/customers/ada", "", Kind::Invalid),
        ("GET", "/customers", "", Kind::MethodNotAllowed),
    ] {
        let (method, body) =
            (method.parse().expect("a method"), Bytes::copy_from_slice(body.as_bytes()));
        let answer =
            world.client.0.forward(method, path, body.clone(), &[]).await.expect("an answer");
        let problem: Problem = serde_json::from_slice(answer.body()).expect("a problem");
        assert_eq!(answer.status(), problem.status);
        assert!(problem.is(kind), "{path} {body:.80?}: {problem:?}");
        assert!(!problem.to_string().contains("correct horse"), "{problem}");
    }
}

#[tokio::test]
async fn it_says_that_it_is_well() {
    let world = World::new().await;
    let answer = world.client.0.forward(Method::GET, "/health", Bytes::new(), &[]).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}
