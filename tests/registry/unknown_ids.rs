//! Ids that a registry does not understand: some answer with an error of their framework, not of their API.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use firewatch_kafka::RecordProducer;
use firewatch_tests::can_run_kafka;
use serde_json::{Value, json};

use crate::{WAIT_DEADLINE, events, feed, shared};

/// Starts a registry that knows its types of schemas, and of all else says that there is no such page. Returns its
/// address.
fn start_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut lines = BufReader::new(&stream).lines();
            let head = lines.next().and_then(Result::ok).unwrap_or_default();
            // The rest of the head is of no interest.
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            let (status, body) = match head.contains("/schemas/types ") {
                true => ("200 OK", r#"["AVRO"]"#),
                false => ("404 Not Found", r#"{"error_code":0,"message":"RESTEASY003870"}"#),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn an_id_that_no_registry_can_have_is_the_fault_of_its_record() {
    if !can_run_kafka() {
        return;
    }
    let shared = shared();
    let deployment = shared.deployment_by(&start_registry(), "strange", "");
    deployment.make_topics(1);
    let framed = |id: u32| [&[0], id.to_be_bytes().as_slice(), b"{}"].concat();
    let records = [
        (framed(0xdfbf_dfbf), "the record names schema 3753893823; a registry has none above 2147483647"),
        (framed(5), "the registry does not have schema 5"),
    ];
    let producer = RecordProducer::new(&deployment.settings).unwrap();
    for (value, _) in &records {
        producer.send_to_partition(&deployment.topics.events, 0, "k", value).unwrap();
    }
    producer.flush().unwrap();
    let mut instance = deployment.start_until_ready();
    let letters = deployment.read(&deployment.topics.dead_letters, records.len());
    for ((_, words), letter) in records.iter().zip(&letters) {
        let letter: Value = serde_json::from_slice(&letter.value).unwrap();
        assert_eq!(letter["code"], json!("unknown_schema"));
        assert!(letter["detail"].as_str().unwrap().contains(words), "{letter}");
    }
    let after = events(3);
    feed(&deployment, &after);
    instance.wait_for_events(after.len(), WAIT_DEADLINE);
    assert!(instance.stop(), "the stream went on");
}
