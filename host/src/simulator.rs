//! The platform's debug API on loopback: for `simulate`, for `demo`, and for the tests. It is strict, so that a client which
//! works here works there: a missing header, a wrong scope or an unknown path gets the status and body a real API would give.

mod platform;
mod scenario;
mod sink;

pub use scenario::{Client, Fault, Scenario, Script};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use platform::Platform;
use sink::Sink;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The largest request that is read, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Where things are on a running simulator.
#[derive(Debug, Clone)]
pub struct Running {
    /// The base of the API, such as `http://127.0.0.1:4711`.
    pub url: String,
    /// Where webhooks can be sent.
    pub webhook: String,
}

/// A request as a handler sees it.
pub(crate) struct Asked {
    method: hyper::Method,
    path: String,
    query: Option<String>,
    headers: hyper::HeaderMap,
    body: Bytes,
}

/// An answer, or the will to cut the connection instead.
pub(crate) enum Answer {
    Reply(Response<Full<Bytes>>),
    Cut,
}

/// Starts a simulator; it runs until the runtime ends. Webhooks it receives are appended to `deliveries`.
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
    tokio::spawn(accept(listener, house));
    Ok(Running { webhook: format!("{url}{}", sink::PATH), url })
}

struct House {
    platform: Platform,
    sink: Sink,
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    loop {
        // A client that is gone before it is accepted is no reason to stop serving the others.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| handle(&house, request));
            // An error here is a connection that was cut, by us or by the client.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(house: &House, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
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
    }
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    reply(status, kind, body.to_string())
}

/// An answer of any kind.
pub(crate) fn reply(status: u16, content_type: &str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
    }
    response
}
