//! As much of HTTP/1.1 as a function's clients speak: requests with a length, on connections that stay.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// What a function sent.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// What it is answered.
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    /// Whole lines.
    pub(crate) headers: String,
    pub(crate) body: Arc<[u8]>,
}

/// Serves on a port of its own, one thread a connection; `None` ends the connection.
pub(crate) fn serve(answer: impl Fn(Request) -> Option<Answer> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

fn converse(stream: TcpStream, answer: &dyn Fn(Request) -> Option<Answer>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut out = Vec::new();
    while let Some(answer) = read(&mut reader).and_then(answer) {
        out.clear();
        let _ = write!(out, "HTTP/1.1 {}\r\ncontent-length: {}\r\n{}\r\n", answer.status, answer.body.len(), answer.headers);
        out.extend_from_slice(&answer.body);
        // A function that was killed reads no answer.
        if writer.write_all(&out).is_err() {
            return;
        }
    }
}

/// Reads one request; `None` when the function has gone.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let path = line.split(' ').nth(1).expect("a request line has a path").to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a length is a number"),
            "transfer-encoding" | "expect" => panic!("this server knows no {name}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, body })
}
