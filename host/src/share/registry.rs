//! A registry, spoken to with `oci-client` behind the guard. It knows how artifacts and signatures lie there, not whom to trust.

use super::artifact::{Blob, blobs, with_rest};
use super::guard::{Allowed, Guard};
use super::{Artifact, Reference, ShareError, Signatures, credentials};
use crate::config::{Scheme, Share};
use crate::http;
use crate::model::Digest;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// How many tags are asked for at a time, and how often.
const TAGS: usize = 1000;
const PAGES: usize = 100;

/// A registry, for one command.
pub struct Registry {
    client: Client,
    guard: Guard,
    auth: RegistryAuth,
    /// The largest component, in bytes.
    most: u64,
    /// How long all of an artifact may take.
    deadline: Duration,
}

/// How many times as long as one answer may be silent all of an artifact may take.
const PATIENCE: u32 = 20;

impl Registry {
    /// The registry of a reference, for components of no more than `most` bytes; trusting the system's authorities, and those of a file.
    ///
    /// # Errors
    /// Settings or credentials cannot be used.
    pub async fn open(settings: &Share, authorities: &Path, reference: &Reference, most: u64) -> Result<Self, ShareError> {
        http::choose_cryptography();
        let (host, name) = (reference.inner().resolve_registry().to_owned(), reference.registry());
        let plain = match settings.scheme.get(name) {
            Some(scheme) => *scheme == Scheme::Http,
            None => reqwest::Url::parse(&format!("http://{host}")).is_ok_and(|url| http::is_loopback(&url)),
        };
        let mut allowed = Allowed { most: with_rest(most), registry: name.to_owned(), ..Allowed::default() };
        let port = |host: &str, default: u16| {
            let host = host.to_ascii_lowercase();
            if has_port(&host) { host } else { format!("{host}:{default}") }
        };
        if plain {
            allowed.plain.insert(port(&host, 80));
        } else {
            allowed.tls.insert(port(&host, 443));
        }
        for also in settings.also.get(name).into_iter().flatten() {
            match settings.scheme.get(also) {
                Some(Scheme::Http) => allowed.plain.insert(port(also, 80)),
                _ => allowed.tls.insert(port(also, 443)),
            };
        }
        let guard = Guard::start(allowed).await?;
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: certificates(authorities)?,
            platform_resolver: None,
            read_timeout: Some(settings.timeout.duration()),
            connect_timeout: Some(settings.timeout.duration()),
            user_agent: concat!("tracejury/", env!("CARGO_PKG_VERSION")),
            https_proxy: Some(guard.url()),
            http_proxy: Some(guard.url()),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|e| ShareError::failed(format!("{name}: {e}"), "check tls.ca_file"))?;
        let auth = credentials::of(name)?;
        Ok(Self { client, guard, auth, most, deadline: settings.timeout.duration() * PATIENCE })
    }

    /// An artifact with its signatures.
    ///
    /// # Errors
    /// It is not there, is none, is not what its digests say, or comes so slowly that somebody may want us to wait forever.
    pub async fn pull(&self, reference: &Reference) -> Result<(Artifact, Signatures), ShareError> {
        self.within(reference, async {
            self.log_in(reference, RegistryOperation::Pull).await?;
            let manifest = self.manifest(reference).await?;
            let digest = Digest::of(&manifest);
            if reference.digest().is_some_and(|pinned| pinned != digest) {
                let what = format!("{reference}: the registry gives {digest} in place of what was asked for");
                return Err(ShareError::refused(what, "ask its operator what happened"));
            }
            let blobs = blobs(&manifest, self.most)?;
            let (config, component) = (self.blob(reference, blobs.config).await?, self.blob(reference, blobs.component).await?);
            let artifact = Artifact::read(manifest, config, component)?;
            let signatures = self.signatures_of(reference, artifact.digest).await?;
            Ok((artifact, signatures))
        })
        .await
    }

    /// The digest that a reference stands for now.
    ///
    /// # Errors
    /// It is not there.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, ShareError> {
        self.within(reference, async {
            self.log_in(reference, RegistryOperation::Pull).await?;
            self.manifest(reference).await.map(|manifest| Digest::of(&manifest))
        })
        .await
    }

    /// The signatures of the manifest of this digest.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn signatures(&self, reference: &Reference, digest: Digest) -> Result<Signatures, ShareError> {
        self.within(reference, self.signatures_of(reference, digest)).await
    }

    async fn signatures_of(&self, reference: &Reference, digest: Digest) -> Result<Signatures, ShareError> {
        let place = reference.signatures_of(digest);
        let manifest = match self.manifest(&place).await {
            Err(ShareError::Absent(_)) => return Ok(Signatures::default()),
            other => other?,
        };
        let mut payloads = Vec::new();
        for blob in Signatures::blobs(&manifest)? {
            payloads.push(self.blob(&place, blob).await?);
        }
        Signatures::read(&manifest, payloads)
    }

    /// Writes an artifact under its reference.
    ///
    /// # Errors
    /// The registry does not take it.
    pub async fn push(&self, reference: &Reference, artifact: &Artifact) -> Result<(), ShareError> {
        self.within(reference, async {
            self.log_in(reference, RegistryOperation::Push).await?;
            for bytes in [&artifact.config, &artifact.component] {
                self.push_blob(reference, bytes).await?;
            }
            self.push_manifest(reference, &artifact.manifest).await
        })
        .await
    }

    /// Writes the signatures of the manifest of this digest, in the place of those that are there.
    ///
    /// # Errors
    /// The registry does not take them.
    pub async fn push_signatures(&self, reference: &Reference, digest: Digest, signatures: &Signatures) -> Result<(), ShareError> {
        self.within(reference, async {
            self.log_in(reference, RegistryOperation::Push).await?;
            let place = reference.signatures_of(digest);
            let (manifest, config) = signatures.to_manifest();
            for bytes in signatures.payloads().chain([config.as_slice()]) {
                self.push_blob(&place, bytes).await?;
            }
            self.push_manifest(&place, &manifest).await
        })
        .await
    }

    /// The tags of a repository.
    ///
    /// # Errors
    /// The registry does not say.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<String>, ShareError> {
        self.within(reference, async {
            self.log_in(reference, RegistryOperation::Pull).await?;
            let mut tags: Vec<String> = Vec::new();
            for _ in 0..PAGES {
                // A registry may give less at a time than it was asked for: all is there when nothing new comes.
                let page = self.client.list_tags(reference.inner(), &self.auth, Some(TAGS), tags.last().map(String::as_str)).await;
                let before = tags.len();
                for tag in self.told(reference, page)?.tags {
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
                if tags.len() == before {
                    return Ok(tags);
                }
            }
            Err(ShareError::failed(
                format!("{reference}: its registry has no end of tags"),
                "name the version that is wanted with `tracejury plugin pull`",
            ))
        })
        .await
    }

    /// Does something with the registry, for no longer than anything may take. The client panics over a token that is no header
    /// (oci-client 0.18, `RequestBuilderWrapper::apply_auth`): what a registry sends must not end the program.
    async fn within<T>(&self, reference: &Reference, act: impl Future<Output = Result<T, ShareError>>) -> Result<T, ShareError> {
        let mut act = std::pin::pin!(act);
        let caught = std::future::poll_fn(|cx| {
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act.as_mut().poll(cx)));
            polled.unwrap_or_else(|_| {
                let what = format!("{reference}: the registry answered with what no client can read");
                Poll::Ready(Err(ShareError::failed(what, "ask its operator")))
            })
        });
        let slow = || {
            let what = format!("{reference}: did not come within {} s", self.deadline.as_secs());
            ShareError::failed(what, "raise share.timeout_ms, if the registry is only slow")
        };
        tokio::time::timeout(self.deadline, caught).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn log_in(&self, reference: &Reference, operation: RegistryOperation) -> Result<(), ShareError> {
        let given = self.client.auth(reference.inner(), &self.auth, operation).await;
        self.told(reference, given).map(drop)
    }

    async fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, ShareError> {
        // An index is asked for too: else a registry answers that nothing is there, where what is there is something else.
        let accepted = [OCI_IMAGE_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE];
        let pulled = self.client.pull_manifest_raw(reference.inner(), &self.auth, &accepted).await;
        self.told(reference, pulled).map(|(bytes, _)| bytes.to_vec())
    }

    async fn blob(&self, reference: &Reference, blob: Blob) -> Result<Vec<u8>, ShareError> {
        let named = OciDescriptor {
            digest: blob.digest.to_string(),
            size: i64::try_from(blob.size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let mut bytes = Capped { bytes: Vec::new(), most: blob.size, over: false };
        let pulled = self.client.pull_blob(reference.inner(), &named, &mut bytes).await;
        if bytes.over {
            let what = format!("{reference}: {} is longer than the {} bytes that were named", blob.digest, blob.size);
            return Err(ShareError::refused(what, "ask the registry's operator what happened"));
        }
        self.told(reference, pulled)?;
        Ok(bytes.bytes)
    }

    async fn push_blob(&self, reference: &Reference, bytes: &[u8]) -> Result<(), ShareError> {
        let pushed = self.client.push_blob(reference.inner(), bytes.to_vec(), &Digest::of(bytes).to_string()).await;
        self.told(reference, pushed).map(drop)
    }

    async fn push_manifest(&self, reference: &Reference, manifest: &[u8]) -> Result<(), ShareError> {
        let media_type = hyper::http::HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(reference.inner(), manifest.to_vec(), media_type).await;
        self.told(reference, pushed).map(drop)
    }

    /// What came of a request, in our words. What the guard refused comes first: the client knows only that it was.
    fn told<T>(&self, reference: &Reference, result: Result<T, OciDistributionError>) -> Result<T, ShareError> {
        if let Some(refused) = self.guard.refused() {
            return Err(refused);
        }
        result.map_err(|error| self.guard.failed().unwrap_or_else(|| told(reference, &error)))
    }
}

fn told(reference: &Reference, error: &OciDistributionError) -> ShareError {
    use OciDistributionError as E;
    let absent = |code: &OciErrorCode| {
        matches!(code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::BlobUnknown | OciErrorCode::NotFound)
    };
    let denied = |code: &OciErrorCode| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied);
    let who = format!("log in with `docker login {}`, or set TRACEJURY_REGISTRY and its _USER and _PASSWORD", reference.registry());
    match error {
        E::ImageManifestNotFoundError(_) | E::ServerError { code: 404, .. } => ShareError::Absent(reference.to_string()),
        E::RegistryError { envelope, .. } if envelope.errors.iter().any(|e| absent(&e.code)) => ShareError::Absent(reference.to_string()),
        E::RegistryError { envelope, .. } if envelope.errors.iter().any(|e| denied(&e.code)) => {
            ShareError::failed(format!("{reference}: the registry denies it"), who)
        }
        E::UnauthorizedError { .. } | E::AuthenticationFailure(_) | E::ServerError { code: 401 | 403, .. } => {
            ShareError::failed(format!("{reference}: the registry does not know us, or does not let us"), who)
        }
        E::DigestError(e) => ShareError::refused(
            format!("{reference}: the bytes are not those that were named: {e}"),
            "it was cut off or changed on its way; try again, or ask its operator",
        ),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(next) = cause {
                text += &format!(": {next}");
                cause = next.source();
            }
            let short: String = text.chars().take(500).collect();
            ShareError::failed(
                format!("{reference}: {short}"),
                "check the registry's name, the network, and tls.ca_file if it has a certificate of its own",
            )
        }
    }
}

/// Whether a host is named with a port.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// The certificates of a file, one by one; none where no file is named.
fn certificates(file: &Path) -> Result<Vec<Certificate>, ShareError> {
    const END: &str = "-----END CERTIFICATE-----";
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let pem = std::fs::read_to_string(file).map_err(|e| ShareError::file(file, &e))?;
    let single = pem.split_inclusive(END).filter(|part| part.contains(END));
    Ok(single.map(|part| Certificate { encoding: CertificateEncoding::Pem, data: part.as_bytes().to_vec() }).collect())
}

/// A buffer that takes no more than it should.
struct Capped {
    bytes: Vec<u8>,
    /// What it should hold.
    most: u64,
    /// Whether more came.
    over: bool,
}

impl AsyncWrite for Capped {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if (self.bytes.len() + bytes.len()) as u64 > self.most {
            self.over = true;
            return Poll::Ready(Err(io::Error::other("longer than it was said to be")));
        }
        self.bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
