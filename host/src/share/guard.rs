//! What stands between the client of registries and the network. A registry may redirect, send for a token elsewhere, or never stop
//! sending; the client follows all of it and has no hook to be asked. So it is given this as its proxy: on loopback, for the time of
//! one command, it connects to hosts that were named and to no other, in clear text only where that was said, and passes on no more
//! than a limit. It knows hosts and bytes; under TLS it sees nothing else. Writing a client of our own for this was the alternative:
//! as long, and less tried.

use super::ShareError;
use crate::http;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tower_service::Service as _;

/// The proxy. It ends when it is dropped.
pub(super) struct Guard {
    address: SocketAddr,
    state: Arc<State>,
    accepts: JoinHandle<()>,
}

/// Where connections may lead to, by host and port, and how much may come.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// Over TLS.
    pub(super) tls: BTreeSet<String>,
    /// In clear text.
    pub(super) plain: BTreeSet<String>,
    /// All bytes together.
    pub(super) most: u64,
    /// Who said so, for people.
    pub(super) registry: String,
}

struct State {
    allowed: Allowed,
    read: AtomicU64,
    refused: Mutex<Option<ShareError>>,
    failed: Mutex<Option<ShareError>>,
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Drop for Guard {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

impl Guard {
    pub(super) async fn start(allowed: Allowed) -> Result<Self, ShareError> {
        let failed = |e: io::Error| ShareError::failed(format!("no port could be listened on: {e}"), "check the loopback interface");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = Arc::new(State { allowed, read: AtomicU64::new(0), refused: Mutex::default(), failed: Mutex::default() });
        let accepts = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepts })
    }

    /// Its address, as a client is told of it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for and did not do.
    pub(super) fn refused(&self) -> Option<ShareError> {
        self.state.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it could not do: the client knows only that there was no answer.
    pub(super) fn failed(&self) -> Option<ShareError> {
        self.state.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let serve = hyper::service::service_fn(move |request| answer(request, Arc::clone(&state)));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).with_upgrades();
        connections.spawn(async move { drop(connection.await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Body>, hyper::Error> {
    let tunnel = request.method() == Method::CONNECT;
    let place = request.uri().authority().map(|authority| with_port(authority, if tunnel { 443 } else { 80 })).unwrap_or_default();
    let allowed = if tunnel { &state.allowed.tls } else { &state.allowed.plain };
    if !allowed.contains(&place) {
        let how = if tunnel { "" } else { " in clear text" };
        state.refuse(
            format!("{} sends us on to {place}{how}, which is not among its hosts", state.allowed.registry),
            &format!("if its operator says so, add it to share.also{}", if tunnel { "" } else { ", and share.scheme for clear text" }),
        );
        return Ok(short(StatusCode::FORBIDDEN, "refused"));
    }
    let answered = if tunnel { through(request, &place, &state).await } else { forwarded(request, &place, &state).await };
    Ok(answered.unwrap_or_else(|e| {
        state.fail(&place, &e);
        short(StatusCode::BAD_GATEWAY, "no answer")
    }))
}

/// Opens a tunnel, through the system's proxy where one is set.
async fn through(request: Request<Incoming>, place: &str, state: &Arc<State>) -> io::Result<Response<Body>> {
    let target: Uri = format!("https://{place}").parse().map_err(io::Error::other)?;
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let upstream = match Matcher::from_system().intercept(&target) {
        None => connector.call(target).await.map_err(io::Error::other)?.into_inner(),
        // A password must not go to it in clear text, nor words of HTTP to what speaks otherwise.
        Some(proxy) if proxy.uri().scheme_str() != Some("http") => {
            return Err(io::Error::other("the proxy of this system is no HTTP proxy, which is the one kind that is known here"));
        }
        Some(proxy) => {
            let tunnel = Tunnel::new(proxy.uri().clone(), connector);
            let mut tunnel = proxy.basic_auth().into_iter().fold(tunnel, |tunnel, auth| tunnel.with_auth(auth.clone()));
            tunnel.call(target).await.map_err(io::Error::other)?.into_inner()
        }
    };
    let mut upstream = Counted { stream: upstream, state: Arc::clone(state) };
    tokio::spawn(async move {
        if let Ok(client) = hyper::upgrade::on(request).await {
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut upstream).await;
        }
    });
    Ok(short(StatusCode::OK, ""))
}

/// Passes a request on in clear text.
async fn forwarded(mut request: Request<Incoming>, place: &str, state: &Arc<State>) -> io::Result<Response<Body>> {
    let stream = Counted { stream: TcpStream::connect(place).await?, state: Arc::clone(state) };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move { drop(connection.await) });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse().map_err(io::Error::other)?;
    *request.uri_mut() = path;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(response.map(|body| body.boxed()))
}

fn short(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn with_port(authority: &hyper::http::uri::Authority, default: u16) -> String {
    format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(default)).to_ascii_lowercase()
}

impl State {
    /// The first refusal counts: what comes after it comes of it.
    fn refuse(&self, what: String, help: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| ShareError::refused(what, help));
    }
}

impl State {
    fn fail(&self, place: &str, error: &io::Error) {
        // What lies at the root says most; above it are layers of "error".
        let cause = http::causes(error).last().map_or_else(String::new, ToString::to_string);
        let error = ShareError::failed(
            format!("{place}: cannot be reached: {cause}"),
            "check the registry's name and port, the network, and the proxy if there is one",
        );
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
    }
}

/// A connection of which no more is read than all of them together may.
struct Counted {
    stream: TcpStream,
    state: Arc<State>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let more = (buf.filled().len() - before) as u64;
        let most = self.state.allowed.most;
        if self.state.read.fetch_add(more, Ordering::Relaxed) + more > most {
            let registry = &self.state.allowed.registry;
            self.state.refuse(format!("{registry} sends more than {most} bytes"), "raise plugins.max_file_mib if you trust it");
            return Poll::Ready(Err(io::Error::other("too much")));
        }
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
