//! TLS and proxies: authorities of one's own, client certificates, a proxy on the way; certificates are checked whatever the settings say.

use crate::driver::{Bench, Simulator, completed, scenario, vector};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// An authority of a company's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as settings name it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, and its key.
    pub fn signs(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server for a name: TLS in front of a simulator. It asks for a certificate of a client where `clients` has an authority for them.
    fn serves(&self, name: &str, simulator: &Simulator, clients: Option<&Self>) -> SocketAddr {
        let (certificate, key) = self.signs(name, ExtendedKeyUsagePurpose::ServerAuth);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
            }
        };
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let (acceptor, to) = (TlsAcceptor::from(Arc::new(config)), simulator.url.trim_start_matches("http://").to_owned());
        listen(move |stream| {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut there = TcpStream::connect(&to).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut there).await;
            }
        })
    }
}

/// A server of its own thread, until the test ends.
fn listen<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
    });
    address
}

/// A proxy that takes every host for the one at `to`, and keeps what it was asked for.
fn proxy(to: SocketAddr, asked: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    listen(move |mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            asked.lock().unwrap().push(String::from_utf8(head).unwrap().lines().next().unwrap().to_owned());
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut there = TcpStream::connect(to).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut there).await;
        }
    })
}

fn simulator() -> Simulator {
    Simulator::of(&scenario(&completed(), &json!({})))
}

fn bench(simulator: &Simulator, url: &str, settings: &str) -> Bench {
    let mut bench = Bench::against(simulator);
    bench.env("CXONE_BASE_URL", url).settings(&format!("attempts = 2\n{settings}"));
    bench
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_its_file_is_named_and_not_otherwise() {
    let (simulator, authority) = (simulator(), Authority::new());
    let url = format!("https://localhost:{}", authority.serves("localhost", &simulator, None).port());
    let done = bench(&simulator, &url, "").run(&vector());
    assert_eq!(done.code, 3);
    let problem = done.outcome()["problem"].as_str().unwrap().to_owned();
    assert!(problem.starts_with("unreachable: no token after 2 attempts: ") && problem.to_lowercase().contains("certificate"), "{problem}");
    let doctor = bench(&simulator, &url, "").tracejury(&["doctor"]);
    assert!(doctor.code == 3 && doctor.stdout.contains("failure  api.base_url TLS: "), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("name its file in tls.ca_file"), "{}", doctor.stdout);
    let trusting = bench(&simulator, &url, "[tls]\nca_file = 'ca.pem'\n");
    trusting.file("ca.pem", authority.pem());
    assert_eq!(trusting.run(&vector()).code, 0);
    let doctor = trusting.tracejury(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("ok       api.base_url TLS: the certificate holds"), "{}", doctor.stdout);
}

#[test]
fn a_certificate_for_another_name_is_refused_and_nothing_can_switch_that_off() {
    let (simulator, authority) = (simulator(), Authority::new());
    let url = format!("https://localhost:{}", authority.serves("elsewhere.example", &simulator, None).port());
    let mut bench = bench(&simulator, &url, "[tls]\nca_file = 'ca.pem'\n");
    bench.file("ca.pem", authority.pem());
    for variable in ["NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "GIT_SSL_NO_VERIFY"] {
        bench.env(variable, "0");
    }
    assert_eq!(bench.run(&vector()).code, 3);
    assert!(simulator.requests("").is_empty());
    for setting in ["insecure = true", "verify = false", "danger_accept_invalid_certs = true"] {
        bench.settings(&format!("[tls]\n{setting}\n"));
        let done = bench.run(&vector());
        assert!(done.code == 2 && done.stderr.contains("unknown field"), "{}", done.stderr);
    }
}

#[test]
fn a_client_certificate_is_presented_to_the_platform() {
    let (simulator, authority, clients) = (simulator(), Authority::new(), Authority::new());
    let url = format!("https://localhost:{}", authority.serves("localhost", &simulator, Some(&clients)).port());
    let (certificate, key) = clients.signs("runner", ExtendedKeyUsagePurpose::ClientAuth);
    let without = bench(&simulator, &url, "[tls]\nca_file = 'ca.pem'\n");
    without.file("ca.pem", authority.pem());
    assert_eq!(without.run(&vector()).code, 3);
    let with = bench(&simulator, &url, "[tls]\nca_file = 'ca.pem'\nclient_certificate = 'client.pem'\nclient_key = 'client.key'\n");
    with.file("ca.pem", authority.pem());
    with.file("client.pem", certificate.pem());
    with.file("client.key", key.serialize_pem());
    assert_eq!(with.run(&vector()).code, 0);
    with.file("client.key", "nonsense");
    let done = with.run(&vector());
    assert!(
        done.code == 2 && done.stderr.starts_with("error: tls: client.pem: holds no certificate with its private key"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_standard_variables_name_a_proxy_and_what_goes_without() {
    let (simulator, authority) = (simulator(), Authority::new());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let proxy = proxy(authority.serves("platform.example", &simulator, None), Arc::clone(&asked));
    let mut bench = bench(&simulator, "https://platform.example", "[tls]\nca_file = 'ca.pem'\n");
    bench.file("ca.pem", authority.pem());
    bench.env("HTTPS_PROXY", &format!("http://user:hunter2@{proxy}"));
    let done = bench.run(&vector());
    assert_eq!(done.code, 0, "{done:?}");
    assert!(asked.lock().unwrap().iter().all(|line| line == "CONNECT platform.example:443 HTTP/1.1"), "{asked:?}");
    let doctor = bench.tracejury(&["doctor"]);
    assert!(
        doctor.code == 0 && doctor.stdout.contains(&format!("ok       api.base_url proxy: by way of http://{proxy}\n")),
        "{}",
        doctor.stdout
    );
    assert!(!doctor.stdout.contains("hunter2"));
    bench.env("NO_PROXY", "platform.example");
    let before = asked.lock().unwrap().len();
    assert_eq!((bench.run(&vector()).code, asked.lock().unwrap().len()), (3, before), "without the proxy there is no such host");
}
