//! One client's connection: two pumps, and the faults between them.

use super::rule::{Fate, Request};
use super::wire::{Client, Place, Server, Wire};
use super::{Observation, Shared, Traffic};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request on its way, waiting for its reply.
struct Pending {
    silent: bool,
    cut_reply: bool,
    id: u64,
}

type InFlight = Arc<Mutex<VecDeque<Pending>>>;

/// Why a pump stopped; the other one is then dropped, which closes both sockets.
enum Closed {
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
                    true => Pending { silent: true, cut_reply: false, id: 0 },
                    false => match judge(shared, request, &mut round_trip_begins).await {
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
async fn judge(
    shared: &Shared,
    mut request: Request,
    round_trip_begins: &mut bool,
) -> Option<Pending> {
    let (nth, id) = shared.count(&request, round_trip_begins);
    request.nth = nth;
    shared.tell(Observation::Request { id, request: request.clone() });
    let mut cut_reply = false;
    match shared.rules.fate_of(&request) {
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
        Some(Fate::CutReply) => cut_reply = true,
    }
    Some(Pending { silent: false, cut_reply, id })
}

async fn replies(
    shared: &Shared,
    mut answers: impl Server,
    mut server: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    in_flight: &InFlight,
) -> io::Result<Closed> {
    let mut buffer = Vec::new();
    loop {
        if server.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        while let Some(answer) = answers.frame(&mut buffer)? {
            shared.flows().await;
            let cut = lock(in_flight).front().is_some_and(|pending| pending.cut_reply);
            match answer.place {
                Place::Within if cut => continue,
                Place::Aside | Place::Within => {}
                Place::End(reply) => {
                    let answered = lock(in_flight).pop_front();
                    if let Some(pending) = answered.filter(|pending| !pending.silent) {
                        let id = pending.id;
                        if cut {
                            shared.tell(Observation::ReplyCut { id, reply });
                            return Ok(Closed::Cut);
                        }
                        shared.tell(Observation::Reply { id, reply });
                    }
                }
            }
            client.write_all(&answer.bytes).await?;
        }
    }
}

impl Shared {
    fn count(&self, request: &Request, round_trip_begins: &mut bool) -> (usize, u64) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let Traffic { requests, round_trips, commands, last_id } = &mut *traffic;
        *requests += 1;
        *last_id += 1;
        *commands.entry(request.command.clone()).or_default() += 1;
        if std::mem::take(round_trip_begins) {
            *round_trips += 1;
        }
        (*requests, *last_id)
    }

    async fn flows(&self) {
        // The sender lives in `self`.
        let _ = self.flowing.subscribe().wait_for(|flowing| *flowing).await;
    }

    async fn delay(&self) {
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

fn lock(in_flight: &InFlight) -> std::sync::MutexGuard<'_, VecDeque<Pending>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}
