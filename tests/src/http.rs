//! Requests to the daemon's pages, one connection each.

use crate::PATIENCE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Status and body of `GET path`.
///
/// # Panics
/// If nobody answers with HTTP.
#[must_use]
pub fn get(address: &str, path: &str) -> (u16, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Status and body of `POST path` with a JSON body.
///
/// # Panics
/// If nobody answers with HTTP.
#[must_use]
pub fn post(address: &str, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    exchange(address, &format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// Every counter and bucket of `/metrics`, by name with labels.
///
/// # Panics
/// If the page is not there.
#[must_use]
pub fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().expect(name))).collect()
}

/// How many messages were refused, by reason.
///
/// # Panics
/// If the page is not there.
#[must_use]
pub fn refusals(address: &str) -> BTreeMap<String, u64> {
    let reason = |name: &str| {
        Some(name.strip_prefix("mindeye_volumes_refused_total{reason=\"")?.strip_suffix("\"}")?.to_owned())
    };
    metrics(address).iter().filter_map(|(name, count)| Some((reason(name)?, *count as u64))).collect()
}

fn exchange(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the pages are served");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
