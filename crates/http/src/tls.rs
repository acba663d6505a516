//! The process's TLS provider.

/// Sets ring as the cryptography that rustls uses in this process; a second call changes nothing.
pub fn install_tls_provider() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
