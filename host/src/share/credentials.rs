//! As whom we speak to a registry: variables first, then Docker's configuration with its helpers. What is for one registry goes to no
//! other.

use super::ShareError;
use docker_credential::{CredentialRetrievalError as E, DockerCredential};
use oci_client::secrets::RegistryAuth;
use std::path::PathBuf;

/// The variables: which registry they are for, and what they hold. Without the first the others count for nothing: a password must not
/// go to whatever registry a reference names.
const REGISTRY: &str = "TRACEJURY_REGISTRY";
const USER: &str = "TRACEJURY_REGISTRY_USER";
const PASSWORD: &str = "TRACEJURY_REGISTRY_PASSWORD";

/// The credentials for a registry; none where none are known.
pub(super) fn of(registry: &str) -> Result<RegistryAuth, ShareError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if variable(REGISTRY).is_some_and(|named| named == registry)
        && let (Some(user), Some(password)) = (variable(USER), variable(PASSWORD))
    {
        return Ok(RegistryAuth::Basic(user, password));
    }
    if !is_configured() {
        return Ok(RegistryAuth::Anonymous);
    }
    // As Docker itself calls its own.
    let server = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            let what = format!("{registry}: Docker's configuration holds an identity token for it, which is of no use here");
            Err(ShareError::failed(what, format!("set {REGISTRY}, {USER} and {PASSWORD}, or log in with a password or access token")))
        }
        Err(E::ConfigNotFound | E::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // So helpers say that they know nothing of a registry (docker-credential-helpers, `credentials/error.go`).
        Err(E::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => Ok(RegistryAuth::Anonymous),
        Err(e) => {
            // What a helper printed may be what nobody must see.
            let why = if let E::HelperFailure { helper, .. } = &e { format!("{helper} failed") } else { e.to_string() };
            let what = format!("{registry}: Docker's configuration gives no credentials: {why}");
            Err(ShareError::failed(
                what,
                format!("mend it (DOCKER_CONFIG, or ~/.docker/config.json), or set {REGISTRY}, {USER} and {PASSWORD}"),
            ))
        }
    }
}

/// Whether there is a configuration of Docker at all: the library does not tell one that is not there from one that is not readable.
fn is_configured() -> bool {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
    folder.is_some_and(|folder| folder.join("config.json").exists())
}
