//! What is called a secret, and what looks like one.

use super::scene::{Scene, raise};
use grading::{Finding, World};
use observability::structured_logs::{REDACTED, StructuredLogs};

pub(super) async fn by_name<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    /// As many events as there are names, since an event knows its names when it is compiled.
    macro_rules! hides_what_is_called {
        ($($name:literal)*) => {
            $(
                scene.world.history().turn_page();
                let written = raise!(scene, info!($name = "x7", "x"));
                written.is(concat!("/fields/", $name), REDACTED)?;
            )*
        };
    }
    hides_what_is_called!(
        "password" "passwd" "pwd" "passphrase" "secret" "token" "api_key" "access_key" "account_key"
        "private_key" "credential" "authorization" "cookie" "session_id" "email" "phone" "address"
        "addresses" "birthday" "card" "cvc" "cvv" "pin" "iban" "account_number"
        // A word that only says something about one does so behind it, and at the end.
        "id_token" "type_of_card" "card_type_name" "user.card.number.last"
        // What differs may be a digit.
        "password2" "address1" "oauth2Token"
    );
    scene.world.history().turn_page();
    for (field, written) in [
        ("password", raise!(scene, info!(password = "hunter2", "x"))),
        ("PASSWORD", raise!(scene, info!(PASSWORD = "hunter2", "x"))),
        ("user.email", raise!(scene, info!(user.email = "at home", "x"))),
        ("userEmail", raise!(scene, info!(userEmail = "at home", "x"))),
        ("e-mail", raise!(scene, info!("e-mail" = "at home", "x"))),
        ("X-Api-Key", raise!(scene, info!("X-Api-Key" = "k7", "x"))),
        ("apikey", raise!(scene, info!(apikey = "k7", "x"))),
        ("APIKey", raise!(scene, info!(APIKey = "k7", "x"))),
        ("access_token", raise!(scene, info!(access_token = "t7", "x"))),
        ("card.number", raise!(scene, info!(card.number = "4", "x"))),
        ("IBANs", raise!(scene, info!(ibans = "DE89", "x"))),
        ("session_id", raise!(scene, info!(session_id = "s7", "x"))),
        ("pin", raise!(scene, info!(pin = 4711, "x"))),
        ("secret", raise!(scene, info!(secret = true, "x"))),
        ("phone", raise!(scene, info!(phone = %"+49 30 7", "x"))),
        ("address", raise!(scene, info!(address = ?("Main St", 7), "x"))),
    ] {
        let at = format!("/fields/{}", if field == "IBANs" { "ibans" } else { field });
        written.is(&at, REDACTED)?;
    }
    Ok(())
}

pub(super) async fn harmless<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let ids =
        raise!(scene, info!(user_id = 7, card_id = "c7", token_type = "mac", email_count = 2, "x"));
    ids.is("/fields/user_id", 7)?;
    ids.is("/fields/card_id", "c7")?;
    ids.is("/fields/token_type", "mac")?;
    ids.is("/fields/email_count", 2)?;
    let about = raise!(
        scene,
        info!(password_length = 7, card_kind = "debit", pin.size = 4, email_address_count = 2, "x")
    );
    about.is("/fields/password_length", 7)?;
    about.is("/fields/card_kind", "debit")?;
    about.is("/fields/pin.size", 4)?;
    about.is("/fields/email_address_count", 2)?;
    let words = raise!(scene, info!(microphones = 3, discarded = true, secretary = "ben", "x"));
    words.is("/fields/microphones", 3)?;
    words.is("/fields/discarded", true)?;
    words.is("/fields/secretary", "ben")?;
    let numbers = raise!(
        scene,
        info!(order = 4_111_111_111_111_112_u64, at_us = 1_732_257_000_000_009_u64, "x")
    );
    numbers.is("/fields/order", 4_111_111_111_111_112_u64)?;
    numbers.is("/fields/at_us", 1_732_257_000_000_009_u64)?;
    for text in [
        "order 4111111111111112 is paid",
        "order 4111-1111-1111-1112 is paid",
        "order 9111111111111110 is paid",
        "order 422222222222 is paid",
        "closed 2026-11-22 2026-12-09",
        "id 0199f2c6-4111-1111-1111-111111111111",
        "share 0.4111111111111111",
        "article A4111111111111111",
        "digest 4111111111111111af",
        "token_type=mac, card_id: 7, microphones(3)",
        "{\"email_count\":2,\"discarded\":true}",
        "41111111111111110000000",
        "serde@1.0.2 and @anna",
        "bearer authentication failed",
        "auth::password::check failed",
        "https://example.org/?seen=7@x",
        "the password was wrong",
    ] {
        scene.world.history().turn_page();
        let event = "info!(note = text, \"{text}\")";
        let written = scene.raise(event, &mut || tracing::info!(note = text, "{text}"));
        written.is("/message", text)?;
        written.is("/fields/note", text)?;
    }
    Ok(())
}

pub(super) async fn emails<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let message = raise!(scene, info!("mail to {} bounced", "anna@example.org"));
    message.hides(&["anna", "example"], &["mail to ", " bounced"])?;
    let field =
        raise!(scene, info!(recipient = "anna@example.org, ben.b+shop@mail.example.co.uk", "x"));
    field.hides(&["anna", "ben", "shop", "example", "co.uk"], &["recipient"])?;
    let display = raise!(scene, info!(recipient = %"<anna@example.org>", "x"));
    display.hides(&["anna", "example"], &[])?;
    let foreign = raise!(scene, info!("for {}.", "müller@bücher.example"));
    foreign.hides(&["ller", "cher"], &["for "])?;
    let escaped = raise!(scene, info!("GET {}", "/reset/anna%40example.org/now"));
    escaped.hides(&["anna", "example"], &["GET /reset/", "/now"])?;
    let named = raise!(scene.for_request("for-anna@example.org"), info!("placed"));
    named.hides(&["anna", "example"], &["placed"])
}

pub(super) async fn cards<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "378282246310005",
        "6304900017740292441",
        "5555-5555-5555-4444",
        "4222222222222",
        "2223003122003222",
        "30569309025904",
        "6011 0009 9013 9424",
    ] {
        scene.world.history().turn_page();
        let digits = &card[card.len() - 4..];
        let event = format!("info!(note = \"7 times {card}.\", \"{card} declined\")");
        let written = scene.raise(&event, &mut || {
            tracing::info!(note = format!("7 times {card}."), "{card} declined");
        });
        written.hides(&[card, digits], &[" declined", "7 times "])?;
    }
    scene.world.history().turn_page();
    let counted = raise!(scene, info!("{} {} was declined", 7, "4111 1111 1111 1111"));
    counted.hides(&["1111"], &["7 ", " was declined"])?;
    let row = raise!(scene, info!(row = "7,4111111111111111,5555555555554444,12/27", "x"));
    row.hides(&["1111", "4444"], &["\"7,", ",12/27"])?;
    let number = raise!(scene, info!(paid_with = 4_111_111_111_111_111_u64, lines = 3, "x"));
    number.hides(&["1111"], &["lines"])?;
    number.is("/fields/lines", 3)?;
    let signed = raise!(scene, info!(paid_with = 4_111_111_111_111_111_i64, "x"));
    signed.hides(&["1111"], &["paid_with"])?;
    // Too long for a number, and still a card's.
    let long = raise!(scene, info!(paid_with = 6_304_900_017_740_292_441_u64, "x"));
    long.hides(&["6304", "2441"], &["paid_with"])
}

pub(super) async fn credentials<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let url =
        raise!(scene, error!("cannot reach {}", "postgres://shop:hunter2@db.example:5432/shop"));
    url.hides(&["hunter2", "shop:"], &["cannot reach postgres://", "@db.example:5432/shop"])?;
    let odd = raise!(scene, error!(url = "amqp://shop:p@ssw0rd@rabbit:5672", "x"));
    odd.hides(&["ssw0rd", "shop:"], &["amqp://", "rabbit:5672"])?;
    let without_a_user = raise!(scene, error!(url = "redis://:hunter2@cache/0", "x"));
    without_a_user.hides(&["hunter2"], &["cache/0"])?;
    let only_a_token = raise!(scene, error!(url = "https://ghp7token@git.example/shop.git", "x"));
    only_a_token.hides(&["ghp7"], &["git.example/shop.git"])?;
    let bearer = raise!(scene, info!("sent {} to payments", "Bearer mF_9.B5f-4.1JqM"));
    bearer.hides(&["mF_9", "1JqM"], &["sent ", " to payments"])?;
    let letters = raise!(scene, info!("sent {} again", "Bearer mFBfJqMmFBfJqMmFBfJqM"));
    letters.hides(&["mFBf"], &["sent ", " again"])?;
    let small = raise!(scene, info!(header = "bearer mF_9.B5f-4.1JqM", "x"));
    small.hides(&["mF_9", "1JqM"], &[])?;
    let jwt = raise!(
        scene,
        info!(note = "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl again", "x")
    );
    jwt.hides(&["eyJ", "c2ln"], &["got ", " again"])?;
    // An encrypted one has five parts, and one that somebody has cut has fewer.
    let five = raise!(scene, info!("got {} again", "eyJhbGciOiJkaXIifQ..aXZpdg.dGV4dA.dGFnZ2Vk"));
    five.hides(&["eyJ", "aXZp", "dGV4", "dGFn"], &["got ", " again"])?;
    let cut = raise!(scene, info!("got {} again", "eyJhbGciOiJIUzI1NiJ9"));
    cut.hides(&["eyJ"], &["got ", " again"])
}
