//! What the checks of the lesson leave out: the policy by itself, the filter of one layer, the layer,
//! and lines for people.

use observability::lines::{Aside, Lines, shows_colours};
use observability::structured_logs::{BadDirective, LONGEST, Policy, Secret, Wanted};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Lines<impl Fn() -> Log + Send + Sync + 'static> {
        let writer = self.clone();
        Lines::new(move || writer.clone(), || Some("checkout-7".into()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

fn hidden(text: &str) -> String {
    Policy::standard().text(text).into_owned()
}

#[test]
fn what_looks_like_a_secret_is_hidden_and_the_rest_stays() {
    let cases = [
        ("declined for a@b.c, twice", "declined for [redacted], twice"),
        ("o'brien+shop@mail.example.org.", "[redacted]."),
        ("müller@bücher.example", "[redacted]"),
        ("/reset?for=anna%40example.org", "/reset?for=[redacted]"),
        ("serde@1.0.2 and @anna", "serde@1.0.2 and @anna"),
        ("card 4111111111111111.", "card [redacted]."),
        ("7 4111 1111 1111 1111 times", "7 [redacted] times"),
        ("3782-822463-10005", "[redacted]"),
        ("7,4111111111111111,5555555555554444,12", "7,[redacted],[redacted],12"),
        ("order 4111111111111112", "order 4111111111111112"),
        ("at 1732257000000000000", "at 1732257000000000000"),
        ("0.4111111111111111", "0.4111111111111111"),
        ("A4111111111111111", "A4111111111111111"),
        ("0199f2c6-4111-1111-1111-111111111111", "0199f2c6-4111-1111-1111-111111111111"),
        ("sent Bearer abc123 to it", "sent Bearer [redacted] to it"),
        ("bearer authentication failed", "bearer authentication failed"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjd9.c2ln!", "got [redacted]!"),
        ("postgres://shop:p@ss@db:5432/shop?a=b", "postgres://[redacted]@db:5432/shop?a=b"),
        ("redis://a:b@cache.example.org/0", "redis://[redacted]@cache.example.org/0"),
        ("https://example.org/?at=7@x", "https://example.org/?at=7@x"),
    ];
    for (text, expected) in cases {
        assert_eq!(hidden(text), expected, "{text}");
    }
}

#[test]
fn what_is_called_a_secret_is_hidden_to_its_end() {
    let cases = [
        (
            r#"User { email: "a", password: "x y" }"#,
            r#"User { email: "[redacted]", password: "[redacted]" }"#,
        ),
        (r#"{"apiKey":"k\"7","lines":3}"#, r#"{"apiKey":"[redacted]","lines":3}"#),
        (
            r#"body="{\"password\":\"hun\\\"ter\",\"a\":1}""#,
            r#"body="{\"password\":\"[redacted]\",\"a\":1}""#,
        ),
        (r#"pin: Some("4711"), a: 1"#, "pin: [redacted], a: 1"),
        (r#"Address { street: "Main", nr: 7 }"#, r#"Address { street: "Main", nr: 7 }"#),
        (
            r#"{ address: Address { street: "Ma}in", nr: 7 }, a: 1 }"#,
            "{ address: [redacted], a: 1 }",
        ),
        (r#"Password("hunter2") for 7"#, "Password[redacted] for 7"),
        ("GET /in?token=abc&x=1", "GET /in?token=[redacted]&x=1"),
        ("Server=db;Password=p;User Id=sa", "Server=db;Password=[redacted];User Id=sa"),
        ("Authorization: Basic dXNlcjpwYXNz, ok\nHost: a", "Authorization: [redacted]\nHost: a"),
        (
            "Authorization: Digest username=\"anna\", response=\"7\"\nHost: a",
            "Authorization: [redacted]\nHost: a",
        ),
        (
            r#"raw: "Authorization: Digest username=\"anna\", response=\"7\"", lines: 3"#,
            r#"raw: "Authorization: [redacted]", lines: 3"#,
        ),
        (r#"said "no" to Cookie: a="1"; b="2""#, r#"said "no" to Cookie: [redacted]"#),
        ("Set-Cookie: sid=1; Path=/", "Set-Cookie: [redacted]"),
        ("token=Bearer abc after", "token=[redacted] after"),
        ("phone: +49 30 901820 called", "phone: [redacted] called"),
        ("password: \"hunt", "password: \"[redacted]"),
        ("auth::password::check failed", "auth::password::check failed"),
        ("password=hunter2 was wrong", "password=[redacted] was wrong"),
        ("{\n  \"iban\": \"DE89 3704\"\n}", "{\n  \"iban\": \"[redacted]\"\n}"),
        ("Key (phone)=(+49 30 7) already exists.", "Key (phone)=[redacted] already exists."),
        (
            r#"[("password", "hunter2"), ("lines", "3")]"#,
            r#"[("password", "[redacted]"), ("lines", "3")]"#,
        ),
        (r#"["--token", "t7", "--port", "7"]"#, r#"["--token", "[redacted]", "--port", "7"]"#),
        (r#"("pin", 3)"#, r#"("pin", 3)"#),
        ("<pwd>hunter2</pwd><lines>3</lines>", "<pwd>[redacted]</pwd><lines>3</lines>"),
        ("user[password]=hunter2&a=1", "user[password]=[redacted]&a=1"),
        ("no token, or an email", "no token, or an email"),
    ];
    for (text, expected) in cases {
        assert_eq!(hidden(text), expected, "{text}");
        assert_eq!(hidden(&hidden(text)), hidden(expected), "twice: {text}");
    }
}

#[test]
fn a_name_is_read_by_its_words() {
    let policy = Policy::standard();
    let secret = [
        "password",
        "PASSWORD",
        "user.email",
        "userEmail",
        "e-mail",
        "x-api-key",
        "APIKey",
        "apikey",
        "accessToken",
        "card_number",
        "Set-Cookie",
        "IBANNumber",
        "address_line1",
        "session_id",
        "emails",
        "card2",
        "http.request.header.authorization",
    ];
    let harmless = [
        "user_id",
        "card_id",
        "cardId",
        "token_type",
        "token_count",
        "password_length",
        "microphone",
        "discard",
        "addressed",
        "secretary",
        "pinned",
        "id",
        "order",
        "",
        "_",
    ];
    assert_eq!(secret.map(|name| policy.hides(name)), [true; 17]);
    assert_eq!(harmless.map(|name| policy.hides(name)), [false; 15]);
    assert!(policy.clone().and("tax_number").hides("customer.taxNumber"));
    assert!(!policy.except("address").hides("address"));
    assert!(!Policy::none().hides("password"));
    assert_eq!(Policy::none().text("a@b.c"), "a@b.c");
}

#[test]
fn whatever_the_bytes_nothing_panics() {
    let parts = [
        "password",
        "=",
        ":",
        "(",
        "\"",
        "\\",
        "{",
        "}",
        "é",
        "@",
        "4111 1111 1111 1111",
        " ",
        "://",
        "eyJ",
        "Bearer ",
        "\n",
        "'",
    ];
    let mut drawn = 7_u64;
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..12 {
            drawn = drawn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text += parts[usize::try_from(drawn >> 33).expect("64 bits") % parts.len()];
        }
        hidden(&text);
    }
}

#[test]
fn directives_are_read_whole_or_not_at_all() {
    let wanted = Wanted::parse(" Info, orders=DEBUG,orders::saga = off ").expect("directives");
    let wants = |level, target| wanted.wants(level, target);
    assert!(wants(Level::INFO, "payments") && !wants(Level::DEBUG, "payments"));
    assert!(wants(Level::DEBUG, "orders::cart") && !wants(Level::DEBUG, "orders_archive"));
    assert!(!wants(Level::ERROR, "orders::saga::step"));
    assert_eq!(wanted.to_string(), "orders::saga=off,orders=debug,info");
    assert_eq!(Wanted::parse(&wanted.to_string()), Ok(wanted));
    let bad = [
        "",
        "inof",
        "info,,warn",
        "orders=",
        "orders=loud",
        "=info",
        "a=info=warn",
        "3",
        "a=info,a=warn",
        "info,warn",
        "or ders=info",
    ];
    let pieces = [
        "",
        "inof",
        "",
        "orders=",
        "orders=loud",
        "=info",
        "a=info=warn",
        "3",
        "a=warn",
        "warn",
        "or ders=info",
    ];
    for (text, piece) in bad.into_iter().zip(pieces) {
        assert_eq!(Wanted::parse(text), Err(BadDirective { piece: piece.to_owned() }), "{text}");
    }
}

/// Counts what it sees.
struct Beside(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Beside {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_filter_is_that_of_one_layer_and_changes_while_it_runs() {
    let (log, beside) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    let (wanted, changing) = Wanted::parse("warn").expect("a level").changeable::<Registry>();
    let subscriber = tracing_subscriber::registry()
        .with(log.lines().with_filter(wanted))
        .with(Beside(Arc::clone(&beside)));
    tracing::subscriber::with_default(subscriber, || {
        for to in [None, Some("info"), Some("inof"), Some("off")] {
            if let Some(to) = to {
                let changed = changing.change(to);
                assert_eq!(changed.is_err(), to == "inof");
            }
            tracing::info!(to, "says");
        }
        assert_eq!(changing.now().map(|now| now.to_string()).as_deref(), Some("off"));
    });
    assert_eq!(
        log.text().lines().count(),
        2,
        "info, and inof which changed nothing: {}",
        log.text()
    );
    assert_eq!(beside.load(Ordering::SeqCst), 4);
    assert_eq!(changing.change("info"), Ok(()), "the subscriber is gone");
}

#[test]
fn lines_for_people_hide_and_escape_the_same() {
    let (plain, coloured) = (Log::default(), Log::default());
    for (log, colours) in [(&plain, false), (&coloured, true)] {
        let lines = log.lines().for_people(colours);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(target: "orders", lines = 3, note = "a\n\u{1b}[31mb", card = "4111", "paid\r\nby a@b.c");
        });
    }
    let text = plain.text();
    assert_eq!(text.matches('\n').count(), 1);
    let expected = "  WARN   orders                paid\\u000d\\u000aby [redacted]  card=[redacted]  lines=3  note=\"a\\n\\u001b[31mb\"  request_id=checkout-7\n";
    assert_eq!(&text[12..], expected);
    assert!(coloured.text().contains("\x1b[33mWARN \x1b[0m"));
    assert!(!coloured.text().contains("\x1b[31m"));
    assert!(!shows_colours(&std::fs::File::open("/dev/null").expect("a file")));
}

#[test]
fn a_policy_is_for_the_whole_line() {
    let log = Log::default();
    let lines = log.lines().redacting(Policy::none());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        tracing::info!(password = "hunter2", "for a@b.c");
    });
    assert!(log.text().contains("hunter2") && log.text().contains("a@b.c"));
}

#[test]
fn a_secret_at_the_cut_is_not_left_by_half() {
    let log = Log::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.lines()), || {
        for before in LONGEST - 30..LONGEST + 5 {
            let text = " ".repeat(before) + "4111 1111 1111 1111 anna@example.org";
            tracing::info!(text, "cut");
        }
    });
    let text = log.text();
    // The field alone: the time at the head of a line has such digits as well, now and then.
    let fields: Vec<&str> =
        text.lines().filter_map(|line| line.split("\"text\":").nth(1)).collect();
    assert_eq!(fields.len(), 35);
    for field in fields {
        assert!(!field.contains("411") && !field.contains("anna"), "{}", field.trim());
        assert!(field.contains("[cut]"), "{}", field.trim());
    }
}

#[test]
fn a_secret_is_read_from_configuration() {
    #[derive(Debug, serde::Deserialize)]
    struct Database {
        url: Secret<String>,
    }
    let database: Database = serde_json::from_str(r#"{"url":"postgres://a:b@c"}"#).expect("JSON");
    assert_eq!(format!("{database:?}"), "Database { url: Secret }");
    assert_eq!(database.url.expose(), "postgres://a:b@c");
}

/// Tells when a line has come, and takes the next when it is told to.
struct Stuck {
    log: Log,
    comes: mpsc::Sender<()>,
    goes: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let _ = self.comes.send(());
        // Without anybody at the other end it goes on.
        let _ = self.goes.recv();
        self.log.write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn who_logs_does_not_wait_for_a_reader_that_hangs() {
    let (log, (comes, came), (go, goes)) = (Log::default(), mpsc::channel(), mpsc::channel());
    let (aside, ending) = Aside::to(Stuck { log: log.clone(), comes, goes }, 2).expect("a thread");
    let counted = aside.clone();
    let subscriber = tracing_subscriber::registry().with(Lines::new(aside, || None));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("is being written");
        came.recv().expect("it comes");
        for nth in 0..5 {
            tracing::info!(nth, "waits");
        }
    });
    assert_eq!(counted.lost(), 3);
    drop(go);
    assert!(ending.wait(Duration::from_secs(30)));
    let text = log.text();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("\"nth\":1") && !text.contains("\"nth\":2"));
}

#[test]
fn whoever_ends_does_not_wait_for_ever_either() {
    let (log, (comes, _came), (go, goes)) = (Log::default(), mpsc::channel(), mpsc::channel());
    let (mut aside, ending) = Aside::to(Stuck { log, comes, goes }, 1).expect("a thread");
    for _ in 0..3 {
        aside.write_all(b"line\n").expect("no wait");
    }
    assert!(!ending.wait(Duration::from_millis(20)));
    drop(go);
}
