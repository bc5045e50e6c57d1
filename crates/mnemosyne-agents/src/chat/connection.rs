//! Connections to endpoints, encrypted where the address says so.
//!
//! Certificates are checked against those of the system; `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name others. Proxies are not used.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::Failure;
use super::request::Target;
use crate::conclusion::Verdict;

/// A client for any number of turns at the same time.
#[derive(Clone, Default)]
pub struct ChatClient {
    /// Made when it is needed first: reading the certificates of a system takes its time.
    tls: Arc<OnceCell<TlsConnector>>,
    /// The only certificates that are trusted; those of the system where there are none.
    trusted: Arc<Vec<Vec<u8>>>,
}

/// What a connection is.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<W: AsyncRead + AsyncWrite + Send + Unpin> Wire for W {}

impl ChatClient {
    /// A client that trusts the certificates of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that trusts these certificates, in DER, and no others.
    #[must_use]
    pub fn trusting(certificates: Vec<Vec<u8>>) -> Self {
        Self { trusted: Arc::new(certificates), ..Self::default() }
    }

    pub(super) async fn connect(&self, target: &Target) -> Result<Box<dyn Wire>, Failure> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|error| {
            let (host, port) = (&target.host, target.port);
            unreachable(format!("cannot reach {host}, port {port}: {error}; check base_url, and that it runs"))
        })?;
        // Requests are written whole; there is nothing to gather.
        let _ = stream.set_nodelay(true);
        if !target.encrypted {
            return Ok(Box::new(stream));
        }
        let connector = self.tls.get_or_try_init(|| self.connector()).await?;
        let name = ServerName::try_from(target.host.clone());
        let name =
            name.map_err(|error| unreachable(format!("{} cannot have a certificate: {error}", target.host)))?;
        let encrypted = connector.connect(name, stream).await.map_err(|error| {
            unreachable(format!(
                "no encrypted connection to {}: {error}; SSL_CERT_FILE names certificates to trust",
                target.host
            ))
        })?;
        Ok(Box::new(encrypted))
    }

    async fn connector(&self) -> Result<TlsConnector, Failure> {
        let trusted = Arc::clone(&self.trusted);
        let made = tokio::task::spawn_blocking(move || config(&trusted)).await;
        let config = made.unwrap_or_else(|error| Err(error.to_string())).map_err(unreachable)?;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn unreachable(message: impl Into<String>) -> Failure {
    Failure::new(Verdict::Unreachable, message)
}

fn config(trusted: &[Vec<u8>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if trusted.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        // Some of them may be of no use; as long as others are there, that is no error.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!(
                "this system has no certificates to trust{why}; install ca-certificates or set SSL_CERT_FILE"
            ));
        }
    } else {
        roots.add_parsable_certificates(trusted.iter().cloned().map(CertificateDer::from));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("no encryption: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
