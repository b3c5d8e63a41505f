//! TLS of the server: a certificate chain and its key, from files in PEM.

use crate::secret;
use nvtopo::source::read_file;
use nvtopo::{Error, Result};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};

/// Returns what accepts TLS connections with a certificate.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let wrong = |path: &Path, why: String| Error::input(why).in_input(&path.display().to_string());
    let chain = CertificateDer::pem_slice_iter(&read_file(certificate)?)
        .collect::<std::result::Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| wrong(certificate, "it holds no certificate in PEM, or a damaged one".to_owned()))?;
    let private = PrivateKeyDer::from_pem_slice(&secret::read(key)?).map_err(|_| {
        wrong(key, "it holds no private key in PEM, or a damaged or encrypted one".to_owned())
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| match error {
            TlsError::InconsistentKeys(_) => {
                wrong(key, format!("it is not the key of the certificate in {}", certificate.display()))
                    .help("give the key that the certificate was made for, and its own certificate first")
            }
            // The provider's word on a key that it cannot read.
            TlsError::General(why) => wrong(key, why),
            error => wrong(certificate, error.to_string()),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
