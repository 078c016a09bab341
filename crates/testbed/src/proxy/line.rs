//! One connection of a client, from the door to the server.

use super::amqp;
use super::connection;
use super::pgwire::Pgwire;
use super::resp::Resp;
use super::{Protocol, Shared};
use crate::server::Address;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

pub(super) async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(Line::begin(&shared), client.into_split()));
    }
}

pub(super) async fn accept_at_port(shared: Arc<Shared>, listener: TcpListener) {
    while let Ok((client, _)) = listener.accept().await {
        // It begins before it is asked whether to refuse: who refuses says so first and kills then,
        // and what comes between the two must not live on.
        let line = Line::begin(&shared);
        if !shared.refusing.load(Ordering::SeqCst) {
            let _ = client.set_nodelay(true);
            tokio::spawn(serve(line, client.into_split()));
        }
    }
}

/// One connection of the client, and the proxy that it goes through.
pub(super) struct Line {
    shared: Arc<Shared>,
    born: u64,
}

impl std::ops::Deref for Line {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Line {
    fn begin(shared: &Arc<Shared>) -> Line {
        Line { shared: Arc::clone(shared), born: *shared.generation.borrow() }
    }

    /// Waits until the connection is killed.
    async fn killed(&self) {
        // The sender lives in `shared`.
        let mut generation = self.generation.subscribe();
        let _ = generation.wait_for(|generation| *generation > self.born).await;
    }

    /// Waits while nothing moves. Whatever is about to go on asks this first; on a connection that
    /// is killed it never does, so nothing that is said after a kill gets an answer.
    pub(super) async fn flows(&self) {
        let _ = self.flowing.subscribe().wait_for(|flowing| *flowing).await;
        if *self.generation.borrow() > self.born {
            std::future::pending::<()>().await;
        }
    }
}

async fn serve(line: Line, client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin)) {
    tokio::select! {
        () = line.killed() => {}
        () = connect_and_carry(&line, client) => {}
    }
}

async fn connect_and_carry(line: &Line, client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin)) {
    // Where the server cannot be reached, dropping the client's socket tells it so.
    match line.upstream.clone() {
        Address::Unix(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                carry(line, client, server.into_split()).await;
            }
        }
        Address::Tcp(host, port) => {
            if let Ok(server) = TcpStream::connect((host, port)).await {
                let _ = server.set_nodelay(true);
                carry(line, client, server.into_split()).await;
            }
        }
    }
}

async fn carry(
    line: &Line,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    match line.protocol {
        Protocol::Redis => connection::carry::<Resp>(line, client, server).await,
        Protocol::Postgres => connection::carry::<Pgwire>(line, client, server).await,
        Protocol::Rabbitmq => amqp::carry(line, client, server).await,
    }
}
