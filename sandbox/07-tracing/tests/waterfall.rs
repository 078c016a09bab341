//! The picture of a trace: what it looks like, and that nothing odd breaks it.
//!
//! `INSTA_UPDATE=always cargo test -p observability --test waterfall` accepts a change of it.

use observability::spans::{Finished, Kind, Place, SpanId, TraceId, Waterfall};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, SystemTime};

/// A span of the service, from one millisecond to another.
fn span(id: u64, parent: u64, name: &'static str, from: i64, to: i64) -> Finished {
    let millis = |of: i64| Duration::from_millis(of.unsigned_abs());
    let zero = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    Finished {
        place: Place { trace: TraceId(1), span: SpanId(id) },
        parent: (parent > 0).then_some(SpanId(parent)),
        service: "shop".into(),
        name: name.into(),
        kind: Kind::Internal,
        start: if from < 0 { zero - millis(from) } else { zero + millis(from) },
        duration: millis(to - from),
        busy: Duration::ZERO,
        failed: false,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn checkout() -> Vec<Finished> {
    let mut charge = span(6, 5, "ask bank", 230, 290);
    charge.failed = true;
    charge
        .attributes
        .push(("otel.status_description".into(), "no answer\nwithin 60 ms".to_owned()));
    let mut mail = span(9, 1, "send mail", 400, 900);
    mail.attributes.push(("cancelled".into(), "true".to_owned()));
    vec![
        span(1, 0, "POST /checkout", 0, 412),
        span(2, 1, "load cart", 2, 30),
        span(3, 1, "reserve stock", 30, 60),
        span(4, 1, "price", 30, 400),
        span(5, 1, "check card", 30, 300),
        charge,
        span(7, 4, "ask tariff", 40, 390),
        span(8, 7, "parse", 380, 389),
        mail,
    ]
}

#[test]
fn one_step_is_what_all_wait_for() {
    let spans = checkout();
    let waterfall = Waterfall::of(&spans);
    insta::assert_snapshot!(waterfall.text());
    let culprit = waterfall.culprit().expect("there is one");
    assert_eq!((&*culprit.span.name, culprit.times), ("ask tariff", 1));
    assert_eq!(culprit.own, Duration::from_millis(341));
    assert_eq!(culprit.of, Duration::from_millis(412));
}

#[test]
fn a_page_shows_the_same() {
    insta::assert_snapshot!(Waterfall::of(&checkout()).svg());
}

#[test]
fn many_of_one_name_are_folded_and_counted_together() {
    let mut spans = vec![span(1, 0, "GET /orders", 0, 410), span(2, 1, "load orders", 0, 5)];
    spans.extend((0..40).map(|n| {
        let from = 5 + 10 * i64::try_from(n).expect("few");
        let mut of = span(3 + n, 1, "load customer", from, from + 9);
        of.failed = n == 20;
        of
    }));
    let waterfall = Waterfall::of(&spans);
    insta::assert_snapshot!(waterfall.text());
    let culprit = waterfall.culprit().expect("there is one");
    assert_eq!((&*culprit.span.name, culprit.times), ("load customer", 40));
}

#[test]
fn a_clock_that_is_behind_is_set() {
    let mut spans = vec![
        span(1, 0, "POST /checkout", 0, 100),
        span(2, 1, "pay", 10, 90),
        // Two seconds behind.
        span(3, 2, "POST /charges", -1_985, -1_915),
        span(4, 3, "ask bank", -1_980, -1_920),
        // And one that it calls, with the right time.
        span(5, 4, "GET /limits", 25, 35),
        span(6, 2, "sign", 11, 14),
    ];
    for (nth, service) in [(2, "payments"), (3, "payments"), (4, "limits")] {
        spans[nth].service = service.into();
    }
    let waterfall = Waterfall::of(&spans);
    insta::assert_snapshot!(waterfall.text());
    assert_eq!(waterfall.culprit().expect("there is one").span.name, "ask bank");
}

#[test]
fn what_has_no_parent_here_is_shown_at_the_edge() {
    let spans = [
        span(1, 0, "POST /checkout", 0, 100),
        span(2, 77, "lost its parent", 20, 60),
        span(3, 2, "hangs on", 30, 50),
        span(4, 5, "each other's", 70, 80),
        span(5, 4, "parent", 71, 79),
        span(6, 6, "its own", 90, 90),
    ];
    insta::assert_snapshot!(Waterfall::of(&spans).text());
}

#[test]
fn nothing_is_no_picture() {
    assert_eq!(Waterfall::of(&[]).text(), "no spans\n");
    assert!(Waterfall::of(&[]).culprit().is_none());
    assert!(Waterfall::of(&[]).svg().ends_with("</svg>\n"));
    let alone = [span(1, 0, "in no time", 5, 5)];
    assert!(Waterfall::of(&alone).text().contains("in no time"));
    assert!(Waterfall::of(&alone).culprit().is_none());
}

#[test]
fn names_stay_names() {
    let mut odd = span(1, 0, "", 0, 10);
    odd.name = "</text><script>alert('a')</script>&\"\n\u{1b}[31m\u{202e}\0 ".into();
    odd.service = "\u{2028}".into();
    odd.failed = true;
    odd.attributes.push(("error.type".into(), "a\r\nb\u{1b}[2J".to_owned()));
    let spans = [odd, span(2, 1, "of another", 0, 10)];
    let (text, svg) = (Waterfall::of(&spans).text(), Waterfall::of(&spans).svg());
    holds(&text, &svg);
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
}

/// What each picture has to be.
fn holds(text: &str, svg: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
        assert!(!line.ends_with(' '), "spaces at the end: {line}");
        assert!(!line.contains(|letter: char| letter.is_control()), "{line:?}");
    }
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert_eq!(svg.matches("<g>").count(), svg.matches("</g>").count());
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert!(!svg.chars().any(|letter| letter.is_control() && letter != '\n'));
}

#[test]
fn whatever_it_is_given_it_draws() {
    let mut random = StdRng::seed_from_u64(7);
    let times = [
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40),
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    ];
    let services = ["shop", "payments", "a service with a very long name of its own"];
    for _ in 0..300 {
        let many = random.random_range(1..60);
        let spans: Vec<Finished> = (0..many)
            .map(|_| {
                // Ids meet, and point anywhere: to one that is missing, to themselves, in circles.
                let (id, parent) = (random.random_range(1..=many), random.random_range(0..=many));
                let mut of =
                    span(id, parent, ["load", "pay", "ask"][random.random_range(0..3)], 0, 0);
                of.service = services[random.random_range(0..services.len())].into();
                of.start = times[random.random_range(0..times.len())];
                if random.random_bool(0.9) {
                    of.start =
                        times[3] + Duration::from_nanos(random.random_range(0..1_000_000_000));
                }
                of.duration = match random.random_range(0..10) {
                    0 => Duration::ZERO,
                    1 => Duration::MAX,
                    _ => Duration::from_nanos(random.random_range(0..1_000_000_000)),
                };
                of.failed = random.random_bool(0.2);
                of
            })
            .collect();
        let waterfall = Waterfall::of(&spans);
        holds(&waterfall.text(), &waterfall.svg());
        if let Some(culprit) = waterfall.culprit() {
            assert!(culprit.own <= culprit.of);
        }
    }
}

#[test]
fn what_was_waited_for_is_all_of_the_time_and_none_of_it_twice() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..300 {
        // A tree in which each step lies within its parent.
        let mut spans = vec![span(1, 0, "root", 0, 100_000)];
        for id in 2..random.random_range(3..80) {
            let parent = spans[random.random_range(0..spans.len())].clone();
            let long = u64::try_from(parent.duration.as_millis()).expect("short");
            let from = random.random_range(0..=long);
            let mut of = span(id, parent.place.span.0, "step", 0, 0);
            of.start = parent.start + Duration::from_millis(from);
            of.duration = Duration::from_millis(random.random_range(0..=long - from));
            spans.push(of);
        }
        let culprit = Waterfall::of(&spans).culprit().map(|culprit| culprit.of);
        assert_eq!(culprit, Some(Duration::from_secs(100)));
    }
}

#[test]
fn a_thousand_spans_are_a_short_picture() {
    let mut wide = vec![span(1, 0, "root", 0, 2_000)];
    wide.extend((2..=1_000).map(|id| span(id, 1, "load", 0, i64::try_from(id).expect("few"))));
    let text = Waterfall::of(&wide).text();
    assert!(text.contains("… 996 more of the same name"), "{text}");
    assert!(text.lines().count() < 12, "{text}");
    holds(&text, &Waterfall::of(&wide).svg());

    // Each beneath the one before.
    let deep: Vec<Finished> = (1..=1_000).map(|id| span(id, id - 1, "down", 0, 2_000)).collect();
    let text = Waterfall::of(&deep).text();
    assert_eq!(text.lines().filter(|line| line.contains("down")).count(), 1_001, "{text}");
    holds(&text, &Waterfall::of(&deep).svg());
}
