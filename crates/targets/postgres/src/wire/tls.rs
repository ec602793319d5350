//! TLS by rustls, with libpq's modes.

use std::{io, path::Path, sync::Arc};

use standpipe_core::Error;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

use super::lost;
use crate::{
    address::{Address, TlsMode},
    error::Failure,
};

/// Shakes hands on a connection on which the server has agreed to.
pub(super) async fn wrap(
    stream: TcpStream,
    host: &str,
    address: &Address,
) -> Result<TlsStream<TcpStream>, Failure> {
    let config = config(address).map_err(|what| refused(&what))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| refused(&format!("{host}: {error}")))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| match error.kind() {
        // What rustls itself finds wrong: a certificate, a version.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => refused(&format!(
            "{error}: the server's certificate is not one that the roots vouch for, or not for this host ({host})"
        )),
        _ => lost(error),
    })
}

fn refused(what: &str) -> Failure {
    Failure::Connection(Error::invalid(format!("TLS: {what}; check sslmode and sslrootcert")))
}

fn config(address: &Address) -> Result<ClientConfig, String> {
    let is_public = address.root_cert.as_deref() == Some(Path::new("system"));
    if is_public && address.tls != TlsMode::VerifyFull {
        // As libpq: anybody can have a certificate that those roots vouch for.
        return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
    }
    let provider = Arc::new(ring::default_provider());
    let checks = match (address.tls, &address.root_cert) {
        (TlsMode::VerifyFull, _) => Checks::ChainAndName,
        // As libpq: who names a root wants it looked at.
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Some(_)) => Checks::Chain,
        _ => Checks::Nothing,
    };
    let inner = match checks {
        Checks::Nothing => None,
        _ => {
            let roots = Arc::new(roots(address.root_cert.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            Some(verifier.map_err(|error| error.to_string())?)
        }
    };
    let verifier = Arc::new(Verifier { inner, checks, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&address.client_cert, &address.client_key) {
        (Some(cert), Some(key)) => {
            let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| told(cert, &error))?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| error.to_string())
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match path {
        Some(path) if path != Path::new("system") => {
            let told = |error: &dyn std::fmt::Display| format!("sslrootcert {}: {error}", path.display());
            for cert in CertificateDer::pem_file_iter(path).map_err(|error| told(&error))? {
                store.add(cert.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
            }
        }
        _ => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err("no root certificate was found".to_owned()) } else { Ok(store) }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Checks {
    /// Against those who listen, not against those who pretend.
    Nothing,
    Chain,
    ChainAndName,
}

#[derive(Debug)]
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    checks: Checks,
    provider: Arc<CryptoProvider>,
}

type TlsError = tokio_rustls::rustls::Error;

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.checks == Checks::Chain => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
