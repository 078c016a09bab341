//! `shop top`: what a shop that is up does at the moment.

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use page::Screen;
use shop_contracts::Peer;
use tokio::time::{Instant, sleep, sleep_until};

use super::PORT;
use super::run::peers;
use super::up::asked_to_stop;
use crate::top::{self, Figures, Watched};

/// What everything takes but the routes: what is left of the screen is theirs.
const REST: usize = 28;

/// All that are known: five that have become slower, a heading, and five that are slow.
const ROUTES: usize = 11;

#[derive(Args)]
pub(crate) struct Top {
    /// The gateway's port of the shop that is up
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// How much time each look is about
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = every)]
    every: Duration,
    /// One look and no screen, as where the output is no terminal
    #[arg(long)]
    once: bool,
    /// Print JSON; one look
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(crate) async fn run(self) -> Result<()> {
        let gateway = Peer::new("gateway", format!("http://127.0.0.1:{}", self.port));
        let shop = Watched::shop(&gateway, &peers(self.port), self.every);
        if self.once || self.json || !std::io::stdout().is_terminal() {
            return self.once(&shop).await;
        }
        let shown = self.live(&shop).await?;
        // On the terminal that is there again: who has seen a trace there wants its id.
        if let Some(figures) = shown {
            self.tell(&figures);
        }
        Ok(())
    }

    async fn once(&self, shop: &Watched) -> Result<()> {
        let before = shop.scrape().await;
        before.is_of_a_shop()?;
        sleep(self.every).await;
        let now = shop.scrape().await;
        now.is_of_a_shop()?;
        let figures = Figures::between(&before, &now);
        if self.json {
            anstream::println!("{}", serde_json::to_string_pretty(&figures)?);
        } else {
            self.tell(&figures);
        }
        Ok(())
    }

    /// Draws until Ctrl-C, and gives back what was drawn last.
    async fn live(&self, shop: &Watched) -> Result<Option<Figures>> {
        let mut asked = pin!(asked_to_stop()?);
        let mut before = shop.scrape().await;
        before.is_of_a_shop()?;
        let mut next = Instant::now();
        let mut shown = None;
        let context = "the terminal cannot be drawn on; next: --once";
        let mut screen = Screen::open().context(context)?;
        loop {
            let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, rows)| rows.0.into());
            let drawn = || self.draw(shown.as_ref(), rows);
            screen.draw(rows, drawn).context(context)?;
            // A look that took longer than the time between two is not made up for.
            next = (next + self.every).max(Instant::now());
            let looked = async {
                sleep_until(next).await;
                shop.scrape().await
            };
            let now = tokio::select! {
                now = looked => now,
                () = &mut asked => return Ok(shown),
            };
            shown = Some(Figures::between(&before, &now));
            before = now;
        }
    }

    fn draw(&self, figures: Option<&Figures>, rows: usize) {
        let Some(figures) = figures else {
            page::title(&format!("The shop at http://127.0.0.1:{}", self.port));
            return page::note("the first figures come in a moment; Ctrl-C: end");
        };
        self.head(figures, &format!("; again every {} s; Ctrl-C: end", self.every.as_secs_f64()));
        // Two lines each.
        top::print(figures, (rows.saturating_sub(REST) / 2).min(ROUTES));
    }

    /// One look, and what to do next.
    fn tell(&self, figures: &Figures) {
        self.head(figures, "");
        top::print(figures, ROUTES);
        let mut routes = figures.slower.iter().chain(&figures.slowest);
        match routes.find_map(|route| Some((route.trace.as_ref()?, route.service))) {
            Some((trace, service)) => {
                let look = format!("cargo run -p shop -- trace {trace}");
                let of = format!("… --of {service}");
                page::next(&[(&look, "where it went"), (&of, "only their part")]);
            }
            None => page::next(&[("cargo run -p shop -- load", "send customers in")]),
        }
    }

    fn head(&self, figures: &Figures, more: &str) {
        page::title(&format!("The shop at http://127.0.0.1:{}", self.port));
        page::note(format_args!("the last {:.1} s{more}", figures.seconds));
    }
}

fn every(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    let number = number.filter(|seconds| (0.2..=60.0).contains(seconds));
    number.map(Duration::from_secs_f64).ok_or_else(|| "0.2 to 60 seconds".into())
}
