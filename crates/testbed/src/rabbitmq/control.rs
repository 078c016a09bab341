//! A connection to the hand that the test bed has inside a broker: `testbed_control.erl`.
//!
//! It blocks, and no longer than its patience for each answer.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::recipe::CONTROL;
use super::url::Target;
use crate::server::Address;

/// How long the broker may take to answer an order. It answers most in less than 10 ms, and
/// makes a virtual host in 25 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The broker could not be reached, or was lost, or is no broker of the test bed's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The broker said no.
    #[error("{0}")]
    Broker(String),
}

/// A connection. The virtual hosts that it has made go when it ends, however it ends.
#[derive(Debug)]
pub(super) struct Control {
    stream: BufReader<TcpStream>,
}

impl Control {
    /// To the broker that a URL of ours names.
    pub(super) fn of(target: &Target) -> Result<Self, Refusal> {
        let Address::Tcp(host, port) = target.address() else {
            return Err(Refusal::Broker("RabbitMQ has no unix socket".into()));
        };
        let port = port.checked_add(CONTROL).ok_or_else(|| no_hand("there is no such port"))?;
        let mut last = no_hand("the host has no address");
        for address in (host.as_str(), port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    let mut hand = Self { stream: BufReader::new(stream) };
                    hand.say(target.password())?;
                    return Ok(hand);
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    /// Gives one order and waits for its answer.
    pub(super) fn order(&mut self, order: &str) -> Result<Value, Refusal> {
        self.say(order)?;
        let mut answer = String::new();
        let read = self.stream.read_line(&mut answer).map_err(|error| match error.kind() {
            // What a system says of a time limit tells nobody anything.
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")
            }
            _ => error,
        })?;
        if read == 0 {
            return Err(no_hand("it ended the connection").into());
        }
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|_| no_hand("what answers is not the test bed"))?;
        match answer["error"].as_str() {
            Some(error) => Err(Refusal::Broker(error.into())),
            None => Ok(answer),
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())
    }
}

fn no_hand(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}
