//! Answers, whole and broken.

use super::scenario::Fault;
use base64::Engine as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Channel, Full};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json as object};
use std::io::{Error, Write as _};
use std::time::Duration;

/// An answer's body, which may break off.
pub(super) type Body = BoxBody<Bytes, Error>;
/// An answer.
pub(super) type Response = hyper::Response<Body>;

/// What becomes of a request.
pub(super) enum Answer {
    Reply(Response),
    /// The connection is closed.
    Cut,
    /// The connection is reset.
    Reset,
}

/// A JSON answer.
pub(super) fn json(status: u16, body: &Value) -> Response {
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    reply(status, kind, body.to_string().into_bytes())
}

/// An answer of any kind.
pub(super) fn reply(status: u16, content_type: &str, body: Vec<u8>) -> Response {
    let whole = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(whole.boxed());
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// The answer that a fault has of its own.
pub(super) fn of_fault(fault: &Fault) -> Response {
    let status = fault.status.unwrap_or(200);
    let problem = || object!({"type": "about:blank", "title": "scripted", "status": status}).to_string().into_bytes();
    let decoded = fault.body_base64.as_ref().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let body = decoded.or_else(|| fault.body.clone().map(String::into_bytes)).unwrap_or_else(problem);
    let mut response = reply(status, fault.content_type.as_deref().unwrap_or("application/problem+json"), body);
    if let Some(value) = fault.retry_after.as_deref().and_then(|v| v.parse().ok()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// What a fault does to an answer's body.
pub(super) async fn broken(response: Response, fault: &Fault) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if fault.gzip {
        bytes = compressed(&bytes);
        parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if fault.slow_ms == 0 && fault.truncate.is_none() && !fault.endless {
        return Response::from_parts(parts, Full::new(bytes).map_err(|never| match never {}).boxed());
    }
    let (mut sender, body) = Channel::new(1);
    let fault = fault.clone();
    tokio::spawn(async move {
        let sent = bytes.slice(..fault.truncate.unwrap_or(bytes.len()).min(bytes.len()));
        let pieces = if fault.slow_ms == 0 { 1 } else { 50 };
        for piece in sent.chunks(sent.len().div_ceil(pieces).max(1)) {
            tokio::time::sleep(Duration::from_millis(fault.slow_ms / 50)).await;
            if sender.send(Frame::data(Bytes::copy_from_slice(piece))).await.is_err() {
                return;
            }
        }
        while fault.endless && sender.send(Frame::data(Bytes::from_static(&[b' '; 1 << 16]))).await.is_ok() {}
        if fault.truncate.is_some() {
            sender.abort(Error::other("cut by the script"));
        }
    });
    Response::from_parts(parts, body.boxed())
}

fn compressed(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into()
}
