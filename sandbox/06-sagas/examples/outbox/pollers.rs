//! Part 2: three ways to find out what is new.

use crate::connect;
use deadpool_postgres::tokio_postgres::Client;
use std::time::{Duration, Instant};
use testbed::postgres::Postgres;

const ROUNDS: u32 = 20;
/// How long the import runs that has nothing to do with it.
const IMPORT: Duration = Duration::from_millis(300);

pub(crate) async fn compared(postgres: &Postgres, client: &Client) -> anyhow::Result<()> {
    page::part(2, "What is new since the last time?");
    page::note("Numbers are drawn before the commit. In each round one transaction draws");
    page::note("first and commits last; then one waits for a row that another has, whose");
    page::note(format!(
        "message was first; then an import elsewhere stays open for {} ms.",
        IMPORT.as_millis()
    ));
    let pollers = [Poller::IdAfterLast, Poller::BelowTheOldest, Poller::EachRowKnows];
    let mut columns = Vec::new();
    for poller in pollers {
        let (mut lost, mut swapped) = (0, 0);
        for _ in 0..ROUNDS {
            lost += usize::from(!gap(postgres, client, poller).await?);
            swapped += usize::from(!waits_for_a_row(postgres, client, poller).await?);
        }
        columns.push((lost, swapped, held_up(postgres, client, poller).await?));
    }
    let heads = ["id > last", "tx < oldest", "not sent yet"];
    page::heads(&heads);
    let of = |wrong: usize| format!("{wrong} of {ROUNDS}");
    let row = |what, cell: &dyn Fn(&(usize, usize, Duration)) -> String| {
        page::row(what, cell(&columns[0]), &[cell(&columns[1]), cell(&columns[2])], "");
    };
    row("late commits lost for ever", &|column| of(column.0));
    row("second told before the first", &|column| of(column.1));
    row("waited for the import", &|column| page::millis(column.2));
    page::note("The middle one asks for transactions below the oldest that is open, in");
    page::note("their order. It loses nothing. But a transaction has its number when it");
    page::note("first writes anything, and an import elsewhere is a transaction as well.");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Poller {
    IdAfterLast,
    BelowTheOldest,
    EachRowKnows,
}

impl Poller {
    // ANCHOR: pollers
    const fn reads(self) -> &'static str {
        match self {
            Poller::IdAfterLast => "SELECT id, key FROM outbox WHERE id > $1 ORDER BY id",
            Poller::BelowTheOldest => {
                "SELECT id, key FROM outbox WHERE sent_at IS NULL AND $1::bigint = $1
                 AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                 ORDER BY xmin::text::bigint, id"
            }
            Poller::EachRowKnows => {
                "SELECT id, key FROM outbox WHERE sent_at IS NULL AND $1::bigint = $1 ORDER BY id"
            }
        }
    }
    // ANCHOR_END: pollers

    /// What is new, which is then sent.
    async fn poll(self, client: &Client, last: &mut i64) -> anyhow::Result<Vec<String>> {
        let rows = client.query(self.reads(), &[&*last]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        *last = ids.iter().copied().max().unwrap_or(*last).max(*last);
        client.execute("UPDATE outbox SET sent_at = now() WHERE id = ANY($1)", &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(1)).collect())
    }

    /// Until it has told so much, or has had its time.
    async fn until(
        self,
        client: &Client,
        last: &mut i64,
        many: usize,
    ) -> anyhow::Result<Vec<String>> {
        let (mut told, began) = (Vec::new(), Instant::now());
        while told.len() < many && began.elapsed() < Duration::from_millis(20) {
            told.extend(self.poll(client, last).await?);
        }
        Ok(told)
    }
}

const ADD: &str = "INSERT INTO outbox (message, key, headers, body) VALUES ('', $1, '{}', '')";

/// Whether a message is told that was drawn first and committed last.
async fn gap(postgres: &Postgres, client: &Client, poller: Poller) -> anyhow::Result<bool> {
    let mut last = clear(client).await?;
    let mut early = connect(postgres.url()).await?;
    let early = early.transaction().await?;
    early.execute(ADD, &[&"early"]).await?;
    client.execute(ADD, &[&"late"]).await?;
    let mut told = poller.poll(client, &mut last).await?;
    early.commit().await?;
    let left = 2 - told.len();
    told.extend(poller.until(client, &mut last, left).await?);
    Ok(told.iter().any(|told| told == "early"))
}

/// Whether who found another's order in the table comes behind it.
async fn waits_for_a_row(
    postgres: &Postgres,
    client: &Client,
    poller: Poller,
) -> anyhow::Result<bool> {
    let mut last = clear(client).await?;
    let mut paying = connect(postgres.url()).await?;
    let paying = paying.transaction().await?;
    paying.execute("INSERT INTO orders VALUES ('a receipt')", &[]).await?;
    let mut placing = connect(postgres.url()).await?;
    let placing = placing.transaction().await?;
    placing.execute("INSERT INTO orders VALUES ('it')", &[]).await?;
    placing.execute(ADD, &[&"placed"]).await?;
    placing.commit().await?;
    let found = paying.execute("UPDATE orders SET id = 'it, paid' WHERE id = 'it'", &[]).await?;
    anyhow::ensure!(found == 1, "the order is there");
    paying.execute(ADD, &[&"paid"]).await?;
    paying.commit().await?;
    Ok(poller.until(client, &mut last, 2).await? == ["placed", "paid"])
}

/// How long a message waits while something else is open.
async fn held_up(postgres: &Postgres, client: &Client, poller: Poller) -> anyhow::Result<Duration> {
    let mut last = clear(client).await?;
    let mut import = connect(postgres.url()).await?;
    let import = import.transaction().await?;
    import.execute("INSERT INTO orders VALUES ('from an old system')", &[]).await?;
    client.execute(ADD, &[&"placed"]).await?;
    let began = Instant::now();
    let (mut import, mut told) = (Some(import), false);
    while !told {
        if began.elapsed() > IMPORT
            && let Some(import) = import.take()
        {
            import.commit().await?;
        }
        anyhow::ensure!(began.elapsed() < IMPORT * 20, "it is never told");
        told = !poller.poll(client, &mut last).await?.is_empty();
    }
    Ok(began.elapsed())
}

/// Empties both tables. The highest number so far.
async fn clear(client: &Client) -> anyhow::Result<i64> {
    client.batch_execute("DELETE FROM orders; DELETE FROM outbox").await?;
    let highest = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0)";
    Ok(client.query_one(highest, &[]).await?.get(0))
}
