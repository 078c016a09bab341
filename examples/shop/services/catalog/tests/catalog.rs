//! The catalogue, asked over HTTP by its own client, on each pair of ports.

use http::Method;
use shop_cache::Cache;
use shop_catalog::Catalog;
use shop_contracts::catalog::{Category, Client, List, Product};
use shop_contracts::id::ProductId;
use shop_contracts::money::Price;
use shop_contracts::{Kind, Money, Peer, Problem};
use shop_flags::{FaultCatalogDb, Flags, PatternCache};
use shop_service::{Running, Stop, serve_locally};
use testbed::place::Place;
use testbed::redis::Redis;
use testbed::together;

/// Where a test's catalogue keeps its rows, and where its copies.
struct Ports {
    storage: Place,
    /// In memory where there is none.
    cache: Option<Redis>,
}

impl Ports {
    async fn embedded() -> Ports {
        Ports { storage: Place::folder(), cache: None }
    }

    async fn redis() -> Ports {
        Ports { storage: Place::folder(), cache: Some(redis().await) }
    }

    async fn postgres() -> Ports {
        Ports { storage: Place::postgres().await, cache: Some(redis().await) }
    }
}

async fn redis() -> Redis {
    testbed::redis::private().await.unwrap_or_else(|missing| panic!("{missing}"))
}

struct Shop {
    catalog: Client,
    flags: Flags,
    tea: Product,
    _running: Running,
    _stop: Stop,
    _ports: Ports,
}

impl Shop {
    async fn open(ports: Ports) -> Shop {
        let flags = Flags::default();
        let cache = ports.cache.as_ref().map_or("memory:", Redis::url);
        let cache = Cache::open(cache, shop_cache::Options::default()).expect("a cache");
        let catalog =
            Catalog::open(ports.storage.url(), cache, flags.clone()).await.expect("opens");
        let stop = Stop::default();
        let running = serve_locally("catalog", catalog.router(), &stop).await.expect("a port");
        let client = Client(Peer::new("catalog", running.url()));
        let tea = product("Green tea", "tea", 1290);
        let list = List {
            categories: vec![category("tea"), category("cups")],
            products: vec![
                tea.clone(),
                product("Black tea", "tea", 990),
                product("100% cup_of_clay", "cups", 2500),
                product("Tasse für Öl", "cups", 3000),
            ],
        };
        client.take_in(&list).await.expect("taken in");
        Shop { catalog: client, flags, tea, _running: running, _stop: stop, _ports: ports }
    }

    async fn loads(&self) -> u64 {
        self.catalog.counters().await.expect("counters").product_loads
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let page = self.catalog.products(query).await.expect(query);
        page.items.into_iter().map(|product| product.name).collect()
    }
}

fn category(slug: &str) -> Category {
    Category { slug: slug.into(), name: format!("All {slug}") }
}

fn product(name: &str, category: &str, cents: i64) -> Product {
    Product {
        id: ProductId::new(),
        category: category.into(),
        name: name.into(),
        description: format!("{name}, with care."),
        price: Money::euros(cents),
    }
}

fn price(cents: i64) -> Price {
    Price::try_from(Money::euros(cents)).expect("a price")
}

/// Writes each test once for each pair of ports.
macro_rules! places {
    ($($test:ident)*) => {
        places! { @place embedded $($test)* }
        places! { @place redis $($test)* }
        places! { @place postgres $($test)* }
    };
    (@place $place:ident $($test:ident)*) => {
        mod $place {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Shop::open(super::Ports::$place().await).await).await;
            })*
        }
    };
}

places! {
    a_product_is_read_from_the_database_once
    the_switch_decides_while_the_shop_runs
    a_new_price_is_seen_at_once
    the_hot_product_is_loaded_once
    lists_are_filtered_searched_and_paged
    quotes_are_for_known_products_and_never_old
    a_list_that_comes_again_changes_what_changed
    what_is_wrong_is_refused_and_said
}

const SWITCHES: [PatternCache; 3] =
    [PatternCache::Off, PatternCache::CacheAside, PatternCache::Stampede];

async fn a_product_is_read_from_the_database_once(shop: Shop) {
    for _ in 0..5 {
        assert_eq!(shop.catalog.product(shop.tea.id).await.expect("tea"), shop.tea);
    }
    assert_eq!(shop.loads().await, 1);
}

async fn the_switch_decides_while_the_shop_runs(shop: Shop) {
    for (switch, loads) in [
        (PatternCache::Off, 3),
        (PatternCache::CacheAside, 1),
        (PatternCache::Off, 3),
        (PatternCache::Stampede, 1),
    ] {
        shop.flags.set(switch);
        shop.catalog.set_price(shop.tea.id, price(1290)).await.expect("forgotten");
        let before = shop.loads().await;
        for _ in 0..3 {
            shop.catalog.product(shop.tea.id).await.expect("tea");
        }
        assert_eq!(shop.loads().await - before, loads, "{switch:?}");
    }
}

async fn a_new_price_is_seen_at_once(shop: Shop) {
    for (cents, switch) in (1..).zip(SWITCHES) {
        shop.flags.set(switch);
        shop.catalog.product(shop.tea.id).await.expect("tea");
        let set = shop.catalog.set_price(shop.tea.id, price(cents)).await.expect("a new price");
        let read = shop.catalog.product(shop.tea.id).await.expect("tea");
        assert_eq!((set.price, read.price), (Money::euros(cents), Money::euros(cents)));
    }
}

async fn the_hot_product_is_loaded_once(shop: Shop) {
    shop.flags.set(FaultCatalogDb::Slow);
    let readers = (0..50).map(|_| {
        let (catalog, id) = (shop.catalog.clone(), shop.tea.id);
        async move { catalog.product(id).await.expect("tea") }
    });
    together(readers).await;
    assert_eq!(shop.loads().await, 1);
}

async fn lists_are_filtered_searched_and_paged(shop: Shop) {
    let all = ["100% cup_of_clay", "Black tea", "Green tea", "Tasse für Öl"];
    assert_eq!(shop.names("").await, all);
    assert_eq!(shop.names("category=tea").await, all[1..3]);
    assert_eq!(shop.names("q=TEA").await, all[1..3]);
    assert_eq!(shop.names("q=%C3%96L").await, all[3..], "beyond ASCII, too");
    assert_eq!(shop.names("q=100%25").await, all[..1], "a percent sign is a letter");
    assert_eq!(shop.names("q=p_o").await, all[..1], "and so is an underscore");
    assert_eq!(shop.names("q=!").await, [""; 0]);
    assert_eq!(shop.names("q=tea&category=cups").await, [""; 0]);
    let page = shop.catalog.products("size=3&page=2").await.expect("a page");
    assert_eq!((page.items.len(), page.total, page.page, page.size), (1, 4, 2, 3));
    assert_eq!(shop.names("page=10000").await, [""; 0]);
    let slugs = shop.catalog.categories().await.expect("categories");
    assert_eq!(slugs, [category("cups"), category("tea")]);
}

async fn quotes_are_for_known_products_and_never_old(shop: Shop) {
    shop.catalog.product(shop.tea.id).await.expect("a copy is kept");
    let quotes = shop.catalog.quotes(vec![shop.tea.id, ProductId::new()]).await.expect("quotes");
    assert_eq!(quotes.len(), 1);
    assert_eq!((quotes[0].product, quotes[0].price), (shop.tea.id, shop.tea.price));
    assert!(shop.catalog.quotes(vec![]).await.expect("none").is_empty());
}

async fn a_list_that_comes_again_changes_what_changed(shop: Shop) {
    shop.catalog.product(shop.tea.id).await.expect("a copy is kept");
    let changed = Product { name: "Greener tea".into(), ..shop.tea.clone() };
    let list = List { categories: vec![], products: vec![changed.clone()] };
    shop.catalog.take_in(&list).await.expect("taken in");
    assert_eq!(shop.catalog.product(shop.tea.id).await.expect("tea"), changed);
    assert_eq!(shop.names("q=greener").await, ["Greener tea"]);
    assert_eq!(shop.catalog.counters().await.expect("counters").products, 4);
}

async fn what_is_wrong_is_refused_and_said(shop: Shop) {
    let unknown = ProductId::new();
    let missing = shop.catalog.product(unknown).await.expect_err("unknown");
    assert!(missing.is(Kind::NotFound) && missing.to_string().contains(&unknown.to_string()));
    assert!(
        shop.catalog.set_price(unknown, price(1)).await.expect_err("unknown").is(Kind::NotFound)
    );
    for query in [
        "page=0",
        "page=10001",
        "page=x",
        "page=-1",
        "size=0",
        "size=101",
        "q=",
        "category=Tea",
        "colour=green",
        "q=%00",
    ] {
        let refused = shop.catalog.products(query).await.expect_err(query);
        assert!(refused.is(Kind::Invalid), "{query}: {refused:?}");
    }
    let asked = async |method, path: &str, body: &serde_json::Value| -> Problem {
        let answer = shop.catalog.0.call::<serde_json::Value>(method, path, Some(body)).await;
        answer.expect_err(path)
    };
    let path = format!("/products/{}/price", shop.tea.id);
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"price": {"amount": 0, "currency": "EUR"}}),
        serde_json::json!({"price": {"amount": 1, "currency": "USD"}}),
        serde_json::json!({"price": {"amount": 1.5, "currency": "EUR"}}),
    ] {
        assert!(asked(Method::PUT, &path, &wrong).await.is(Kind::Invalid), "{wrong}");
    }
    let nowhere = serde_json::json!({});
    assert!(asked(Method::PUT, "/products/x/price", &nowhere).await.is(Kind::Invalid));
    assert!(asked(Method::DELETE, "/categories", &nowhere).await.is(Kind::MethodNotAllowed));
    assert!(asked(Method::POST, "/nothing", &nowhere).await.is(Kind::NotFound));
    let orphan = List { categories: vec![], products: vec![product("Ghost", "nowhere", 1)] };
    assert!(shop.catalog.take_in(&orphan).await.expect_err("no category").is(Kind::Invalid));
    assert_eq!(shop.catalog.product(shop.tea.id).await.expect("unharmed"), shop.tea);
}
