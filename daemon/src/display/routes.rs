//! Every address of the HTTP interface, as the contract has them.

use super::assets::ASSETS;
use super::guard::{same_origin, same_token, secure};
use super::{Shared, socket};
use crate::app::wake_up;
use crate::ingest::{Command, LoadError};
use crate::publish::PublishEvent;
use axum::Json;
use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use mindeye_config::{Name, Sha256};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, PoisonError};

/// Longest request body in bytes: receipts and commands are small.
const MAX_BODY: usize = 4096;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let pages = ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(move || async move { ([(CONTENT_TYPE, asset.kind)], asset.content) }))
    });
    pages
        .route("/ws", get(socket::upgrade))
        .route("/api/v1/latest", get(latest))
        .route("/api/v1/feedback", get(feedback))
        .route("/api/v1/gallery/{id}", get(thumb))
        .route("/api/v1/shown", post(shown))
        .route("/api/v1/command", post(command))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(axum::middleware::from_fn(secure))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn latest(State(shared): State<Arc<Shared>>) -> Response {
    match shared.latest.trial() {
        Some(frame) => ([(CONTENT_TYPE, "application/json")], frame.json.to_string()).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no trial has been decoded yet"),
    }
}

/// The newest trial's number and nothing else; no content where it is missing or no run is open.
async fn feedback(State(shared): State<Arc<Shared>>) -> Response {
    match shared.latest.feedback() {
        Some(value) => ([(CONTENT_TYPE, "text/plain")], value.to_string()).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Identifiers are looked up in the gallery; no part of a request becomes a path.
async fn thumb(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let path = shared.gallery.as_ref().and_then(|gallery| gallery.thumb_path(gallery.find(&id)?));
    match path.and_then(|path| std::fs::read(path).ok()) {
        Some(png) => ([(CONTENT_TYPE, "image/png")], png).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "the gallery has no picture of this name"),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], shared.vitals.exposition()).into_response()
}

/// A receipt: this revision was on the screen at that time (of the page's own clock).
#[derive(Deserialize, Serialize)]
struct Shown {
    trial: u32,
    revision: u32,
    sha256: Sha256,
    t_presented: f64,
}

async fn shown(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    receipt: Result<Json<Shown>, JsonRejection>,
) -> Response {
    if !same_origin(&headers) {
        return refuse(StatusCode::FORBIDDEN, "receipts are taken from our own page or from programs");
    }
    let Json(receipt) = match receipt {
        Ok(receipt) => receipt,
        Err(error) => return unreadable(&error),
    };
    if !is_sha256(&receipt.sha256) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "sha256 must be the 64 hexadecimal digits of the picture that was shown",
        );
    }
    let message = json!({
        "protocol": crate::protocol::RESULT_PROTOCOL, "type": "shown",
        "trial": receipt.trial, "revision": receipt.revision, "sha256": receipt.sha256,
        "t_presented": receipt.t_presented, "t_received_unix_s": shared.clock.unix_s(),
    });
    match shared.publish.try_send(PublishEvent::Shown(message)) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the publisher is busy; send the receipt again"),
    }
}

fn is_sha256(digest: &Sha256) -> bool {
    digest.0.len() == 64 && digest.0.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[derive(Deserialize)]
struct OperatorRequest {
    token: String,
    command: String,
    /// Of `load_front_end`: the calibration's folder below that of `--front-ends`.
    front_end: Option<Name>,
}

async fn command(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: Result<Json<OperatorRequest>, JsonRejection>,
) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(error) => return unreadable(&error),
    };
    if !same_origin(&headers) || !same_token(&request.token, &shared.operator_token) {
        return refuse(StatusCode::FORBIDDEN, "the operator token printed at start is needed");
    }
    let Some(command) = Command::named(&request.command) else {
        let known = "this version knows the commands arm, stop, blank, unblank and load_front_end";
        return refuse(StatusCode::NOT_IMPLEMENTED, known);
    };
    let loaded = match command {
        Command::LoadFrontEnd => match load_front_end(&shared, request.front_end).await {
            Ok(label) => Some(label),
            Err((status, message)) => return refuse(status, &message),
        },
        _ => None,
    };
    if shared.commands.try_send(command).is_err() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many commands wait; send it again");
    }
    wake_up(&shared.wake.lock().unwrap_or_else(PoisonError::into_inner));
    match loaded {
        Some(label) => (StatusCode::ACCEPTED, Json(json!({ "front_end": label }))).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// Reads a calibration off the threads that serve pages; its label, or status and reason.
async fn load_front_end(shared: &Arc<Shared>, name: Option<Name>) -> Result<String, (StatusCode, String)> {
    let Some(name) = name else {
        let needed = "load_front_end needs `front_end`, the name of a calibration";
        return Err((StatusCode::BAD_REQUEST, needed.into()));
    };
    let desk = shared.front_ends.clone();
    let loaded = tokio::task::spawn_blocking(move || desk.load(&name)).await;
    let loaded = loaded.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    loaded.map_err(|error| {
        let status = match &error {
            LoadError::RunIsOpen { .. } => StatusCode::CONFLICT,
            LoadError::NoFolder | LoadError::Unfit { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        (status, error.to_string())
    })
}

fn unreadable(error: &JsonRejection) -> Response {
    refuse(StatusCode::BAD_REQUEST, &error.body_text())
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}
