//! A session with a PostgreSQL, as small as the test bed's orders need: simple queries with
//! answers in text, over the protocol of version 3.0 (PostgreSQL's manual, "Frontend/Backend
//! Protocol"), which has been the same since 2003.
//!
//! The client that lessons use would cost the first lesson, which needs no PostgreSQL, half
//! as much build time again: docs/decisions/0009-postgres.md. There is no TLS, and none of
//! the passwords in MD5 that servers before version 14 ask for.
//!
//! It blocks, and no longer than its patience for each message.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::scram::{Exchange, MECHANISM};
use super::url::Target;
use crate::server::Address;

/// Version 3.0.
const PROTOCOL: u32 = 3 << 16;

/// No answer to an order of ours is longer: a length beyond it is not PostgreSQL speaking.
const LONGEST: usize = 1 << 24;

/// The answer to one query: its rows, each value as text or NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The server could not be reached, or was lost.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("{message}")]
    Server {
        /// Five characters, told in the manual's "PostgreSQL Error Codes".
        code: String,
        /// In words.
        message: String,
    },
    /// The server wants what this small client cannot do.
    #[error("{0}")]
    Unsupported(String),
}

/// A session that the server has welcomed.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<Stream>,
    settings: Vec<(String, String)>,
    pid: u32,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Session {
    /// Opens a session. Neither this nor a query waits longer than `patience` for a message.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn open(target: &Target, patience: Duration) -> Result<Self, Refusal> {
        let stream = BufReader::new(Stream::open(target.address(), patience)?);
        let mut session = Self { stream, settings: Vec::new(), pid: 0 };
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        let database = target.database();
        for word in ["user", target.user(), "database", database, "application_name", "testbed"] {
            body.extend(word.bytes().chain([0]));
        }
        body.push(0);
        session.send(None, &body)?;
        session.log_in(target.password())?;
        Ok(session)
    }

    /// A setting that the server tells unasked: `server_version`, `is_superuser`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut found = self.settings.iter().rev().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The server's process for this session.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Carries out one statement. What the words of it may contain is the caller's care:
    /// nothing is escaped.
    ///
    /// # Errors
    /// [`Refusal`]. After [`Refusal::Io`] the session is lost, and whether the server carried
    /// the statement out is not known.
    pub fn query(&mut self, sql: &str) -> Result<Rows, Refusal> {
        self.send(Some(b'Q'), &[sql.as_bytes(), &[0]].concat())?;
        let (mut rows, mut refused) = (Rows::new(), None);
        loop {
            match self.receive()? {
                (b'D', body) => rows.push(values(&body).ok_or_else(garbled)?),
                (b'E', body) => refused = Some(refusal(&body)),
                (b'Z', _) => return refused.map_or(Ok(rows), Err),
                // Column names, "done", notices, settings.
                _ => {}
            }
        }
    }

    /// Asks for one whole number that is not negative.
    ///
    /// # Errors
    /// [`Refusal`], also where something else is answered.
    pub fn number(&mut self, sql: &str) -> Result<usize, Refusal> {
        let value = self.query(sql)?.into_iter().flatten().flatten().next();
        Ok(value.and_then(|value| value.parse().ok()).ok_or_else(garbled)?)
    }

    /// Ends the session and waits until the server has, so that the next to count sessions
    /// does not count this one.
    pub fn close(mut self) {
        let _ = self.send(Some(b'X'), &[]);
        // What is left to come is the end.
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }

    fn log_in(&mut self, password: Option<&str>) -> Result<(), Refusal> {
        loop {
            let (kind, body) = self.receive()?;
            match (kind, body.as_slice()) {
                (b'R', [0, 0, 0, 0]) => {}
                (b'R', [0, 0, 0, 3]) => {
                    let password = password.ok_or_else(|| unsupported("it wants a password"))?;
                    self.send(Some(b'p'), &[password.as_bytes(), &[0]].concat())?;
                }
                (b'R', [0, 0, 0, 10, mechanisms @ ..]) => {
                    let known = words(mechanisms).any(|known| known == MECHANISM);
                    let password = password.ok_or_else(|| unsupported("it wants a password"))?;
                    if !known {
                        return Err(unsupported("it knows no SCRAM-SHA-256"));
                    }
                    self.prove(password)?;
                }
                (b'R', [0, 0, 0, 5, ..]) => {
                    return Err(unsupported(
                        "it wants a password in MD5; set password_encryption to scram-sha-256 \
                         there, and the password again",
                    ));
                }
                (b'R', _) => return Err(unsupported("it wants another log-in than a password")),
                (b'S', body) => {
                    let mut pair = words(body);
                    if let (Some(name), Some(value)) = (pair.next(), pair.next()) {
                        self.settings.push((name, value));
                    }
                }
                (b'K', [a, b, c, d, ..]) => self.pid = u32::from_be_bytes([*a, *b, *c, *d]),
                (b'E', body) => return Err(refusal(body)),
                (b'Z', _) => return Ok(()),
                _ => {}
            }
        }
    }

    fn prove(&mut self, password: &str) -> Result<(), Refusal> {
        let exchange = Exchange::new(password, &format!("{:032x}", rand::random::<u128>()));
        let opening = exchange.opening();
        let length = u32::try_from(opening.len()).unwrap_or(u32::MAX).to_be_bytes();
        let first = [MECHANISM.as_bytes(), &[0], &length, opening.as_bytes()].concat();
        self.send(Some(b'p'), &first)?;
        let challenge = self.said(11)?;
        let proof = exchange.answer(&challenge).ok_or_else(garbled)?;
        self.send(Some(b'p'), proof.answer.as_bytes())?;
        let last = self.said(12)?;
        match proof.convinces(&last) {
            true => Ok(()),
            false => Err(unsupported("it does not know the password itself")),
        }
    }

    /// The server's next words in an exchange.
    fn said(&mut self, expected: u8) -> Result<String, Refusal> {
        match self.receive()? {
            (b'R', body) if body.starts_with(&[0, 0, 0, expected]) => {
                Ok(String::from_utf8_lossy(&body[4..]).into_owned())
            }
            (b'E', body) => Err(refusal(&body)),
            _ => Err(garbled().into()),
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let kind: Vec<u8> = kind.into_iter().collect();
        self.stream.get_mut().write_all(&[&kind, &length.to_be_bytes()[..], body].concat())
    }

    fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, a, b, c, d] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let length = length.checked_sub(4).filter(|length| *length < LONGEST);
        let mut body = vec![0; length.ok_or_else(garbled)?];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

impl Drop for Session {
    /// Says good-bye; a connection that just ends is a line in the server's log.
    fn drop(&mut self) {
        let _ = self.send(Some(b'X'), &[]);
    }
}

impl Stream {
    fn open(address: &Address, patience: Duration) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Self::Unix(stream))
            }
            Address::Tcp(host, port) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, patience) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            stream.set_read_timeout(Some(patience))?;
                            stream.set_write_timeout(Some(patience))?;
                            return Ok(Self::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        };
        // What a system says of a time limit tells nobody anything.
        read.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")
            }
            _ => error,
        })
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The values of a row: their number in two bytes, and each with its length in four, which
/// is -1 for NULL.
fn values(body: &[u8]) -> Option<Vec<Option<String>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let value = match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Err(_) => None,
        };
        values.push(value);
    }
    Some(values)
}

/// What an error message says: fields that each begin with a letter and end with a zero.
fn refusal(body: &[u8]) -> Refusal {
    let field =
        |letter: char| words(body).find_map(|field| Some(field.strip_prefix(letter)?.to_owned()));
    Refusal::Server {
        code: field('C').unwrap_or_default(),
        message: field('M').unwrap_or_default(),
    }
}

fn words(body: &[u8]) -> impl Iterator<Item = String> + '_ {
    let words = body.split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned())
}

fn unsupported(why: &str) -> Refusal {
    Refusal::Unsupported(why.into())
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what answers is no PostgreSQL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_texts_and_nulls() {
        let row = [0, 3, 0, 0, 0, 2, b'h', b'i', 255, 255, 255, 255, 0, 0, 0, 0];
        assert_eq!(values(&row), Some(vec![Some("hi".into()), None, Some(String::new())]));
        assert_eq!(values(&row[..7]), None, "cut short");
    }

    #[test]
    fn a_refusal_has_a_code_and_words() {
        let said = refusal(b"SFATAL\0C28P01\0Mno such user\0\0");
        assert_eq!(said.to_string(), "no such user");
        assert!(matches!(said, Refusal::Server { code, .. } if code == "28P01"));
    }
}
