//! What must hold. Counts first: times are the machine's as well.

use anyhow::{Context, Result, ensure};
use shop_calls::{Line, Options};

use super::{EACH, MOST, Outcome, PATIENCE, STEADY, Seen, millis};

pub(super) fn judge(outcome: &Outcome) -> Result<()> {
    let (off, on) = (&outcome.columns[0], &outcome.columns[1]);
    for column in &outcome.columns {
        let broken = column.invariants.iter().filter(|invariant| !invariant.holds).count();
        ensure!(broken == 0, "the books do not add up, all {}", column.switch);
        let Seen { asked, well, .. } = column.checkouts_healthy;
        ensure!(
            asked == well,
            "nothing is proved: {} checkouts failed while all was \
             healthy\nnext: once more on a quieter machine",
            asked - well
        );
        for seen in [&column.looks_during, &column.checkouts_during] {
            ensure!(seen.odd == 0, "{} requests ended in an odd way", seen.odd);
        }
    }
    let healthy = on.healthy_ms();
    // Without, it must have hurt.
    let hurt = off.looks_during.p99_ms > 10.0 * healthy && off.waited_for_a_place > 0;
    ensure!(hurt, "nothing is proved: without the patterns, too, the catalogue stayed quick");

    // With them, counts first: nobody who looked at the catalogue waited behind a checkout.
    let waited = on.waited_for_a_place;
    ensure!(waited == 0, "{waited} requests found the gateway full with the patterns on");
    let Seen { asked, well, p99_ms, .. } = on.looks_during;
    ensure!(asked == well, "{} looks at the catalogue failed with the patterns on", asked - well);
    ensure!(
        on.is_quick(),
        "the catalogue's p99 was {p99_ms:.1} ms while payment hung, where {MOST} times {healthy:.1} \
         ms are allowed\nnext: once more on a quieter machine, or with --release"
    );
    let between = on.between.as_ref().context("orders counts its calls to payments")?;
    ensure!(opened(between) > 0, "the breaker has never opened");
    ensure!(on.checkouts_during.later > 0, "nobody was told by an open breaker to come later");
    let most = most(between);
    ensure!(
        on.reached <= most && 2 * on.reached < off.reached,
        "{} calls have reached the provider, where {most} are allowed, and without the patterns {}",
        on.reached,
        off.reached
    );
    let within = Options::default().breaker.open_for + PATIENCE + STEADY;
    let recovered = on.recovered_after_ms.unwrap_or(f64::INFINITY);
    ensure!(
        recovered <= millis(within),
        "it took {recovered:.0} ms to be well again, where {} ms are allowed",
        within.as_millis()
    );
    Ok(())
}

/// How often the breaker before charges has opened.
fn opened(between: &Line) -> u64 {
    between.breakers.get("PUT").map_or(0, |charges| charges.opened)
}

/// How many calls may reach a provider that hangs: as many as have a place; those that follow until so
/// many have failed in a row, where each repeat may end a row, as it learns that the first attempt has
/// charged; and the probes, each time that the breaker is half-open.
fn most(between: &Line) -> u64 {
    let Options { breaker, .. } = Options::default();
    let rows = 1 + between.retry.retried;
    let probes = opened(between) * u64::from(breaker.probes);
    EACH as u64 + rows * u64::from(breaker.failures) + probes
}
