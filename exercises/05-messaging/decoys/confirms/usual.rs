//! What most of the wrong answers get right: each changes one thing of it.
//!
//! It takes the message that comes with a confirm for that confirm's own, as lapin's examples do.

use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPErrorKind;
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use messaging::confirms::{NotConfirmed, Options, Publisher};
use messaging::{Broker, Error, Message, broker};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// When a channel is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    WhenLost,
    /// When the connection is lost, which it is not when the broker closes a channel.
    WhenDisconnected,
    Once,
    ForEach,
}

/// When room in the window comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    WhenConfirmed,
    WithTheCaller,
    UnlessLost,
    UnlessRefused,
    Unbounded,
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + 'static {
    const CONFIRMS: bool = true;
    const MANDATORY: bool = true;
    const OPENS: Opens = Opens::WhenLost;
    const ROOM: Room = Room::WhenConfirmed;
    const LOCKS_ACROSS: bool = false;
    const ONE_BY_ONE: bool = false;
    const FIRST_ERROR_ENDS: bool = false;
    const ALL_OR_NOTHING: bool = false;
    const ONE_DEADLINE: bool = false;
    const SPAWNS_EACH: bool = false;
    const WINDOW_FOR_EACH: bool = false;
    const GIVES_UP: bool = true;
    const OPENS_IN_OPEN: bool = false;

    fn timeout(options: &Options) -> Duration {
        options.timeout
    }

    fn properties(message: &Message) -> BasicProperties {
        message.properties()
    }

    fn body(message: &Message) -> &[u8] {
        &message.body
    }

    fn returned(key: &str, _: &BasicReturnMessage) -> Result<(), NotConfirmed> {
        Err(NotConfirmed::Unroutable { key: key.to_owned() })
    }

    fn refused() -> Result<(), NotConfirmed> {
        Err(NotConfirmed::Refused)
    }

    fn lost(error: Error) -> Result<(), NotConfirmed> {
        Err(NotConfirmed::Unknown(error))
    }
}

/// A publisher as most people would write it, with one step of `U`.
pub(super) struct Usually<U>(pub(super) Arc<Inside>, PhantomData<U>);

pub(super) struct Inside {
    pub(super) broker: Broker,
    pub(super) options: Options,
    pub(super) channel: Mutex<Option<Channel>>,
    pub(super) window: Arc<Semaphore>,
    locked: Arc<Mutex<()>>,
}

impl Inside {
    pub(super) fn open(url: &str, options: Options, timeout: Duration) -> Result<Inside, Error> {
        let connection = broker::Options { timeout, ..broker::Options::default() };
        let broker = Broker::open(url, connection)?;
        let window = Arc::new(Semaphore::new(options.window));
        Ok(Inside { broker, options, channel: Mutex::default(), window, locked: Arc::default() })
    }

    pub(super) async fn channel(&self, opens: Opens, confirms: bool) -> Result<Channel, Error> {
        let mut current = self.channel.lock().await;
        let is_of_use = current.as_ref().is_some_and(|channel| match opens {
            Opens::WhenLost => channel.status().connected(),
            // What was closed by the broker is not disconnected.
            Opens::WhenDisconnected => true,
            Opens::Once => true,
            Opens::ForEach => false,
        });
        if let Some(channel) = current.as_ref().filter(|_| is_of_use) {
            return Ok(channel.clone());
        }
        let channel = self.broker.channel().await?;
        if confirms {
            let options = ConfirmSelectOptions::default();
            self.broker.answer(channel.confirm_select(options)).await?;
        }
        *current = Some(channel.clone());
        Ok(channel)
    }

    async fn give_up(&self, opens: Opens, error: &Error) {
        let lost = match opens {
            Opens::Once => false,
            Opens::WhenDisconnected => !closed_by_the_broker(error),
            Opens::WhenLost | Opens::ForEach => true,
        };
        if lost {
            *self.channel.lock().await = None;
        }
    }
}

/// Whether only the channel is lost.
fn closed_by_the_broker(error: &Error) -> bool {
    let Error::Broker(error) = error else { return false };
    match error.kind() {
        ErrorKind::ProtocolError(error) => matches!(error.kind(), AMQPErrorKind::Soft(_)),
        ErrorKind::InvalidChannelState(..) => true,
        _ => false,
    }
}

type Calling = JoinHandle<Result<(), NotConfirmed>>;

impl<U: Usual> Usually<U> {
    /// Puts it on the wire. What becomes of it is the task's.
    pub(super) async fn post(&self, exchange: &str, message: &Message) -> Result<Calling, Error> {
        let inside = Arc::clone(&self.0);
        let room = match U::ROOM {
            Room::Unbounded => None,
            _ => {
                let room = Arc::clone(&inside.window).acquire_owned();
                let room = tokio::time::timeout(U::timeout(&inside.options), room).await;
                room.map_err(|_| Error::Slow(inside.options.timeout))?.ok()
            }
        };
        let locked = match U::LOCKS_ACROSS {
            true => Some(Arc::clone(&inside.locked).lock_owned().await),
            false => None,
        };
        let channel = inside.channel(U::OPENS, U::CONFIRMS).await?;
        let options = BasicPublishOptions { mandatory: U::MANDATORY, ..Default::default() };
        let (exchange, key) = (exchange.to_owned(), message.key.clone());
        let publish = channel.basic_publish(
            exchange.as_str().into(),
            key.as_str().into(),
            options,
            U::body(message),
            U::properties(message),
        );
        let confirm = match inside.broker.answer(publish).await {
            Ok(confirm) => confirm,
            Err(error) => {
                inside.give_up(U::OPENS, &error).await;
                forget(room.filter(|_| U::ROOM == Room::UnlessLost));
                return Err(error);
            }
        };
        Ok(tokio::spawn(async move {
            let answer = inside.broker.answer(confirm).await;
            drop(locked);
            match answer {
                Ok(Confirmation::Ack(None)) | Ok(Confirmation::NotRequested) => Ok(()),
                Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                    U::returned(&key, &returned)
                }
                Ok(Confirmation::Nack(None)) => {
                    forget(room.filter(|_| U::ROOM == Room::UnlessRefused));
                    U::refused()
                }
                Err(error) => {
                    if U::GIVES_UP {
                        inside.give_up(U::OPENS, &error).await;
                    }
                    forget(room.filter(|_| U::ROOM == Room::UnlessLost));
                    U::lost(error)
                }
            }
        }))
    }

    async fn one(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        // For those in which it goes when the caller does.
        let inside = &self.0;
        let _room = match U::ROOM {
            Room::WithTheCaller => Some(inside.window.acquire().await.expect("nobody closes it")),
            _ => None,
        };
        match U::ROOM {
            Room::WithTheCaller => self.bare(exchange, message).await,
            _ => match self.post(exchange, message).await {
                Ok(calling) => calling.await.expect("no panic"),
                Err(error) => U::lost(error),
            },
        }
    }

    /// All in the caller's own hands.
    pub(super) async fn bare(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        let inside = &self.0;
        let channel = inside.channel(U::OPENS, U::CONFIRMS).await?;
        let options = BasicPublishOptions { mandatory: U::MANDATORY, ..Default::default() };
        let (exchange, key) = (exchange.into(), message.key.as_str().into());
        let publish =
            channel.basic_publish(exchange, key, options, U::body(message), U::properties(message));
        let confirm = inside.broker.answer(publish).await?;
        match inside.broker.answer(confirm).await? {
            Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                U::returned(&message.key, &returned)
            }
            Confirmation::Nack(None) => U::refused(),
        }
    }
}

fn forget(room: Option<OwnedSemaphorePermit>) {
    room.into_iter().for_each(OwnedSemaphorePermit::forget);
}

impl<U: Usual> Publisher for Usually<U> {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        if U::OPENS_IN_OPEN {
            let address = url.rsplit('@').next().and_then(|rest| rest.split('/').next());
            let connected = address.map(std::net::TcpStream::connect);
            // It is there if it says something, or waits for us to.
            if let Some(Ok(mut stream)) = connected {
                use std::io::{Read, Write};
                let _ = stream.set_read_timeout(Some(options.timeout));
                let _ = stream.write_all(b"AMQP\x00\x00\x09\x01");
                let said = stream.read(&mut [0; 1]).unwrap_or(0);
                if said == 0 {
                    let closed = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    return Err(Error::Broker(closed.into()));
                }
            }
        }
        let timeout = U::timeout(&options);
        Ok(Usually(Arc::new(Inside::open(url, options, timeout)?), PhantomData))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.one(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        if U::SPAWNS_EACH {
            let spawn = |message: &Message| {
                let own = Usually::<U>(Arc::clone(&self.0), PhantomData);
                let (exchange, message) = (exchange.to_owned(), message.clone());
                tokio::spawn(async move { own.one(&exchange, &message).await })
            };
            let tasks: Vec<Calling> = messages.iter().map(spawn).collect();
            let mut became = Vec::new();
            for task in tasks {
                became.push(task.await.expect("no panic"));
            }
            return became;
        }
        if U::ONE_BY_ONE || U::ROOM == Room::WithTheCaller {
            let mut became = Vec::new();
            for message in messages {
                became.push(self.one(exchange, message).await);
            }
            return became;
        }
        let own = match U::WINDOW_FOR_EACH {
            true => Some(Arc::new(Semaphore::new(self.0.options.window))),
            false => None,
        };
        let began = Instant::now();
        let mut calling = Vec::new();
        for message in messages {
            calling.push(match &own {
                None => self.post(exchange, message).await,
                Some(own) => self.post_within(own, exchange, message).await,
            });
        }
        let mut became: Vec<Result<(), NotConfirmed>> = Vec::new();
        for calling in calling {
            let outcome = match calling {
                Ok(calling) => calling.await.expect("no panic"),
                Err(error) => U::lost(error),
            };
            let failed = outcome.is_err();
            became.push(outcome);
            if failed && U::FIRST_ERROR_ENDS {
                let unknown = || Err(Error::Slow(Duration::ZERO).into());
                became.resize_with(messages.len(), unknown);
                break;
            }
        }
        let lost = became.iter().find_map(|outcome| match outcome {
            Err(NotConfirmed::Unknown(error)) if U::ALL_OR_NOTHING => Some(error.clone()),
            _ if U::ONE_DEADLINE && began.elapsed() > self.0.options.timeout => {
                Some(Error::Slow(self.0.options.timeout))
            }
            _ => None,
        });
        match lost {
            Some(error) => messages.iter().map(|_| U::lost(error.clone())).collect(),
            None => became,
        }
    }
}

impl<U: Usual> Usually<U> {
    async fn post_within(
        &self,
        window: &Arc<Semaphore>,
        exchange: &str,
        message: &Message,
    ) -> Result<Calling, Error> {
        let room = Arc::clone(window).acquire_owned().await;
        let calling = self.post(exchange, message).await?;
        Ok(tokio::spawn(async move {
            let outcome = calling.await.expect("no panic");
            drop(room);
            outcome
        }))
    }
}
