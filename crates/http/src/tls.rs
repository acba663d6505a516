//! The cryptography provider of TLS.

/// Installs ring as the process-wide cryptography provider of rustls. A second call has no effect.
pub fn install_tls_provider() {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
