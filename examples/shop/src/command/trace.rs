//! `shop trace`: where the time of a request went.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use observability::spans::{Finished, TraceId, Waterfall};
use shop_contracts::{Peer, Peers};

use super::PORT;
use super::run::peers;
use crate::traces::{self, Told};

#[derive(Args)]
pub(crate) struct Trace {
    /// An order's id, the `latest` order, or a trace's id
    id: String,
    /// Only what this service was asked for in it, where that took longest, and what came of that
    #[arg(long, value_name = "SERVICE")]
    of: Option<String>,
    /// The gateway's port of the shop that is up
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Write the picture into this file as well
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the spans as JSON
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(crate) async fn run(self) -> Result<()> {
        let peers = peers(self.port);
        let (trace, of) = match traces::id(&self.id) {
            Some(trace) => (trace, None),
            None => of_order(&peers, &self.id).await?,
        };
        let told = spans(&peers, self.port, trace).await;
        if told.is_empty() {
            bail!(
                "of the trace {trace} nothing is kept: it was not recorded, or is not among the newest\n\
                 next: cargo run -p shop -- load, then cargo run -p shop -- trace latest"
            );
        }
        let told = match &self.of {
            None => told,
            Some(service) => traces::of_service(&told, service).with_context(|| {
                let services: BTreeSet<_> = told.iter().map(|span| &*span.service).collect();
                let services = Vec::from_iter(services).join(", ");
                format!("`{service}` is not in the trace {trace}; next: --of one of {services}")
            })?,
        };
        let finished: Vec<Finished> = told.iter().filter_map(|span| span.finished(trace)).collect();
        let waterfall = Waterfall::of(&finished);
        if let Some(file) = &self.svg {
            std::fs::write(file, waterfall.svg()).with_context(|| {
                format!("{} cannot be written; next: another --svg FILE", file.display())
            })?;
        }
        if self.json {
            anstream::println!("{}", serde_json::to_string_pretty(&told)?);
            return Ok(());
        }
        page::title(&format!("Trace {trace}"));
        if let Some(of) = of {
            page::note(of);
        }
        let services: BTreeSet<_> = told.iter().map(|span| &span.service).collect();
        page::note(format_args!("{} spans in {} services", told.len(), services.len()));
        page::gap();
        anstream::print!("{}", waterfall.text());
        if let Some(file) = &self.svg {
            page::gap();
            page::note(format_args!("the picture: {}", file.display()));
        }
        Ok(())
    }
}

/// The trace in which an order was placed.
async fn of_order(peers: &Peers, order: &str) -> Result<(TraceId, Option<String>)> {
    let found = peers.orders.trace(order).await.with_context(|| {
        format!("there is no trace of order {order}; next: cargo run -p shop -- up")
    })?;
    let order = &found.order;
    let told = format!("order {}, {}, {}", order.id, order.state.name(), order.total);
    let trace = found.trace.as_deref().and_then(traces::id).with_context(|| {
        format!(
            "the order {} was placed in no trace; next: cargo run -p shop -- orders trace {}",
            order.id, order.id
        )
    })?;
    Ok((trace, Some(told)))
}

/// What all services know of it. Those of one process know the same; one that is away keeps its part.
async fn spans(peers: &Peers, port: u16, trace: TraceId) -> Vec<Told> {
    let gateway = Peer::new("gateway", format!("http://127.0.0.1:{port}"));
    let mut spans = BTreeMap::new();
    for peer in [&gateway].into_iter().chain(peers.all()) {
        let told = peer.get::<Vec<Told>>(&format!("/spans/{trace}")).await;
        spans.extend(told.into_iter().flatten().map(|span| (span.span.clone(), span)));
    }
    let mut spans: Vec<_> = spans.into_values().collect();
    spans.sort_by_key(|span| span.start);
    spans
}
