//! One client's connection to RabbitMQ: two pumps, and the faults between them.
//!
//! AMQP is no question and answer. A client publishes without waiting, the broker delivers when it
//! likes, and one confirm may answer many publishes. So here a message is looked at from either
//! side: the client's are requests; the broker's are answers to some of those, or its own.
//!
//! | the broker says | it answers |
//! | --- | --- |
//! | `…-ok`, `basic.get-empty` | the request of that name on its channel |
//! | `basic.ack`, `basic.nack` | the publishes on its channel that it confirms |
//! | `channel.close` | what waits on that channel for an `…-ok` |
//! | `basic.deliver`, `basic.return`, `basic.cancel`, `connection.close`, … | nothing |
//!
//! What opens and closes connections and channels passes uncounted and uncut where the client says
//! it or has asked for it, and so do heartbeats.

mod frame;
mod in_flight;
pub(super) mod method;

use super::connection::{Closed, Pending, Reply, judge};
use super::rule::{Fate, Request};
use super::{Observation, Shared};
use frame::{Reader, Said};
use in_flight::{Awaits, InFlight};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Carries messages between `client` and `server` until one of them closes or a rule cuts.
pub(super) async fn carry(
    shared: Arc<Shared>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    let in_flight = Mutex::new(InFlight::default());
    let ((from_client, mut to_client), (mut from_server, mut to_server)) = (client, server);
    let up = requests(&shared, from_client, &mut to_server, &in_flight);
    let down = answers(&shared, &mut from_server, &mut to_client, &in_flight);
    let _ = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    lose(&shared, lock(&in_flight).drain());
    drop(to_client);
    // A socket that is closed with something unread in it resets the connection, and the broker may
    // then lose what it has not read either. All that passed before the cut is to reach it.
    let _ = to_server.shutdown().await;
    const LINGER: Duration = Duration::from_secs(5);
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(&mut from_server, &mut nowhere);
    let _ = tokio::time::timeout(LINGER, rest).await;
}

async fn requests(
    shared: &Shared,
    mut client: impl AsyncRead + Unpin,
    server: &mut (impl AsyncWrite + Unpin),
    in_flight: &Mutex<InFlight>,
) -> io::Result<Closed> {
    let (mut reader, mut buffer) = (Reader::default(), Vec::new());
    loop {
        if client.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        while let Some(Said { bytes, channel, request }) = reader.take(&mut buffer)? {
            if request.as_ref().is_some_and(|request| request.is("channel.open")) {
                lose(shared, lock(in_flight).forget(channel));
            }
            let Some(request) = request.filter(is_learners) else {
                shared.flows().await;
                server.write_all(&bytes).await?;
                continue;
            };
            let awaits = lock(in_flight).awaits(channel, &request);
            // For an `-ok` a client must wait. Whether it waits for a confirm, nobody can see.
            let mut round_trip_begins = matches!(awaits, Awaits::Ok(_));
            let is_answered = !matches!(awaits, Awaits::Nothing);
            let judged = judge(shared, request, is_answered, &mut round_trip_begins).await;
            let Some(pending) = judged else { return Ok(Closed::Cut) };
            shared.flows().await;
            shared.delay().await;
            lock(in_flight).push(channel, awaits, pending);
            server.write_all(&bytes).await?;
        }
    }
}

async fn answers(
    shared: &Shared,
    mut server: impl AsyncRead + Unpin,
    client: &mut (impl AsyncWrite + Unpin),
    in_flight: &Mutex<InFlight>,
) -> io::Result<Closed> {
    let (mut reader, mut buffer) = (Reader::default(), Vec::new());
    loop {
        if server.read_buf(&mut buffer).await? == 0 {
            return Ok(Closed::Ended);
        }
        while let Some(Said { bytes, channel, request }) = reader.take(&mut buffer)? {
            shared.flows().await;
            if let Some(said) = request.filter(is_brokers) {
                let answered = lock(in_flight).answered(channel, &said);
                if said.is("channel.close") {
                    lose(shared, lock(in_flight).forget(channel));
                }
                if !passes(shared, said, answered).await {
                    return Ok(Closed::Cut);
                }
            }
            client.write_all(&bytes).await?;
        }
    }
}

/// Lets what the broker says meet its fate, and says whether it may go on to the client.
async fn passes(shared: &Shared, mut said: Request, answered: Vec<Pending>) -> bool {
    let (nth, id) = shared.count_from_server(&said);
    said.nth = nth;
    let rule = match shared.server_rules.fate_of(&said, true) {
        Some(Fate::CutReply) => Reply::Cut,
        Some(Fate::HoldReply(gate)) => Reply::Waits(gate),
        _ => Reply::Passes,
    };
    let ids: Vec<u64> = answered.iter().map(|pending| pending.id).collect();
    let fates: Vec<Reply> = answered.into_iter().map(|it| it.reply).chain([rule]).collect();
    let is_own = ids.is_empty();
    let reply = in_words(&said);
    let tell = |answer: fn(u64, String) -> Observation, own: fn(u64) -> Option<Observation>| {
        match is_own {
            true => own(id).into_iter().for_each(|it| shared.tell(it)),
            false => ids.iter().for_each(|id| shared.tell(answer(*id, reply.clone()))),
        }
    };
    if is_own {
        shared.tell(Observation::FromServer { id, said });
    }
    if fates.iter().any(|fate| matches!(fate, Reply::Cut)) {
        let cut = |id, reply| Observation::ReplyCut { id, reply };
        tell(cut, |id| Some(Observation::FromServerCut { id }));
        return false;
    }
    for fate in fates {
        if let Reply::Waits(gate) = fate {
            let held = |id, reply| Observation::ReplyHeld { id, reply };
            tell(held, |id| Some(Observation::FromServerHeld { id }));
            gate.pass().await;
            let released = |id, _| Observation::ReplyReleased { id };
            tell(released, |id| Some(Observation::FromServerReleased { id }));
        }
    }
    tell(|id, reply| Observation::Reply { id, reply }, |_| None);
    if is_own {
        shared.delay().await;
    }
    true
}

/// Whether the client says this for itself, and not to open or close what it speaks through.
fn is_learners(request: &Request) -> bool {
    !request.command.starts_with("connection.") && !request.command.starts_with("channel.")
}

/// Whether the broker says this for itself, and not because the client opens or closes something.
fn is_brokers(said: &Request) -> bool {
    const OWN: [&str; 5] = [
        "connection.close",
        "connection.blocked",
        "connection.unblocked",
        "channel.close",
        "channel.flow",
    ];
    is_learners(said) || OWN.contains(&said.command.as_str())
}

/// An answer as a person would want to see it: without its channel, and without what is not set.
fn in_words(said: &Request) -> String {
    let arguments = said.arguments.iter().skip(1).filter(|argument| !argument.is_empty());
    let words: Vec<&str> =
        [&said.command].into_iter().chain(arguments).map(String::as_str).collect();
    words.join(" ")
}

fn lose(shared: &Shared, lost: Vec<Pending>) {
    for Pending { id, .. } in lost {
        shared.tell(Observation::Lost { id });
    }
}

fn lock(in_flight: &Mutex<InFlight>) -> MutexGuard<'_, InFlight> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}
