use super::*;
use std::collections::HashSet;
use std::time::{Duration, Instant};

#[test]
fn the_same_seed_gives_the_same_list() {
    assert_eq!(list(7, 500), list(7, 500));
}

#[test]
fn the_list_of_a_seed_is_the_same_for_ever() {
    // Whoever changes the words or the drawing changes everybody's shop, and every stored figure.
    // Then this line is to be changed as well, knowingly.
    let first = &list(1, 3).products[0];
    assert_eq!((first.id.to_string().as_str(), first.name.as_str(), first.price), FIRST_OF_ONE);
}

const FIRST_OF_ONE: (&str, &str, i64) =
    ("019b76da-a800-79b0-9c0c-2230d8fdf240", "Lathering lavender bath salt", 1499);

#[test]
fn another_seed_gives_another_list() {
    let (one, two) = (list(1, 500), list(2, 500));
    assert_eq!(one.categories, two.categories);
    let pairs = || one.products.iter().zip(&two.products);
    assert!(pairs().all(|(one, two)| one.id != two.id));
    assert!(pairs().filter(|(one, two)| one.name == two.name).count() < 10);
    assert!(pairs().filter(|(one, two)| one.category == two.category).count() < 100);
}

#[test]
fn ids_rise_and_are_of_version_seven() {
    let products = list(1, USUAL_SIZE).products;
    assert_eq!(products.len(), USUAL_SIZE);
    assert!(products.is_sorted_by(|before, after| before.id < after.id));
    assert!(products.iter().all(|product| product.id.get_version_num() == 7));
}

#[test]
fn no_name_is_there_twice_also_where_words_run_out() {
    for (seed, size) in [(1, USUAL_SIZE), (2, USUAL_SIZE), (1, 30_000)] {
        let products = list(seed, size).products;
        let names: HashSet<_> = products.iter().map(|product| &product.name).collect();
        assert_eq!(names.len(), size);
    }
}

#[test]
fn the_usual_list_needs_no_numbers_in_its_names() {
    for seed in 1..=5 {
        let products = list(seed, USUAL_SIZE).products;
        assert_eq!(products.iter().find(|product| product.name.contains(", no. ")), None);
    }
}

#[test]
fn prices_stocks_and_descriptions_keep_their_bounds() {
    for seed in 1..=5 {
        for product in list(seed, USUAL_SIZE).products {
            assert!((MIN_PRICE..=MAX_PRICE).contains(&product.price), "{product:?}");
            assert!(matches!(product.price % 100, 0 | 90 | 99), "{product:?}");
            assert!((MIN_STOCK..=MAX_STOCK).contains(&product.stock), "{product:?}");
            assert!(product.description.chars().count() <= 300, "{product:?}");
            assert!(product.description.ends_with('.'), "{product:?}");
        }
    }
}

#[test]
fn prices_spread_as_those_of_a_shop_do() {
    let mut prices: Vec<i64> = list(1, USUAL_SIZE).products.iter().map(|it| it.price).collect();
    prices.sort_unstable();
    let (tenth, half, tenth_from_above) =
        (prices[prices.len() / 10], prices[prices.len() / 2], prices[prices.len() * 9 / 10]);
    assert!((500..2_000).contains(&tenth), "{tenth}");
    assert!((1_500..5_000).contains(&half), "{half}");
    assert!((5_000..25_000).contains(&tenth_from_above), "{tenth_from_above}");
}

#[test]
fn every_category_is_used_evenly_and_popular_ranks_mix_them() {
    let Catalogue { categories, products } = list(1, USUAL_SIZE);
    assert!(categories.is_sorted_by(|before, after| before.slug < after.slug));
    for category in &categories {
        let here = products.iter().filter(|product| product.category == category.slug).count();
        assert_eq!(here, USUAL_SIZE / categories.len(), "{}", category.slug);
    }
    let popular: HashSet<_> = products[..60].iter().map(|product| product.category).collect();
    assert!(popular.len() > categories.len() / 2, "{popular:?}");
}

#[test]
fn small_lists_are_lists_too() {
    assert_eq!(list(1, 0).products, []);
    assert_eq!(list(1, 1).products.len(), 1);
}

#[test]
fn nobody_waits_for_the_list() {
    let fastest = (0..5)
        .map(|seed| {
            let before = Instant::now();
            assert_eq!(list(seed, USUAL_SIZE).products.len(), USUAL_SIZE);
            before.elapsed()
        })
        .min()
        .unwrap();
    // Measured: 6 ms unoptimised. Ten times that is something else.
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}
