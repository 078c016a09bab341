//! One client's connection: two pumps, and the faults between them.

use super::rule::{Fate, Request};
use super::wire::{Client, Place, Server, Wire};
use super::{Observation, Shared, Traffic};
use crate::gate::Gate;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request on its way, waiting for its reply.
pub(super) struct Pending {
    silent: bool,
    pub(super) reply: Reply,
    pub(super) id: u64,
}

/// What happens to the reply.
pub(super) enum Reply {
    Passes,
    Cut,
    Waits(Gate),
}

type InFlight = Arc<Mutex<VecDeque<Pending>>>;

/// Why a pump stopped; the other one is then dropped, which closes both sockets.
pub(super) enum Closed {
    /// One side hung up.
    Ended,
    /// A rule cut the connection.
    Cut,
}

/// Carries frames between `client` and `server` until one of them closes or a rule cuts.
pub(super) async fn carry<W: Wire>(
    shared: Arc<Shared>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    let in_flight = InFlight::default();
    let (asks, answers) = W::fresh();
    let up = requests(&shared, asks, client.0, server.1, &in_flight);
    let down = replies(&shared, answers, server.0, client.1, &in_flight);
    // Whichever pump ends first drops the other, and with it both sockets.
    let _ = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    for lost in lock(&in_flight).drain(..) {
        if !lost.silent {
            shared.tell(Observation::Lost { id: lost.id });
        }
    }
}

async fn requests(
    shared: &Shared,
    mut asks: impl Client,
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    in_flight: &InFlight,
) -> io::Result<Closed> {
    let mut buffer = Vec::new();
    loop {
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        // All frames of one read that finds nothing in flight are one round trip: a pipeline.
        let mut round_trip_begins = lock(in_flight).is_empty();
        while let Some(asked) = asks.request(&mut buffer)? {
            if let Some(request) = asked.request {
                let pending = match asked.silent {
                    true => Pending { silent: true, reply: Reply::Passes, id: 0 },
                    false => match judge(shared, request, true, &mut round_trip_begins).await {
                        Some(pending) => pending,
                        None => return Ok(Closed::Cut),
                    },
                };
                shared.flows().await;
                shared.delay().await;
                lock(in_flight).push_back(pending);
            } else {
                shared.flows().await;
            }
            server.write_all(&asked.bytes).await?;
        }
    }
}

/// Lets the request meet its fate. `None` if it is cut.
pub(super) async fn judge(
    shared: &Shared,
    mut request: Request,
    is_answered: bool,
    round_trip_begins: &mut bool,
) -> Option<Pending> {
    let (nth, id) = shared.count(&request, round_trip_begins);
    request.nth = nth;
    shared.tell(Observation::Request { id, request: request.clone() });
    let mut reply = Reply::Passes;
    match shared.rules.fate_of(&request, is_answered) {
        None => {}
        Some(Fate::Hold(gate)) => {
            shared.tell(Observation::Held { id });
            gate.pass().await;
            shared.tell(Observation::Released { id });
        }
        Some(Fate::CutRequest) => {
            shared.tell(Observation::RequestCut { id });
            return None;
        }
        Some(Fate::CutReply) => reply = Reply::Cut,
        Some(Fate::HoldReply(gate)) => reply = Reply::Waits(gate),
    }
    Some(Pending { silent: false, reply, id })
}

async fn replies(
    shared: &Shared,
    mut answers: impl Server,
    mut server: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    in_flight: &InFlight,
) -> io::Result<Closed> {
    let mut buffer = Vec::new();
    // What has come of a reply that waits, or is not to pass.
    let mut begun = Vec::new();
    loop {
        if server.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        while let Some(answer) = answers.frame(&mut buffer)? {
            shared.flows().await;
            let Place::End(reply) = answer.place else {
                // A reply that is not to pass does not begin to.
                let passes = |pending: &Pending| matches!(pending.reply, Reply::Passes);
                let is_kept = lock(in_flight).front().is_some_and(|pending| !passes(pending));
                match answer.place {
                    Place::Within if is_kept => begun.extend(answer.bytes),
                    _ => client.write_all(&answer.bytes).await?,
                }
                continue;
            };
            let answered = lock(in_flight).pop_front();
            if let Some(Pending { id, reply: fate, .. }) =
                answered.filter(|pending| !pending.silent)
            {
                match fate {
                    Reply::Passes => {}
                    Reply::Cut => {
                        shared.tell(Observation::ReplyCut { id, reply });
                        return Ok(Closed::Cut);
                    }
                    Reply::Waits(gate) => {
                        shared.tell(Observation::ReplyHeld { id, reply: reply.clone() });
                        gate.pass().await;
                        shared.tell(Observation::ReplyReleased { id });
                    }
                }
                shared.tell(Observation::Reply { id, reply });
            }
            client.write_all(&std::mem::take(&mut begun)).await?;
            client.write_all(&answer.bytes).await?;
        }
    }
}

impl Shared {
    fn count(&self, request: &Request, round_trip_begins: &mut bool) -> (usize, u64) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let Traffic { requests, round_trips, commands, .. } = &mut *traffic;
        *requests += 1;
        *commands.entry(request.command.clone()).or_default() += 1;
        if std::mem::take(round_trip_begins) {
            *round_trips += 1;
        }
        (*requests, next_id())
    }

    /// As [`Shared::count`], of what the server says.
    pub(super) fn count_from_server(&self, said: &Request) -> (usize, u64) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        *traffic.from_server.entry(said.command.clone()).or_default() += 1;
        (traffic.from_server.values().sum(), next_id())
    }

    pub(super) async fn flows(&self) {
        // The sender lives in `self`.
        let _ = self.flowing.subscribe().wait_for(|flowing| *flowing).await;
    }

    pub(super) async fn delay(&self) {
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// A client may have two proxies, before two servers, and one lane in a timeline.
fn next_id() -> u64 {
    static IDS: AtomicU64 = AtomicU64::new(0);
    IDS.fetch_add(1, Ordering::Relaxed)
}

fn lock(in_flight: &InFlight) -> std::sync::MutexGuard<'_, VecDeque<Pending>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}
