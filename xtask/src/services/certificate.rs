use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::Unavailable;

/// A certificate for `localhost` and `127.0.0.1`, and who signed it. The key of the signer is forgotten.
pub(super) struct Certificate {
    pub(super) ca: String,
    pub(super) server: String,
    pub(super) key: String,
}

impl Certificate {
    pub(super) fn new() -> Result<Self, Unavailable> {
        make().map_err(|error| Unavailable::new(format!("certificate: {error}")))
    }
}

fn make() -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "standpipe test authority");
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(["localhost", "127.0.0.1"].map(String::from))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let key = KeyPair::generate()?;
    let server = params.signed_by(&key, &issuer)?.pem();
    Ok(Certificate { ca, server, key: key.serialize_pem() })
}
