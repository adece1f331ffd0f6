//! Looking at a host from outside, stage by stage: what a person does with four tools when a connection does not come about.

use super::{Http, causes, chain, is_loopback};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The stages of reaching a host, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The host's name, or the proxy's, has addresses.
    Dns,
    /// One of them takes a connection.
    Tcp,
    /// The certificate holds.
    Tls,
    /// A request is answered, by whatever status.
    Http,
}

impl Stage {
    /// The stage's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        }
    }
}

/// What was found at a host.
#[derive(Debug)]
pub struct Found {
    /// Each stage up to the one that failed, with what was found or what is wrong.
    pub stages: Vec<(Stage, Result<String, String>)>,
    /// The proxy on the way, without its credentials.
    pub proxy: Option<String>,
    /// How far the host's clock, by its `Date`, is ahead of ours, in seconds; to the second, as `Date` is.
    pub ahead: Option<i64>,
}

impl Http {
    /// Tries to reach the host of `url`, with a GET of its root that carries nothing.
    pub async fn probe(&self, url: &reqwest::Url, patience: Duration) -> Found {
        let mut found = Found { stages: Vec::new(), proxy: None, ahead: None };
        let proxy = proxy_for(url);
        // With a proxy it is the proxy that has to be found; it looks for the host itself.
        let (host, port) = proxy.as_ref().map_or_else(|| place(url), place);
        found.proxy = proxy.as_ref().map(|proxy| format!("{}://{}", proxy.scheme(), at(&host, port)));
        let looked_up = timeout(patience, tokio::net::lookup_host((host.trim_matches(['[', ']']), port))).await;
        let addresses: Vec<_> = match looked_up {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(e)) => return found.failed(Stage::Dns, format!("{host}: {e}")),
            Err(_) => return found.failed(Stage::Dns, format!("{host}: no answer in time")),
        };
        let list = addresses.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>().join(", ");
        found.passed(Stage::Dns, format!("{host}: {list}"));
        match timeout(patience, TcpStream::connect(addresses.as_slice())).await {
            Ok(Ok(stream)) => {
                let peer = stream.peer_addr().map_or_else(|_| at(&host, port), |peer| peer.to_string());
                found.passed(Stage::Tcp, format!("connected to {peer}"));
            }
            Ok(Err(e)) => return found.failed(Stage::Tcp, format!("{}: {e}", at(&host, port))),
            Err(_) => return found.failed(Stage::Tcp, format!("{}: no connection in time", at(&host, port))),
        }
        self.ask(url, patience, found).await
    }

    /// TLS and HTTP, by the very client that a run uses: with its authorities, its certificate and its proxies.
    async fn ask(&self, url: &reqwest::Url, patience: Duration, mut found: Found) -> Found {
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        match self.get(root.as_str()).timeout(patience).send().await {
            Ok(response) => {
                if url.scheme() == "https" {
                    found.passed(Stage::Tls, "the certificate holds".to_owned());
                }
                found.ahead = response.headers().get(reqwest::header::DATE).and_then(|v| ahead(v.to_str().ok()?, SystemTime::now()));
                // By what status says nothing: nobody asks for anything there.
                found.passed(Stage::Http, "answers".to_owned());
                found
            }
            Err(e) if is_tls(&e) || (url.scheme() == "https" && e.is_connect()) => found.failed(Stage::Tls, chain(&e)),
            Err(e) => {
                if url.scheme() == "https" {
                    found.passed(Stage::Tls, "the certificate holds".to_owned());
                }
                found.failed(Stage::Http, chain(&e))
            }
        }
    }
}

impl Found {
    fn passed(&mut self, stage: Stage, what: String) {
        self.stages.push((stage, Ok(what)));
    }

    fn failed(mut self, stage: Stage, what: String) -> Self {
        self.stages.push((stage, Err(what)));
        self
    }
}

fn place(url: &reqwest::Url) -> (String, u16) {
    (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(443))
}

fn at(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

/// The proxy that the standard variables name for `url`, as the client reads them.
#[must_use]
pub fn proxy_for(url: &reqwest::Url) -> Option<reqwest::Url> {
    if is_loopback(url) {
        return None;
    }
    let intercept = hyper_util::client::proxy::matcher::Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    reqwest::Url::parse(&intercept.uri().to_string()).ok()
}

fn ahead(date: &str, now: SystemTime) -> Option<i64> {
    let seconds = |time: SystemTime| i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok();
    Some(seconds(httpdate::parse_http_date(date).ok()?)? - seconds(now)?)
}

/// Whether rustls is among the causes.
fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_to_the_second() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(ahead("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(0));
        assert_eq!(ahead("Sun, 06 Nov 1994 08:54:37 GMT", now), Some(300));
        assert_eq!(ahead("Sun, 06 Nov 1994 08:48:37 GMT", now), Some(-60));
        assert_eq!(ahead("today", now), None);
    }
}
