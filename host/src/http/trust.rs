//! Whom TLS trusts beside the system's authorities, and as whom it presents itself. Certificates are always checked: what a
//! laboratory needs is the file of its own authority, not a way around the check.

use super::{CallError, chain};
use std::path::Path;

/// Extra authorities, and a client certificate with its key.
#[derive(Clone, Default)]
pub struct Trust {
    authorities: Vec<reqwest::Certificate>,
    identity: Option<reqwest::Identity>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The identity holds a private key.
        f.debug_struct("Trust").field("authorities", &self.authorities.len()).field("identity", &self.identity.is_some()).finish()
    }
}

impl Trust {
    /// Reads PEM files: authorities, a client certificate, and its key. An empty path is an absent one; without a key of its own
    /// the file of the certificate holds both.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn read(authorities: &Path, certificate: &Path, key: &Path) -> Result<Self, String> {
        let mut trust = Self::default();
        if let Some(pem) = contents(authorities)? {
            let bundle = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| place(authorities, &chain(&e)))?;
            if bundle.is_empty() {
                return Err(place(authorities, "holds no certificate in PEM form"));
            }
            trust.authorities = bundle;
        }
        if let Some(mut pem) = contents(certificate)? {
            if let Some(key) = contents(key)? {
                pem.push(b'\n');
                pem.extend_from_slice(&key);
            }
            let pem = zeroize::Zeroizing::new(pem);
            trust.identity = Some(
                reqwest::Identity::from_pem(&pem)
                    .map_err(|_| place(certificate, "holds no certificate with its private key in PEM form (PKCS #8, PKCS #1 or SEC1)"))?,
            );
        } else if contents(key)?.is_some() {
            return Err(place(key, "is the key of no certificate; tls.client_certificate is not set"));
        }
        Ok(trust)
    }

    /// The same authorities, without the client certificate: for hosts that it is not meant for.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { authorities: self.authorities.clone(), identity: None }
    }

    pub(super) fn given_to(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, CallError> {
        let builder = builder.tls_certs_merge(self.authorities.iter().cloned());
        Ok(match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        })
    }
}

fn contents(path: &Path) -> Result<Option<Vec<u8>>, String> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    std::fs::read(path).map(Some).map_err(|e| place(path, &format!("cannot be read: {e}")))
}

fn place(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorities: &[u8], certificate: &[u8], key: &[u8]) -> Result<Trust, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            if text.is_empty() {
                return std::path::PathBuf::new();
            }
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        Trust::read(&file("ca.pem", authorities), &file("client.pem", certificate), &file("key.pem", key))
            .map_err(|e| e.replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn files_that_hold_no_certificate_are_named() {
        assert!(read(b"hello", b"", b"").unwrap_err().starts_with("ca.pem: "));
        assert!(read(b"", b"hello", b"").unwrap_err().starts_with("client.pem: holds no certificate with its private key"));
        assert!(read(b"", b"", b"key").unwrap_err().starts_with("key.pem: is the key of no certificate"));
        assert!(
            Trust::read(Path::new("/nowhere.pem"), Path::new(""), Path::new("")).unwrap_err().starts_with("/nowhere.pem: cannot be read")
        );
        assert!(read(b"", b"", b"").is_ok());
    }

    #[test]
    fn a_key_may_lie_beside_its_certificate_or_in_it() {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(read(certificate.as_bytes(), certificate.as_bytes(), key.as_bytes()).unwrap().identity.is_some());
        let both = read(b"", format!("{certificate}{key}").as_bytes(), b"").unwrap();
        assert!(both.identity.is_some() && both.anonymous().identity.is_none());
        assert!(!format!("{both:?}").contains("PRIVATE"));
    }
}
