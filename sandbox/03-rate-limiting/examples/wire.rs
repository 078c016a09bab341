//! HTTP/1.1 over real sockets, as far as an example needs it: one request a connection, short
//! bodies. A server would take hyper; here it would be most of what a learner has to build.

use http::{Request, Response, StatusCode};
use rate_limiting::http_limits::Handler;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// No head of a request or an answer is longer.
const LONGEST: u64 = 16 * 1024;

/// A service that listens on loopback, until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves `service` on a free port. Each request has the other end's [`SocketAddr`] among its
    /// extensions.
    ///
    /// # Errors
    /// No port is free.
    pub async fn serve(
        service: impl Handler<String, String, Error = Infallible>,
    ) -> io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                // A connection that breaks is its client's business.
                tokio::spawn(answer(stream, peer, service.clone()));
            }
        });
        Ok(Server { address, task })
    }

    /// Asks for `path` on a connection of its own.
    ///
    /// # Errors
    /// The connection broke, or what came back is no HTTP.
    pub async fn get(
        &self,
        path: &str,
        headers: &[(&str, String)],
    ) -> io::Result<Response<String>> {
        let mut stream = TcpStream::connect(self.address).await?;
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: example\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all((text + "\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.take(LONGEST).read_to_string(&mut text).await?;
        parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no HTTP"))
    }
}

/// `HTTP/1.1 200 OK`, lines of headers, an empty line, the body.
fn parse(text: &str) -> Option<Response<String>> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status: StatusCode = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        response = response.header(name, value);
    }
    response.body(body.to_owned()).ok()
}

async fn answer(
    mut stream: TcpStream,
    peer: SocketAddr,
    mut service: impl Handler<String, String, Error = Infallible>,
) -> io::Result<()> {
    let Some(mut request) = read(&mut stream).await? else {
        return Ok(());
    };
    request.extensions_mut().insert(peer);
    let ready = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(response) = match ready {
        Ok(()) => service.call(request).await,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    let mut text = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", head.status, body.len());
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    stream.write_all((text + "\r\n" + &body).as_bytes()).await
}

/// One request without a body, or nothing where the client sent no HTTP.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Request<String>>> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part).await? {
            0 => return Ok(None),
            read if head.len() as u64 > LONGEST - read as u64 => return Ok(None),
            read => head.extend_from_slice(&part[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.trim_end().lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = Request::builder();
    if let (Some(method), Some(path)) = (first.next(), first.next()) {
        request = request.method(method).uri(path);
    }
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    Ok(request.body(String::new()).ok())
}
