//! A registry over TLS that requires credentials. The test has a server of its own, because Apicurio would
//! need an identity provider.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use firewatch_kafka::{Formats, KafkaSettings, RecordProducer, RegistrySettings, RunError, registry_url};
use firewatch_tests::root;
use firewatch_wire::{Contract, Format};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn file(name: &str) -> PathBuf {
    root().join("tests/data").join(format!("registry-test-{name}.pem"))
}

/// Starts a server that answers requests with `wanted` in their head with an id, and others with 401. Returns
/// its address.
fn server(wanted: &'static str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from_pem_file(file("certificate")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), &config, wanted);
        }
    });
    address
}

/// Answers one request on a connection. Returns `None` if a client that does not trust the server ends it
/// early.
fn answer(connection: TcpStream, config: &Arc<ServerConfig>, wanted: &str) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), connection);
    let (mut request, mut more) = (Vec::new(), [0; 64 << 10]);
    // The body is JSON and ends with a brace; the head contains none.
    while !request.ends_with(b"}") {
        match stream.read(&mut more).ok()? {
            0 => return None,
            n => request.extend(&more[..n]),
        }
    }
    let is_theirs = String::from_utf8_lossy(&request).contains(wanted);
    let (status, body) = if is_theirs { ("200 OK", r#"{"id":7}"#) } else { ("401 Unauthorized", "{}") };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// Requests the schema of actions and returns the result.
fn request_schema(settings: RegistrySettings) -> Result<(), RunError> {
    let mut kafka = KafkaSettings::local("localhost:1", "nobody");
    kafka.formats = Formats::new([(Contract::Action, Format::Avro)].into(), Some(settings));
    RecordProducer::new(&kafka).unwrap().register_action_schema("actions")
}

fn settings(url: &str) -> RegistrySettings {
    let ca = Some(std::fs::read(file("ca")).unwrap());
    RegistrySettings {
        urls: vec![registry_url(url, true).unwrap()],
        ca,
        register: true,
        ..Default::default()
    }
}

#[test]
fn a_registry_over_tls_is_verified_and_gets_our_credentials() {
    // `f:hush` in base64.
    let url = server("authorization: Basic ZjpodXNo");
    let user = |password: &str| Some(("f".to_owned(), password.to_owned()));
    request_schema(RegistrySettings { user: user("hush"), ..settings(&url) }).unwrap();
    let refused =
        request_schema(RegistrySettings { user: user("other"), ..settings(&url) }).unwrap_err().to_string();
    assert!(refused.contains("401 Unauthorized; check registry.user and password, or token"), "{refused}");
    let strange =
        request_schema(RegistrySettings { user: user("hush"), ca: None, ..settings(&url) }).unwrap_err();
    assert!(strange.to_string().contains("does not answer: invalid peer certificate"), "{strange}");

    let url = server("authorization: Bearer t0ken");
    request_schema(RegistrySettings { token: Some("t0ken".into()), ..settings(&url) }).unwrap();
    assert!(request_schema(settings(&url)).is_err());
}

#[test]
fn the_next_address_is_tried_when_one_is_unavailable() {
    let url = server("POST /subjects/actions-value/versions");
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls =
        vec![registry_url(&format!("http://{away}"), false).unwrap(), registry_url(&url, false).unwrap()];
    request_schema(RegistrySettings { urls, ..settings(&url) }).unwrap();
}
