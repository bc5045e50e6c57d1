//! An endpoint behind TLS, with a certificate that was made for these stories.

use std::sync::Arc;

use mnemosyne_agents::Verdict;
use mnemosyne_agents::chat::{ChatClient, Turn};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{definition, scripted};

const AUTHORITY: &[u8] = include_bytes!("tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/server.pem");
const KEY: &[u8] = include_bytes!("tls/server.key.pem");

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider knows the usual versions").with_no_client_auth();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).expect("they fit each other")))
}

/// Asks a scripted endpoint through an encrypted port, under a name.
async fn ask(client: ChatClient, host: &str) -> Turn {
    let endpoint = scripted(json!({ "otherwise": { "text": "in private" } }));
    let inside = endpoint.address().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        let (outer, _) = listener.accept().await.expect("a client comes");
        // A client that does not trust us ends it here.
        let Ok(mut outer) = acceptor().accept(outer).await else { return };
        let mut inner = TcpStream::connect(inside).await.expect("the endpoint is there");
        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
    });
    let definition = definition(&format!("https://{host}:{port}/v1"));
    let turn = client.ask(&definition, "hello", &mut |_| {}).await;
    server.abort();
    turn
}

#[tokio::test]
async fn a_certificate_that_is_trusted_lets_the_turn_begin() {
    let authority = CertificateDer::from_pem_slice(AUTHORITY).expect("a certificate");
    let turn = ask(ChatClient::trusting(vec![authority.to_vec()]), "localhost").await;
    assert_eq!(turn.conclusion.verdict, Verdict::Done, "{}", turn.conclusion.message);
    assert_eq!(turn.conclusion.answer.as_deref(), Some("in private"));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_of_another_name_does_not() {
    let (stranger, authority) = (CERTIFICATE, AUTHORITY);
    for (trusted, host) in [(stranger, "localhost"), (authority, "127.0.0.1")] {
        let trusted = CertificateDer::from_pem_slice(trusted).expect("a certificate");
        let turn = ask(ChatClient::trusting(vec![trusted.to_vec()]), host).await;
        assert_eq!(turn.conclusion.verdict, Verdict::Unreachable);
        let message = &turn.conclusion.message;
        assert!(message.contains("certificate") && message.contains("SSL_CERT_FILE"), "{message}");
    }
}
