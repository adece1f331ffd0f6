//! The platform's debug API on loopback: for `simulate`, for `demo`, and for the tests. It is strict, so that a client which
//! works here works there: a missing header, a wrong scope or an unknown path gets the status and body a real API would give.

mod answer;
mod cxone;
mod genesys;
mod journal;
mod platform;
mod scenario;
mod sink;
mod throttle;
mod timeline;

pub use scenario::{Authentication, Call, Chance, Client, Fault, FixedWindow, Limits, Scenario, Script, Span, TokenBucket, Vendor};

use answer::{Answer, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use platform::{Platform, Refusal};
use serde_json::{Map, Value};
use sink::Sink;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The largest request that is read, in bytes.
const MAX_BODY: usize = 16 << 20;

/// A running simulator. It runs until the runtime ends.
#[derive(Clone)]
pub struct Running {
    /// The base of the API, such as `http://127.0.0.1:4711`.
    pub url: String,
    /// Where webhooks can be sent.
    pub webhook: String,
    house: Arc<House>,
}

impl Running {
    /// What was asked of it: `requests` in order; `executed`, how often each action was; `duplicates`; `throttled`.
    #[must_use]
    pub fn journal(&self) -> Value {
        self.house.platform.journal()
    }

    /// Revokes all tokens.
    pub fn revoke(&self) {
        self.house.platform.revoke();
    }

    /// Puts the platform's clock forward.
    pub fn advance(&self, by: Duration) {
        self.house.platform.advance(by);
    }
}

/// A request as a handler sees it.
pub(crate) struct Asked {
    method: hyper::Method,
    path: String,
    query: Option<String>,
    headers: hyper::HeaderMap,
    body: Bytes,
}

/// Starts a simulator. Webhooks it receives are appended to `deliveries`.
///
/// # Errors
/// Where the address cannot be listened on, or is not a loopback one.
pub async fn start(listen: SocketAddr, script: Script, deliveries: Option<PathBuf>) -> std::io::Result<Running> {
    if !listen.ip().is_loopback() {
        return Err(std::io::Error::other("the simulator listens on loopback addresses only"));
    }
    let listener = TcpListener::bind(listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let house = Arc::new(House { platform: Platform::new(script), sink: Sink::new(deliveries) });
    tokio::spawn(accept(listener, Arc::clone(&house)));
    Ok(Running { webhook: format!("{url}{}", sink::PATH), url, house })
}

struct House {
    platform: Platform,
    sink: Sink,
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    loop {
        // A client that is gone before it is accepted is no reason to stop serving the others.
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(stream, Arc::clone(&house)));
    }
}

async fn serve(stream: TcpStream, house: Arc<House>) {
    let _ = stream.set_nodelay(true);
    let Ok((stream, twin)) = twins(stream) else { return };
    let service = hyper::service::service_fn(|request| handle(&house, &twin, request));
    // An error here is a connection that was cut, by us or by the client.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A connection by two names: one is read and written, by the other it can be reset meanwhile.
fn twins(stream: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(twin)?))
}

async fn handle(house: &House, connection: &TcpStream, request: Request<Incoming>) -> Result<Response, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(std::io::Error::other)?.to_bytes();
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };
    let answer = if asked.path == sink::PATH { house.sink.receive(&asked) } else { house.platform.answer(&asked).await };
    match answer {
        Answer::Reply(response) => Ok(response),
        Answer::Cut => Err(std::io::Error::other("cut by the script")),
        Answer::Reset => {
            // With nothing to linger for, closing is resetting.
            let _ = connection.set_zero_linger();
            Err(std::io::Error::other("reset by the script"))
        }
    }
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request's body, which must be a JSON object and said to be one.
fn object_of(asked: &Asked) -> Result<Map<String, Value>, Refusal> {
    if asked.header("content-type") != Some("application/json") {
        return Err(Refusal(415, "Unsupported Media Type", "application/json is needed".to_owned()));
    }
    match serde_json::from_slice(&asked.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Refusal(422, "Unprocessable Content", "the body is not an object".to_owned())),
        Err(_) => Err(Refusal(400, "Bad Request", "the body is not JSON".to_owned())),
    }
}
