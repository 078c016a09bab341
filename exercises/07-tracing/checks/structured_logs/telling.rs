//! Texts that were made by others: `Debug`, JSON, queries, headers, errors.

use super::scene::{Scene, raise};
use grading::{Finding, World};
use observability::structured_logs::{SECRETS, StructuredLogs};
use std::error::Error;
use std::fmt;

#[derive(Debug)]
#[allow(dead_code)] // they are read by `Debug`
struct SignIn {
    name: &'static str,
    password: &'static str,
    attempts: u32,
    user: User,
}

#[derive(Debug)]
#[allow(dead_code)]
struct User {
    phone: Option<&'static str>,
    address: Address,
    visits: u32,
}

#[derive(Debug)]
#[allow(dead_code)]
struct Address {
    street: &'static str,
    number: u32,
}

#[derive(Debug)]
#[allow(dead_code)]
struct Phones {
    phones: Vec<&'static str>,
    visits: u32,
}

#[derive(Debug)]
struct Password(#[allow(dead_code)] &'static str);

pub(super) async fn in_a_debug<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let address = Address { street: "Ring}weg", number: 77 };
    let user = User { phone: Some("030 7"), address, visits: 12 };
    let it = SignIn { name: "anna", password: r#"correct "horse""#, attempts: 3, user };
    let kept = ["anna", "attempts: 3", "visits: 12"];
    let secrets = ["correct", "horse", "030", "Ring", "77"];
    raise!(scene, info!(request = ?it, "signs in")).hides(&secrets, &kept)?;
    raise!(scene, info!("signs in: {it:?}")).hides(&secrets, &kept)?;
    raise!(scene, info!("signs in: {it:#?}")).hides(&secrets, &["anna", "signs in"])?;
    let newtype = raise!(scene, info!(given = ?Password("hunter2"), lines = 3, "x"));
    newtype.hides(&["hunter2"], &["lines"])?;

    scene.world.history().turn_page();
    let json = r#"{"user":{"email":"at home","apiKey":"k\"7"},"pin":4711,"lines":3}"#;
    let kept = ["lines"];
    raise!(scene, info!(body = json, "x")).hides(&["home", "k\\", "7\\", "4711"], &kept)?;
    // In quotes once more, as a Debug of a text shows it.
    raise!(scene, info!(body = ?json, "x")).hides(&["home", "k\\", "4711"], &kept)?;
    let deep = r#"{"address":{"street":"Ring}weg","no":77},"phones":["030 7","040 8"],"lines":3}"#;
    raise!(scene, info!(body = deep, "x")).hides(&["Ring", "77", "030", "040"], &kept)?;
    let pretty = "{\n  \"password\": \"hunter2\",\n  \"lines\": 3\n}";
    raise!(scene, info!(body = pretty, "x")).hides(&["hunter2"], &kept)?;
    let query = raise!(scene, info!(path = "/in?token=t7t7&lines=3", "x"));
    query.hides(&["t7"], &["/in?", "lines=3"])?;
    let server = raise!(scene, info!("opens {}", "Server=db;Password=hunter2;User Id=sa"));
    server.hides(&["hunter2"], &["Server=db", "User Id=sa"])?;
    let plain = raise!(scene, info!("password: hunter2 is wrong, card=4, lines=3"));
    plain.hides(&["hunter2", "=4"], &["is wrong", "lines=3"])?;
    scene.world.history().turn_page();
    let phone = raise!(scene, info!("calls phone: {}, lines=3", "+49 30 7"));
    phone.hides(&["49", "30 7"], &["lines=3"])?;
    let single = raise!(scene, info!("opens {}", "user='sa' password='correct horse' db='shop'"));
    single.hides(&["correct", "horse"], &["user='sa'", "db='shop'"])?;
    let spaces = raise!(scene, info!("reads {}", "password = hunter2, lines = 3"));
    spaces.hides(&["hunter2"], &["lines = 3"])?;
    let list = Phones { phones: vec!["030 7", "040 8"], visits: 12 };
    raise!(scene, info!(user = ?list, "x")).hides(&["030", "040"], &["visits: 12"])?;
    // As PostgreSQL tells it.
    let key = raise!(scene, error!("failed: {}", "Key (phone)=(+49 30 7) already exists."));
    key.hides(&["49", "30 7"], &["Key (phone)=", " already exists."])?;

    scene.world.history().turn_page();
    for name in SECRETS {
        let event = format!("info!(\"{name}=x7x7\")");
        scene.raise(&event, &mut || tracing::info!("{name}=x7x7")).hides(&["x7"], &[name])?;
    }
    let header =
        "Host: shop\nAuthorization: Basic dXNlcjpwYXNz\nCookie: theme=dark; sid=s7s7\nAge: 3";
    let headers = raise!(scene, info!(headers = header, "x"));
    headers.hides(&["dXNl", "s7s7"], &["Host: shop", "Age: 3"])?;
    let more = "Proxy-Authorization: Digest username=\"anna\", response=\"r7r7\"\nAge: 3\n\
        Set-Cookie: theme=dark; sid=s7s7";
    let headers = raise!(scene, info!(headers = more, "x"));
    headers.hides(&["anna", "r7r7", "s7s7"], &["Age: 3"])
}

/// An error with a source.
#[derive(Debug)]
struct Failed(&'static str, Option<Box<Failed>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

pub(super) async fn in_an_error<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let why = Failed("no stock", Some(Box::new(Failed("timed out", None))));
    let harmless = Failed("checkout failed", Some(Box::new(why)));
    let harmless: &(dyn Error + 'static) = &harmless;
    let told = raise!(scene, error!(error = harmless, "x"));
    told.is("/fields/error", "checkout failed: no stock: timed out")?;
    let refused = Failed("connection to redis://:hunter2@cache refused", None);
    let asked = Failed("no stock for anna@example.org", Some(Box::new(refused)));
    let error = Failed("checkout failed", Some(Box::new(asked)));
    let error: &(dyn Error + 'static) = &error;
    let written = raise!(scene, error!(error, order = 7, "x"));
    let secrets = ["hunter2", "anna", "example.org"];
    written.hides(&secrets, &["checkout failed: no stock for", ": connection to redis://"])?;
    written.is("/fields/order", 7)?;
    raise!(scene, error!(cause = %error, "failed: {}", error.source().map(ToString::to_string).unwrap_or_default()))
        .hides(&secrets, &["checkout failed", "no stock for"])?;
    // What has a name and no look.
    let key = Failed("Key (phone)=(030 7) already exists", None);
    let failed = Failed("not stored", Some(Box::new(key)));
    let error: &(dyn Error + 'static) = &failed;
    raise!(scene, error!(error, "x")).hides(&["030 7"], &["not stored: Key", "already exists"])?;
    let alone = Failed("empty", None);
    let alone: &(dyn Error + 'static) = &alone;
    raise!(scene, error!(error = alone, "x")).is("/fields/error", "empty")
}
