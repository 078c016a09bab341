//! Known scrapes, and what lies between them.

use std::time::{Duration, Instant};

use observability::metrics::text::samples;

use super::Figures;
use super::red::Red;
use super::scrape::{Answer, Scrape};

/// One series of the durations: how many took up to 5 ms, 100 ms, 1 s, 10 s, and any time. An exemplar
/// stands at the bucket of its place.
fn durations(
    method: &str,
    route: &str,
    status: u16,
    counts: [u32; 5],
    exemplars: &[(usize, &str, f64)],
) -> String {
    let labels = format!(
        "http_route=\"{route}\",http_request_method=\"{method}\",http_response_status_code=\"{status}\""
    );
    let mut text = String::new();
    for (at, le) in ["0.005", "0.1", "1.0", "10.0", "+Inf"].into_iter().enumerate() {
        let line = format!(
            "http_server_request_duration_seconds_bucket{{{labels},le=\"{le}\"}} {}",
            counts[at]
        );
        text.push_str(&line);
        if let Some((_, trace, value)) = exemplars.iter().find(|(bucket, ..)| *bucket == at) {
            text.push_str(&format!(" # {{trace_id=\"{trace}\"}} {value} 1600000000.5"));
        }
        text.push('\n');
    }
    let all = counts[4];
    text + &format!("http_server_request_duration_seconds_count{{{labels}}} {all}\n")
}

fn scrape(at: Instant, answers: &[(&'static str, Result<String, &str>)]) -> Scrape {
    let answer = |(service, text): &(&'static str, Result<String, &str>)| {
        let samples = text.as_ref().map(|text| samples(text).expect("metrics"));
        let samples = samples.map_err(|why| (*why).to_owned());
        Answer { service, at, samples }
    };
    Scrape(answers.iter().map(answer).collect())
}

/// What lies between two scrapes of one service, two seconds apart.
fn of_one(before: &str, now: &str) -> Figures {
    let begun = Instant::now();
    let later = begun + Duration::from_secs(2);
    Figures::between(
        &scrape(begun, &[("gateway", Ok(before.to_owned()))]),
        &scrape(later, &[("gateway", Ok(now.to_owned()))]),
    )
}

fn red(figures: &Figures) -> &Red {
    figures.services[0].red.as_ref().expect("it answered both times")
}

#[test]
fn rates_errors_and_durations_are_those_of_the_time_between() {
    let before = durations("GET", "/a", 200, [90, 100, 100, 100, 100], &[])
        + &durations("POST", "/b", 201, [0, 0, 0, 10, 10], &[])
        + "http_server_active_requests 9\n";
    // Forty more of one, half of them fast; of the other none; and ten of a status that is new.
    let now = durations("GET", "/a", 200, [110, 140, 140, 140, 140], &[])
        + &durations("POST", "/b", 201, [0, 0, 0, 10, 10], &[])
        + &durations("GET", "/a", 503, [0, 0, 10, 10, 10], &[])
        + &durations("GET", "/a", 499, [0, 10, 10, 10, 10], &[])
        + "http_server_active_requests 3\n";
    let figures = of_one(&before, &now);
    assert_eq!(figures.seconds, 2.0);
    let red = red(&figures);
    assert_eq!((red.requests_a_second, red.errors_a_second), (30.0, 5.0));
    assert!((red.errors_percent - 100.0 / 6.0).abs() < 1e-9, "499 is nobody's error: {red:?}");
    // 20 in the first bucket, 30 in the second, 10 in the third: the 30th and the 59.4th of 60.
    let p50 = 5.0 + (100.0 - 5.0) * 10.0 / 30.0;
    let p99 = 100.0 + (1000.0 - 100.0) * 9.4 / 10.0;
    assert!((red.p50_ms.expect("some ended") - p50).abs() < 1e-9, "{red:?}");
    assert!((red.p99_ms.expect("some ended") - p99).abs() < 1e-9, "{red:?}");
    assert_eq!(red.under_way, 3);
    // Of what nobody asked for in this time nothing is told.
    let routes: Vec<_> = figures.slowest.iter().map(|route| route.route.as_str()).collect();
    assert_eq!(routes, ["/a"]);
    assert_eq!(figures.slowest[0].requests_a_second, 30.0);
}

#[test]
fn without_a_request_there_is_no_duration_and_no_error() {
    let same = durations("GET", "/a", 500, [0, 5, 5, 5, 5], &[(1, "old", 0.09)]);
    let figures = of_one(&same, &same);
    let red = red(&figures);
    assert_eq!((red.requests_a_second, red.errors_percent), (0.0, 0.0));
    assert_eq!((red.p50_ms, red.p99_ms), (None, None));
    assert!(figures.slowest.is_empty());
    let json = serde_json::to_value(&figures).expect("JSON");
    assert!(json["services"][0]["p99_ms"].is_null(), "{json}");
}

#[test]
fn a_service_that_was_restarted_has_counted_from_zero() {
    let before = durations("GET", "/a", 200, [50, 50, 50, 50, 50], &[]);
    let now = durations("GET", "/a", 200, [0, 8, 8, 8, 8], &[]);
    let figures = of_one(&before, &now);
    assert_eq!(red(&figures).requests_a_second, 4.0);
    assert!(red(&figures).p50_ms.expect("some ended") > 5.0);
}

#[test]
fn the_slowest_five_each_name_one_of_this_time() {
    let route = |nth: usize| format!("/{nth}");
    let mut before = String::new();
    let mut now = String::new();
    for nth in 0..7_usize {
        // The higher the number, the more of ten are slow.
        let fast = 10 - u32::try_from(nth).expect("small");
        before += &durations("GET", &route(nth), 200, [0, 0, 0, 0, 0], &[(2, "old", 0.99)]);
        let exemplars = [(2, "old", 0.99), (1, "quick", 0.07), (3, "slow", 2.5)];
        let exemplars = if nth == 3 { &exemplars[..2] } else { &exemplars[..] };
        now += &durations("GET", &route(nth), 200, [0, fast, fast, 10, 10], exemplars);
    }
    let figures = of_one(&before, &now);
    let told: Vec<_> = figures.slowest.iter().map(|route| route.route.as_str()).collect();
    // The fuller a bucket is, the higher its 99th of a hundred lies.
    assert_eq!(told, ["/6", "/5", "/4", "/3", "/2"]);
    assert!(figures.slowest.iter().is_sorted_by(|one, next| one.p99_ms >= next.p99_ms));
    for route in &figures.slowest {
        // What was there before is of another time, however slow it was.
        let expected = if route.route == "/3" { "quick" } else { "slow" };
        assert_eq!(route.trace.as_deref(), Some(expected), "{route:?}");
    }
}

#[test]
fn what_has_become_slower_is_told_and_what_was_slow_is_not() {
    let all = |route: &str, before: [u32; 5], more: [u32; 5]| {
        let now = std::array::from_fn(|bucket| before[bucket] + more[bucket]);
        [before, now].map(|counts| durations("GET", route, 200, counts, &[]))
    };
    let routes = [
        // From 2.5 ms to 550 ms, and from 2.5 ms to 5.5 s: the second is the first to look at.
        all("/slower", [9, 9, 9, 9, 9], [0, 0, 4, 4, 4]),
        all("/slowest", [9, 9, 9, 9, 9], [0, 0, 0, 4, 4]),
        all("/as_ever", [0, 0, 0, 9, 9], [0, 0, 0, 4, 4]),
        // One of four is no median.
        all("/one", [9, 9, 9, 9, 9], [3, 3, 4, 4, 4]),
        // Ten times as long, and nobody notices.
        all("/unnoticed", [9, 9, 9, 9, 9], [0, 4, 4, 4, 4]),
        all("/few", [9, 9, 9, 9, 9], [0, 0, 2, 2, 2]),
        all("/few_before", [2, 2, 2, 2, 2], [0, 0, 4, 4, 4]),
        all("/new", [0, 0, 0, 0, 0], [0, 0, 4, 4, 4]),
    ];
    let [before, now] = [0, 1].map(|when| routes.iter().map(|one| &*one[when]).collect::<String>());
    let figures = of_one(&before, &now);
    let told = figures.slower.iter().map(|one| (&*one.route, one.usual_ms, one.p50_ms));
    assert_eq!(
        Vec::from_iter(told),
        [("/slowest", Some(2.5), 5500.0), ("/slower", Some(2.5), 550.0)],
    );
}

#[test]
fn an_exemplar_that_is_old_is_none() {
    let before = durations("GET", "/a", 200, [0, 1, 1, 1, 1], &[(1, "old", 0.09)]);
    let now = durations("GET", "/a", 200, [0, 9, 9, 9, 9], &[(1, "old", 0.09)]);
    let figures = of_one(&before, &now);
    assert_eq!(figures.slowest[0].trace, None, "none of this time was recorded");
}

#[test]
fn who_is_away_says_why_and_who_has_come_has_no_rate_yet() {
    let begun = Instant::now();
    let text = durations("GET", "/a", 200, [9, 9, 9, 9, 9], &[]) + "outbox_waiting 4\n";
    let before = [("gateway", Ok(text.clone())), ("orders", Err("gone")), ("carts", Err("gone"))];
    let now = [("gateway", Err("is not there")), ("orders", Ok(text)), ("carts", Err("gone"))];
    let later = begun + Duration::from_secs(1);
    let figures = Figures::between(&scrape(begun, &before), &scrape(later, &now));
    let told: Vec<_> = figures
        .services
        .iter()
        .map(|service| (service.service, service.away.as_deref(), service.red.is_some()))
        .collect();
    let gone = Some("gone");
    let expected =
        [("gateway", Some("is not there"), false), ("orders", None, false), ("carts", gone, false)];
    assert_eq!(told, expected);
    let waiting: Vec<_> =
        figures.outboxes.iter().map(|outbox| (outbox.service, outbox.waiting)).collect();
    assert_eq!(waiting, [("orders", 4)], "how full it is is known at once");
    assert!(scrape(begun, &now).is_of_a_shop().is_ok());
    let nobody = scrape(begun, &[("gateway", Err("is not there")), ("carts", Err("gone"))]);
    let said = nobody.is_of_a_shop().expect_err("nobody answered").to_string();
    assert!(said.contains("is not there") && said.contains("next: cargo run -p shop -- up"));
}

#[test]
fn what_is_full_is_told_and_what_is_well_is_not() {
    let text = |refused: u32, by: &str| {
        format!(
            "breaker_state{{to=\"payments\",method=\"PUT\",state=\"closed\"}} 0\n\
             breaker_state{{to=\"payments\",method=\"PUT\",state=\"open\"}} 1\n\
             breaker_state{{to=\"payments\",method=\"GET\",state=\"closed\"}} 1\n\
             breaker_state{{to=\"payments\",method=\"GET\",state=\"open\"}} 0\n\
             breaker_calls_total{{to=\"payments\",method=\"PUT\",outcome=\"refused\"}} {refused}\n\
             breaker_calls_total{{to=\"payments\",method=\"GET\",outcome=\"refused\"}} {by}\n\
             bulkhead_in_use{{to=\"payments\"}} 16\n\
             bulkhead_waiting{{to=\"payments\"}} 5\n\
             bulkhead_refused_total{{to=\"payments\"}} {by}\n\
             bulkhead_in_use{{to=\"carts\"}} 1\n\
             bulkhead_waiting{{to=\"carts\"}} 0\n\
             bulkhead_refused_total{{to=\"carts\"}} 0\n\
             limiter_decisions_total{{decision=\"allowed\"}} {refused}\n\
             limiter_decisions_total{{decision=\"refused\"}} {by}\n\
             gateway_places{{state=\"taken\"}} 2\n\
             gateway_places{{state=\"free\"}} 98\n\
             gateway_places{{state=\"waiting\"}} 1\n\
             orders{{state=\"confirmed\"}} {refused}\n\
             orders{{state=\"open\"}} {by}\n\
             queue_depth{{queue=\"notifications\"}} {by}\n\
             queue_dead{{queue=\"notifications\"}} 1\n\
             cache_reads_total{{outcome=\"hit\"}} {refused}\n\
             cache_reads_total{{outcome=\"miss\"}} {by}\n\
             saga_steps_total{{step=\"charge\",what=\"do\",outcome=\"done\"}} {refused}\n\
             database_connections_in_use{{pool=\"write\"}} 1\n\
             database_connections_most{{pool=\"write\"}} 1\n\
             database_waiting 3\n"
        )
    };
    let figures = of_one(&text(10, "4"), &text(40, "14"));
    let [breaker] = &figures.breakers[..] else { panic!("{:?}", figures.breakers) };
    assert_eq!((breaker.from, breaker.to.as_str()), ("gateway", "payments"));
    assert_eq!((breaker.method.as_str(), breaker.state.as_str()), ("PUT", "open"));
    assert_eq!(breaker.refused_a_second, 15.0);
    let [bulkhead] = &figures.bulkheads[..] else { panic!("{:?}", figures.bulkheads) };
    assert_eq!((bulkhead.to.as_str(), bulkhead.in_use, bulkhead.waiting), ("payments", 16, 5));
    assert_eq!(bulkhead.refused_a_second, 5.0);
    let limiter = figures.limiter.expect("a limiter");
    assert_eq!((limiter.allowed_a_second, limiter.refused_a_second), (15.0, 5.0));
    let places = figures.places.expect("places");
    assert_eq!((places.taken, places.all, places.waiting), (2, 100, 1));
    let orders: Vec<_> = figures.orders.iter().map(|of| (of.orders, of.more_a_second)).collect();
    assert_eq!(orders, [(40, 15.0), (14, 5.0)]);
    let queue = &figures.queues[0];
    assert_eq!((queue.queue.as_str(), queue.waiting, queue.dead), ("notifications", 14, 1));
    let cache = figures.cache.expect("a cache");
    assert_eq!((cache.reads_a_second, cache.hits_percent), (20.0, Some(75.0)));
    assert_eq!(figures.saga_steps[0].attempts_a_second, 15.0);
    let pool = &figures.databases[0];
    assert_eq!((pool.pool.as_str(), pool.in_use, pool.most), ("write", 1, 1));
    assert_eq!(figures.writers[0].waiting, 3);
}

#[test]
fn fewer_of_something_is_no_restart() {
    let figures = of_one("orders{state=\"open\"} 9\n", "orders{state=\"open\"} 5\n");
    assert_eq!(figures.orders[0].more_a_second, -2.0);
}
