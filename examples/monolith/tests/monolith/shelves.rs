//! What is for sale, and what people think of it.

use std::collections::HashSet;

use http::Method;
use monolith::reviews::Review;
use serde_json::json;
use shop_contracts::Kind;
use shop_contracts::catalog::{Category, Product};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use testbed::place::Place;

use crate::place::sides;
use crate::shop::Shop;

sides! {
    the_suppliers_list_is_on_the_shelves
    a_page_holds_what_was_asked_for
    a_second_seeding_changes_nothing
    a_customer_reviews_a_product_once
}

async fn the_suppliers_list_is_on_the_shelves(place: Place) {
    let shop = Shop::open(place).await;
    let categories: Vec<Category> = shop.peer.get("/api/categories").await.expect("categories");
    let slugs: Vec<_> = categories.iter().map(|category| category.slug.as_str()).collect();
    let expected: Vec<_> = shop.list.categories.iter().map(|category| category.slug).collect();
    assert_eq!(slugs, expected);

    let listing = &shop.list.products[3];
    let product: Product =
        shop.peer.get(&format!("/api/products/{}", listing.id)).await.expect("a product");
    assert_eq!(product.id, ProductId(listing.id));
    assert_eq!((&product.name, product.price.amount), (&listing.name, listing.price));
    assert_eq!(
        (&product.description, product.category.as_str()),
        (&listing.description, listing.category)
    );

    for (path, kind) in [
        (format!("/api/products/{}", ProductId::new()), Kind::NotFound),
        ("/api/products/7".to_owned(), Kind::Invalid),
    ] {
        let refused = shop.peer.get::<Product>(&path).await.expect_err(&path);
        assert!(refused.is(kind), "{path}: {refused}");
    }
}

async fn a_page_holds_what_was_asked_for(place: Place) {
    let shop = Shop::open(place).await;
    let page =
        async |query: &str| shop.peer.get::<Page<Product>>(&format!("/api/products?{query}")).await;
    let mut seen = HashSet::new();
    for number in 1..=3 {
        let page = page(&format!("page={number}&size=25")).await.expect("a page");
        assert_eq!((page.total, page.page, page.size), (60, number, 25));
        seen.extend(page.items.into_iter().map(|product| product.id));
    }
    assert_eq!(seen.len(), 60, "each is on one page");
    assert_eq!(page("page=4&size=25").await.expect("a page").items, []);
    assert_eq!(page("").await.expect("a page").items.len(), 20);

    let slug = shop.list.categories[0].slug;
    let shelf = page(&format!("category={slug}&size=100")).await.expect("a page");
    let listed = shop.list.products.iter().filter(|listing| listing.category == slug).count();
    assert_eq!(shelf.items.len(), listed);
    assert!(shelf.items.iter().all(|product| product.category == slug));
    assert_eq!(page("category=nothing").await.expect("a page").total, 0);

    let word = shop.list.products[0].name.split(' ').next().expect("a word");
    for word in [word.to_owned(), word.to_uppercase()] {
        let found = page(&format!("q={word}&size=100")).await.expect("a page");
        let among = |name: &str| name.to_lowercase().contains(&word.to_lowercase());
        let listed = shop.list.products.iter().filter(|listing| among(&listing.name)).count();
        assert_eq!(found.items.len(), listed, "{word}");
    }
    // Wildcards are characters like others.
    for q in ["%25", "_", "!", "%27"] {
        assert_eq!(page(&format!("q={q}")).await.expect("a page").total, 0, "{q}");
    }
    for query in ["page=0", "page=x", "size=101", "size=-1", "category=A", "q=", "q=%00", "p=1"] {
        let refused = page(query).await.expect_err(query);
        assert!(refused.is(Kind::Invalid), "{query}: {refused}");
    }
}

async fn a_second_seeding_changes_nothing(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    buyer.checkout().await.expect("an order");
    let before = shop.books().await;
    assert!(!shop.monolith.is_empty().await.expect("an answer"));
    shop.monolith.seed(&shop.list).await.expect("nothing to do");
    assert_eq!(shop.books().await, before);
}

async fn a_customer_reviews_a_product_once(place: Place) {
    let shop = Shop::open(place).await;
    let (ada, bob) =
        (shop.customer("ada@example.org").await, shop.customer("bob@example.org").await);
    let path = format!("/api/products/{}/reviews", shop.product(0));
    let review = json!({"stars": 4, "words": "Sturdy.\nHeavy."});
    let written: Review =
        ada.ask(Method::POST, &path, Some(&review)).await.expect("a first review");
    assert_eq!((i64::from(written.stars), written.by.as_str()), (4, "Somebody"));
    let again = ada.ask::<Review>(Method::POST, &path, Some(&review)).await.expect_err("a second");
    assert!(again.is(Kind::Taken), "{again}");
    let other: Review = bob.ask(Method::POST, &path, Some(&review)).await.expect("another's");

    let page: Page<Review> = shop.peer.get(&path).await.expect("reviews");
    assert_eq!((page.items, page.total), (vec![other, written.clone()], 2));
    let page: Page<Review> =
        shop.peer.get(&format!("{path}?page=2&size=1")).await.expect("reviews");
    assert_eq!((page.items, page.total), (vec![written], 2));

    for wrong in [
        json!({"stars": 0, "words": "No."}),
        json!({"stars": 6, "words": "No."}),
        json!({"stars": "5", "words": "No."}),
        json!({"stars": 5, "words": " "}),
        json!({"stars": 5, "words": "a".repeat(2001)}),
        json!({"stars": 5, "words": "A\u{0}."}),
        json!({"stars": 5}),
        json!({"stars": 5, "words": "No.", "by": "Bob"}),
    ] {
        let refused = ada.ask::<Review>(Method::POST, &path, Some(&wrong)).await;
        assert!(refused.as_ref().is_err_and(|problem| problem.is(Kind::Invalid)), "{wrong}");
    }
    let unknown = format!("/api/products/{}/reviews", ProductId::new());
    let refused = ada.ask::<Review>(Method::POST, &unknown, Some(&review)).await.expect_err("none");
    assert!(refused.is(Kind::NotFound), "{refused}");
    let refused = shop.peer.get::<Page<Review>>(&unknown).await.expect_err("none");
    assert!(refused.is(Kind::NotFound), "{refused}");
    let refused = shop.peer.call::<Review>(Method::POST, &path, Some(&review)).await;
    assert!(refused.expect_err("nobody").is(Kind::Unauthorized));
}
