//! The WebSocket: every frame as JSON text, followed by its picture as bytes.

use super::Shared;
use super::guard::same_origin;
use crate::publish::Frame;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Longest message that a page may send, in bytes; none is expected.
const MAX_MESSAGE: usize = 1024;

pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    request.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| feed(socket, shared))
}

/// First what is newest, then what comes. A page that is too slow loses the oldest frames, never the newest.
async fn feed(mut socket: WebSocket, shared: Arc<Shared>) {
    let mut frames = shared.frames.subscribe();
    for frame in shared.latest.frames() {
        if send(&mut socket, &frame).await.is_err() {
            return;
        }
    }
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Ok(frame) => if send(&mut socket, &frame).await.is_err() { return },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn send(socket: &mut WebSocket, frame: &Frame) -> Result<(), axum::Error> {
    socket.send(Message::Text(frame.json.as_ref().into())).await?;
    if frame.picture.is_empty() {
        return Ok(());
    }
    socket.send(Message::Binary(frame.picture.to_vec().into())).await
}
