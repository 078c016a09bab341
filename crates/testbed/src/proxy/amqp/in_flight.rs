//! What a client has said and the broker has not answered.

use super::method;
use crate::proxy::connection::Pending;
use crate::proxy::rule::Request;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The requests that wait for an answer, by channel.
#[derive(Default)]
pub(super) struct InFlight(HashMap<u16, Channel>);

#[derive(Default)]
struct Channel {
    /// Requests that wait for an `-ok`, with their names, in the order in which it will come.
    asked: VecDeque<(String, Pending)>,
    /// Whether the client has asked for confirms on this channel.
    confirms: bool,
    /// How many were published since then: the broker counts the same, and calls it delivery tag.
    published: u64,
    unconfirmed: BTreeMap<u64, Pending>,
}

/// How the broker will answer.
pub(super) enum Awaits {
    Nothing,
    /// With the method of this name and `-ok`.
    Ok(String),
    Confirm,
}

impl InFlight {
    /// How the broker will answer `request`.
    pub(super) fn awaits(&mut self, channel: u16, request: &Request) -> Awaits {
        let channel = self.0.entry(channel).or_default();
        match request.command.as_str() {
            "basic.publish" if channel.confirms => return Awaits::Confirm,
            "confirm.select" => channel.confirms = true,
            _ => {}
        }
        match method::is_answered(request) {
            true => Awaits::Ok(request.command.clone()),
            false => Awaits::Nothing,
        }
    }

    pub(super) fn push(&mut self, channel: u16, awaits: Awaits, pending: Pending) {
        let channel = self.0.entry(channel).or_default();
        match awaits {
            Awaits::Nothing => {}
            Awaits::Ok(command) => channel.asked.push_back((command, pending)),
            Awaits::Confirm => {
                channel.published += 1;
                channel.unconfirmed.insert(channel.published, pending);
            }
        }
    }

    /// Takes the requests that are answered by what the broker `said`.
    pub(super) fn answered(&mut self, channel: u16, said: &Request) -> Vec<Pending> {
        let Some(channel) = self.0.get_mut(&channel) else { return Vec::new() };
        let asked = match said.command.as_str() {
            "basic.ack" | "basic.nack" => return channel.confirmed(said),
            "channel.close" => return channel.asked.drain(..).map(|(_, asked)| asked).collect(),
            "basic.get-empty" => "basic.get",
            reply => reply.strip_suffix("-ok").unwrap_or_default(),
        };
        let place = channel.asked.iter().position(|(command, _)| command == asked);
        place.and_then(|place| channel.asked.remove(place)).into_iter().map(|(_, it)| it).collect()
    }

    /// The channel is closed, or begins anew: takes what was never answered.
    pub(super) fn forget(&mut self, channel: u16) -> Vec<Pending> {
        self.0.remove(&channel).map(Channel::rest).unwrap_or_default()
    }

    /// The connection is closed: takes what was never answered, in the order in which it was said.
    pub(super) fn drain(&mut self) -> Vec<Pending> {
        let mut rest: Vec<_> = self.0.drain().flat_map(|(_, channel)| channel.rest()).collect();
        rest.sort_by_key(|pending| pending.id);
        rest
    }
}

impl Channel {
    fn confirmed(&mut self, said: &Request) -> Vec<Pending> {
        let tag = said.field("delivery-tag").and_then(|tag| tag.parse().ok()).unwrap_or(0);
        match said.has("multiple") {
            false => self.unconfirmed.remove(&tag).into_iter().collect(),
            // All up to and including this one.
            true => {
                let later = self.unconfirmed.split_off(&(tag + 1));
                std::mem::replace(&mut self.unconfirmed, later).into_values().collect()
            }
        }
    }

    fn rest(self) -> Vec<Pending> {
        self.asked
            .into_iter()
            .map(|(_, asked)| asked)
            .chain(self.unconfirmed.into_values())
            .collect()
    }
}
