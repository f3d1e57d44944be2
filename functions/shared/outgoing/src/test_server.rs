//! An HTTP server for tests: what it answers is set by path, and what it was asked is kept.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test stops at what it did not expect")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is sent for a path, byte for byte.
#[derive(Clone)]
struct Answer {
    text: String,
    is_complete: bool,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    /// A path for each request, and nothing for a connection that brought no request.
    connections: Vec<Option<String>>,
}

/// Listens on a port of its own on 127.0.0.1, until it is dropped.
pub struct TestServer {
    port: u16,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl TestServer {
    /// Listens on any free port.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Listens on this port, which must be free.
    pub async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self { port, state, accepting }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers 200 with this body, whose end is the connection's.
    pub fn serve(&self, path: &str, body: &str) {
        self.answer(path, &format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"), true);
    }

    /// Answers with this text and closes the connection.
    pub fn serve_raw(&self, path: &str, text: &str) {
        self.answer(path, text, true);
    }

    /// Answers with this text, sends no more and leaves the connection open.
    pub fn stall_after(&self, path: &str, text: &str) {
        self.answer(path, text, false);
    }

    /// The paths that were asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().connections.iter().flatten().cloned().collect()
    }

    /// How often anybody connected.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections.len()
    }

    /// Stops listening.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }

    fn answer(&self, path: &str, text: &str, is_complete: bool) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), Answer { text: text.to_owned(), is_complete });
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((connection, _)) = listener.accept().await {
        let number = {
            let mut state = state.lock().unwrap();
            state.connections.push(None);
            state.connections.len() - 1
        };
        tokio::spawn(converse(connection, state.clone(), number));
    }
}

async fn converse(mut connection: TcpStream, state: Arc<Mutex<State>>, number: usize) {
    let Some(path) = requested_path(&mut connection).await else { return };
    let answer = {
        let mut state = state.lock().unwrap();
        state.connections[number] = Some(path.clone());
        state.answers.get(&path).cloned()
    };
    let not_found =
        || Answer { text: "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(), is_complete: true };
    let answer = answer.unwrap_or_else(not_found);
    // The client may hang up when it has heard enough.
    let _ = connection.write_all(answer.text.as_bytes()).await;
    if !answer.is_complete {
        std::future::pending::<()>().await;
    }
}

/// Reads a request without a body; nothing when what comes is no such request.
async fn requested_path(connection: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        // TLS, for one, begins otherwise and waits for an answer.
        if !request.starts_with(b"G") {
            return None;
        }
    }
    let text = String::from_utf8(request).ok()?;
    text.strip_prefix("GET ")?.split(' ').next().map(str::to_owned)
}
