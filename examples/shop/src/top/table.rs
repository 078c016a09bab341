//! The figures of a time, for people.

use super::Figures;
use super::full::{Orders, Places};
use super::growth::sum;
use super::red::{LONGEST_MS, Route, Service};

/// The widest name of a route that fits beside its figures.
const WIDEST: usize = 50;

/// The gap between two figures of one line.
const AND: &str = " · ";

/// The most that is told in one line.
const LINE: usize = 64;

/// Prints all of it, with at most so many routes: those first that have become slower.
pub(crate) fn print(figures: &Figures, routes: usize) {
    services(&figures.services);
    let changed = figures.slower.len().min(routes);
    slower(&figures.slower[..changed]);
    // A heading of their own takes the place of a route.
    let left = routes - changed.saturating_add(usize::from(changed > 0)).min(routes);
    slowest(&figures.slowest[..figures.slowest.len().min(left)]);
    page::gap();
    resources(figures);
}

fn services(services: &[Service]) {
    let heads = ["service", "req/s", "5xx/s", "5xx", "p50", "p99", "under way"];
    let rows: Vec<_> = services.iter().map(row).collect();
    page::grid(&heads, &rows);
    for service in services {
        if let Some(why) = &service.away {
            page::alarm(format_args!("{} is away: {why}", service.service));
        }
    }
}

fn row(service: &Service) -> Vec<String> {
    let name = service.service.to_owned();
    let Some(red) = &service.red else {
        let told = if service.away.is_some() { "away" } else { "new" };
        let dashes = std::iter::repeat_n("-".to_owned(), 5);
        return [name, told.to_owned()].into_iter().chain(dashes).collect();
    };
    vec![
        name,
        rate(red.requests_a_second),
        rate(red.errors_a_second),
        format!("{:.1}%", red.errors_percent),
        time(red.p50_ms),
        time(red.p99_ms),
        page::count(red.under_way),
    ]
}

fn slower(all: &[Route]) {
    routes(all, ["slower than before", "usual", "p50"], |of| {
        [time(of.usual_ms), time(Some(of.p50_ms))]
    });
}

fn slowest(all: &[Route]) {
    routes(all, ["slowest routes", "req/s", "p99"], |of| {
        [rate(of.requests_a_second), time(Some(of.p99_ms))]
    });
}

/// Nothing, where there are none.
fn routes(all: &[Route], heads: [&str; 3], figures: impl Fn(&Route) -> [String; 2]) {
    let mut rows = Vec::new();
    for of in all {
        let name = cut(&format!("{} {} {}", of.service, of.method, of.route), WIDEST);
        rows.push([vec![name], figures(of).to_vec()].concat());
        rows.extend(of.trace.iter().map(|trace| vec![format!("  trace {trace}")]));
    }
    if !rows.is_empty() {
        page::grid(&heads, &rows);
    }
}

fn resources(figures: &Figures) {
    let orders = |orders: &Orders| match orders.state.as_str() {
        "open" => format!("{} open", page::count(orders.orders)),
        state => {
            format!("{} {state}, {}/s", page::count(orders.orders), rate(orders.more_a_second))
        }
    };
    told("orders", figures.orders.iter().map(orders));
    let failed = |outcome: &str| matches!(outcome, "refused" | "not_done" | "unclear");
    let steps = |wanted: &dyn Fn(&str) -> bool| {
        let steps = figures.saga_steps.iter().filter(|step| wanted(&step.outcome));
        sum(steps.map(|step| step.attempts_a_second))
    };
    if !figures.saga_steps.is_empty() {
        let (all, of_them) = (rate(steps(&|_| true)), rate(steps(&failed)));
        told("sagas", [format!("{all} attempts of a step/s"), format!("{of_them} failed/s")]);
    }
    if let Some(cache) = &figures.cache {
        let hits = cache.hits_percent.map(|hits| format!("{hits:.1}% hits"));
        told("cache", [format!("{} reads/s", rate(cache.reads_a_second))].into_iter().chain(hits));
    }
    let waits = |name: &str, waiting: u64| format!("{name} {}", page::count(waiting));
    told("outboxes", figures.outboxes.iter().map(|outbox| waits(outbox.service, outbox.waiting)));
    let queue = |name: &str, waiting, dead: u64| match dead {
        0 => waits(name, waiting),
        dead => format!("{}, {} dead", waits(name, waiting), page::count(dead)),
    };
    let queues = figures.queues.iter().map(|one| queue(&one.queue, one.waiting, one.dead));
    told("queues", queues);
    let used = figures.databases.iter().filter(|pool| pool.in_use > 0);
    let used: Vec<_> = used
        .map(|pool| format!("{} {} {} of {}", pool.service, pool.pool, pool.in_use, pool.most))
        .collect();
    let writers = figures.writers.iter().filter(|writers| writers.waiting > 0);
    let writers = writers.map(|writers| format!("{} {} wait", writers.service, writers.waiting));
    let used: Vec<_> = used.into_iter().chain(writers).collect();
    match used.is_empty() {
        true => told("databases", ["nobody is at work".to_owned()]),
        false => told("databases", used),
    }
    if let Some(Places { taken, all, waiting }) = &figures.places {
        let (taken, all) = (page::count(*taken), page::count(*all));
        told("places", [format!("{taken} of {all} taken"), format!("{waiting} wait")]);
    }
    if let Some(limiter) = &figures.limiter {
        let outage = limiter.by_outage_a_second;
        let outage = (outage > 0.0).then(|| format!("{} without knowing/s", rate(outage)));
        let allowed = format!("{} allowed/s", rate(limiter.allowed_a_second));
        let refused = format!("{} refused/s", rate(limiter.refused_a_second));
        told("limiter", [allowed, refused].into_iter().chain(outage));
    }
    guards(figures);
}

/// What is well is told in one line, and what is not in a line of its own.
fn guards(figures: &Figures) {
    for breaker in &figures.breakers {
        let refused = rate(breaker.refused_a_second);
        page::alarm(format_args!(
            "breaker    {} → {} {} is {}, {refused} refused/s",
            breaker.from, breaker.to, breaker.method, breaker.state
        ));
    }
    for bulkhead in &figures.bulkheads {
        let refused = rate(bulkhead.refused_a_second);
        page::alarm(format_args!(
            "bulkhead   {} → {}: {} in, {} wait, {refused} refused/s",
            bulkhead.from, bulkhead.to, bulkhead.in_use, bulkhead.waiting
        ));
    }
    let all = [
        figures.breakers.is_empty().then_some("no breaker is open"),
        figures.bulkheads.is_empty().then_some("nobody waits at a bulkhead"),
    ];
    told("between", all.into_iter().flatten().map(str::to_owned));
}

/// Figures of one kind. What does not fit into one line goes on in the next.
fn told(what: &str, figures: impl IntoIterator<Item = String>) {
    let mut lines: Vec<String> = Vec::new();
    for figure in figures {
        match lines.last_mut() {
            Some(line) if (line.chars().count() + AND.len() + figure.chars().count()) <= LINE => {
                line.push_str(AND);
                line.push_str(&figure);
            }
            _ => lines.push(figure),
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let what = if at == 0 { what } else { "" };
        page::note(format_args!("{what:<11}{line}"));
    }
}

fn rate(a_second: f64) -> String {
    if a_second < 1000.0 { format!("{a_second:.1}") } else { page::count(a_second.round() as u64) }
}

fn time(millis: Option<f64>) -> String {
    match millis {
        None => "-".into(),
        Some(millis) if millis >= LONGEST_MS => format!("> {:.0} s", LONGEST_MS / 1e3),
        Some(millis) if millis >= 1000.0 => format!("{:.2} s", millis / 1e3),
        Some(millis) => format!("{millis:.1} ms"),
    }
}

fn cut(text: &str, widest: usize) -> String {
    match text.chars().count() > widest {
        true => text.chars().take(widest - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
