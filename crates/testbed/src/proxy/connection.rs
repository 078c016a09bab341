//! One client's connection: two pumps, and the faults between them.

use super::resp::{self, frame_length};
use super::rule::{Fate, Request};
use super::{Observation, Shared, Traffic};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request on its way, waiting for its reply.
struct Pending {
    request: Request,
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
pub(super) async fn carry(
    shared: Arc<Shared>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    let in_flight = InFlight::default();
    let up = requests(&shared, client.0, server.1, &in_flight);
    let down = replies(&shared, server.0, client.1, &in_flight);
    // Whichever pump ends first drops the other, and with it both sockets.
    let _ = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    for lost in lock(&in_flight).drain(..) {
        if !lost.request.is_handshake() {
            shared.tell(Observation::Lost { id: lost.id });
        }
    }
}

async fn requests(
    shared: &Shared,
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
        while let Some(length) = frame_length(&buffer).map_err(io::Error::other)? {
            let frame: Vec<u8> = buffer.drain(..length).collect();
            let mut request = Request::parse(&frame, 0);
            let mut cut_reply = false;
            let mut id = 0;
            if !request.is_handshake() {
                (request.nth, id) = shared.count(&request, &mut round_trip_begins);
                shared.tell(Observation::Request { id, request: request.clone() });
                match shared.rules.fate_of(&request) {
                    None => {}
                    Some(Fate::Hold(gate)) => {
                        shared.tell(Observation::Held { id });
                        gate.pass().await;
                        shared.tell(Observation::Released { id });
                    }
                    Some(Fate::CutRequest) => {
                        shared.tell(Observation::RequestCut { id });
                        return Ok(Closed::Cut);
                    }
                    Some(Fate::CutReply) => cut_reply = true,
                }
            }
            shared.flows().await;
            shared.delay().await;
            lock(in_flight).push_back(Pending { request, cut_reply, id });
            server.write_all(&frame).await?;
        }
    }
}

async fn replies(
    shared: &Shared,
    mut server: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    in_flight: &InFlight,
) -> io::Result<Closed> {
    let mut buffer = Vec::new();
    loop {
        if server.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        while let Some(length) = frame_length(&buffer).map_err(io::Error::other)? {
            let frame: Vec<u8> = buffer.drain(..length).collect();
            shared.flows().await;
            if !resp::is_push(&frame) {
                let answered = lock(in_flight).pop_front();
                if let Some(pending) = answered.filter(|pending| !pending.request.is_handshake()) {
                    let summary = resp::summary(&frame);
                    if pending.cut_reply {
                        shared.tell(Observation::ReplyCut { id: pending.id, reply: summary });
                        return Ok(Closed::Cut);
                    }
                    shared.tell(Observation::Reply { id: pending.id, reply: summary });
                }
            }
            client.write_all(&frame).await?;
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
