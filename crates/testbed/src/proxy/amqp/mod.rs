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
use super::line::Line;
use super::rule::{Fate, Request};
use super::{Observation, Shared};
use frame::{Reader, Said};
use in_flight::{Awaits, InFlight};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

/// Carries messages between `client` and `server` until one of them closes or a rule cuts.
pub(super) async fn carry(
    line: &Line,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    let in_flight = Mutex::new(InFlight::default());
    let ((from_client, mut to_client), (mut from_server, mut to_server)) = (client, server);
    let up = requests(line, from_client, &mut to_server, &in_flight);
    let down = answers(line, &mut from_server, &mut to_client, &in_flight);
    let ended = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    lose(line, lock(&in_flight).drain());
    drop(to_client);
    if let Ok(Closed::Cut) = ended {
        const LINGER: Duration = Duration::from_secs(5);
        let _ = tokio::time::timeout(LINGER, take_leave(from_server, to_server)).await;
    }
}

/// Closes a connection that was cut as the protocol wants it. Where the socket alone is closed,
/// RabbitMQ may forget what it has received and not yet carried out, an acknowledgement for one.
/// All that passed before a cut is to be done, or the cut would be a matter of luck.
async fn take_leave(
    mut server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    to_server.write_all(&frame::close()).await?;
    let (mut reader, mut buffer) = (Reader::default(), Vec::new());
    while server.read_buf(&mut buffer).await? > 0 {
        while let Some(Said { request, .. }) = reader.take(&mut buffer)? {
            if request.is_some_and(|said| said.is("connection.close-ok")) {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn requests(
    line: &Line,
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
                lose(line, lock(in_flight).forget(channel));
            }
            let Some(request) = request.filter(is_learners) else {
                line.flows().await;
                server.write_all(&bytes).await?;
                continue;
            };
            let awaits = lock(in_flight).awaits(channel, &request);
            // For an `-ok` a client must wait. Whether it waits for a confirm, nobody can see.
            let mut round_trip_begins = matches!(awaits, Awaits::Ok(_));
            let is_answered = !matches!(awaits, Awaits::Nothing);
            let judged = judge(line, request, is_answered, &mut round_trip_begins).await;
            let Some(pending) = judged else { return Ok(Closed::Cut) };
            line.flows().await;
            line.delay().await;
            lock(in_flight).push(channel, awaits, pending);
            server.write_all(&bytes).await?;
        }
    }
}

async fn answers(
    line: &Line,
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
            line.flows().await;
            if let Some(said) = request.filter(is_brokers) {
                let answered = lock(in_flight).answered(channel, &said);
                if said.is("channel.close") {
                    lose(line, lock(in_flight).forget(channel));
                }
                if !passes(line, said, answered).await {
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
    let told = match answered.is_empty() {
        true => Told::Own(id),
        false => Told::Answers(answered.iter().map(|asked| asked.id).collect(), in_words(&said)),
    };
    if let Told::Own(id) = told {
        shared.tell(Observation::FromServer { id, said });
    }
    let (mut is_cut, mut gates) = (false, JoinSet::new());
    for fate in answered.into_iter().map(|asked| asked.reply).chain([rule]) {
        match fate {
            Reply::Passes => {}
            Reply::Cut => is_cut = true,
            // One confirm for three publishes comes to the gate three times, and all at once.
            Reply::Waits(gate) => drop(gates.spawn(async move { gate.pass().await })),
        }
    }
    if is_cut {
        told.tell(
            shared,
            |id, reply| Observation::ReplyCut { id, reply },
            |id| Observation::FromServerCut { id },
        );
        return false;
    }
    if !gates.is_empty() {
        told.tell(
            shared,
            |id, reply| Observation::ReplyHeld { id, reply },
            |id| Observation::FromServerHeld { id },
        );
        while gates.join_next().await.is_some() {}
        told.tell(
            shared,
            |id, _| Observation::ReplyReleased { id },
            |id| Observation::FromServerReleased { id },
        );
    }
    match told {
        Told::Own(_) => shared.delay().await,
        Told::Answers(ids, reply) => {
            for id in ids {
                shared.tell(Observation::Reply { id, reply: reply.clone() });
            }
        }
    }
    true
}

/// What an observer is told of something that the broker says.
enum Told {
    /// That it said it, by this id.
    Own(u64),
    /// That these requests have got this reply.
    Answers(Vec<u64>, String),
}

impl Told {
    fn tell(
        &self,
        shared: &Shared,
        answer: fn(u64, String) -> Observation,
        own: fn(u64) -> Observation,
    ) {
        match self {
            Told::Own(id) => shared.tell(own(*id)),
            Told::Answers(ids, reply) => {
                for id in ids {
                    shared.tell(answer(*id, reply.clone()));
                }
            }
        }
    }
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
