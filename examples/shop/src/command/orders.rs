//! `shop orders trace`: one order as a timeline.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use shop_contracts::orders::{Happened, State, Trace};

use super::PORT;
use super::run::peers;

#[derive(Args)]
pub(crate) struct Orders {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What has happened for one order: attempts, entries of its journal, events
    Trace {
        /// The order's id, or `latest`
        order: String,
        /// The gateway's port of the shop that is up
        #[arg(long, default_value_t = PORT)]
        port: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What fits beside the other columns, on a page of 80.
const SAID: usize = 28;

impl Orders {
    pub(crate) async fn run(self) -> Result<()> {
        let What::Trace { order, port, json } = self.what;
        let peers = peers(port);
        let mut trace = peers.orders.trace(&order).await.with_context(|| {
            format!("order {order} cannot be traced; next: cargo run -p shop -- up")
        })?;
        let id = trace.order.id;
        let (inventory, payments, notifications) = tokio::join!(
            peers.inventory.events(id),
            peers.payments.events(id),
            peers.notifications.events(id),
        );
        // A service that is away keeps its part to itself; the rest is told all the same.
        for said in [inventory, payments, notifications].into_iter().flatten().flatten() {
            trace.happened.push(said.into());
        }
        trace.happened.sort_by_key(|one| one.at);
        if json {
            anstream::println!("{}", serde_json::to_string_pretty(&trace)?);
        } else {
            tell(&trace);
        }
        Ok(())
    }
}

fn tell(trace: &Trace) {
    let Trace { order, saga, trace, happened } = trace;
    page::title(&format!("Order {}", order.id));
    page::note(format_args!("{}, {}", order.state.name(), order.total));
    if let Some(reason) = &order.reason {
        page::note(reason);
    }
    match saga {
        Some(saga) => page::note(format_args!("saga: {saga}")),
        None => page::note("It was placed without a saga, and has no journal: only events."),
    }
    if let Some(trace) = trace {
        page::note(format_args!("trace: {trace}"));
    }
    page::gap();
    page::note(format_args!("{:>10} {:>9}  {:<7} {:<20}  said", "after", "took", "what", "of"));
    for one in happened {
        let after = millis(one.at - order.placed_at);
        let took = one.took.map(millis).unwrap_or_default();
        let Happened { what, of, said, .. } = one;
        let line = format!("{after:>10} {took:>9}  {what:<7} {of:<20}  {}", cut(said));
        page::note(line.trim_end());
    }
    if saga.is_none() {
        page::next(&[(
            r#"curl -X PUT localhost:8080/flags -d '{"flags": {"pattern.async": {"defaultVariant": "on"}}}'"#,
            "for the orders after this",
        )]);
    } else if order.state == State::Cancelled {
        let undone = happened.iter().filter(|one| one.said == "undone").map(|one| &*one.of);
        let undone: Vec<_> = undone.collect();
        page::gap();
        page::note(match undone.is_empty() {
            true => "Nothing had been done, so nothing was undone.".to_owned(),
            false => {
                format!("Undone: {}. Nothing is held, and nothing charged.", undone.join(", "))
            }
        });
    }
}

fn millis(micros: i64) -> String {
    let tenths = micros / 100;
    format!("{}.{} ms", tenths / 10, (tenths % 10).abs())
}

fn cut(said: &str) -> String {
    if said.chars().count() <= SAID {
        return said.to_owned();
    }
    said.chars().take(SAID - 1).chain(['…']).collect()
}
