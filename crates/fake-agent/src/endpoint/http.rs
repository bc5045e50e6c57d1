//! As much of HTTP/1.1 as an endpoint for tests needs: one request a connection.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

/// Bytes of the head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of the body of a request.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Time within which a request must have come.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    /// Without its query.
    pub(super) path: String,
    /// By their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// Reads a request; none when the client has gone without one.
pub(super) fn read_request(mut stream: &TcpStream) -> io::Result<Option<Request>> {
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too long"));
        }
        if read_some(&mut stream, &mut bytes)? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
    if length > BODY_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the body is too long"));
    }
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        if read_some(&mut stream, &mut body)? == 0 {
            return Ok(None);
        }
    }
    let (method, path) = (method.to_owned(), path.split('?').next().unwrap_or_default().to_owned());
    Ok(Some(Request { method, path, headers, body }))
}

fn read_some(stream: &mut &TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut part = [0; 16 << 10];
    let count = stream.read(&mut part)?;
    bytes.extend_from_slice(&part[..count]);
    Ok(count)
}

/// The head of a reply whose body has this length, or is chunked without one.
pub(super) fn write_head(
    mut stream: &TcpStream,
    status: u16,
    content_type: &str,
    headers: &BTreeMap<String, String>,
    length: Option<usize>,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\n", reason(status));
    head.push_str(&format!("Date: {}\r\nConnection: close\r\n", date(0)));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {}\r\n", with_dates(value)));
    }
    match length {
        Some(length) => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
        None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
    }
    stream.write_all(head.as_bytes())
}

/// A reply in one piece.
pub(super) fn write_whole(
    mut stream: &TcpStream,
    status: u16,
    headers: &BTreeMap<String, String>,
    body: &str,
) -> io::Result<()> {
    write_head(stream, status, "application/json", headers, Some(body.len()))?;
    stream.write_all(body.as_bytes())
}

/// A piece of a chunked body; an empty one is its end.
pub(super) fn write_chunk(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

/// Lets time pass.
///
/// # Errors
/// When the client has left.
pub(super) fn wait(stream: &TcpStream, span: Duration) -> io::Result<()> {
    if span.is_zero() {
        return Ok(());
    }
    stream.set_read_timeout(Some(span))?;
    if is_quiet(stream)? {
        return Ok(());
    }
    std::thread::sleep(span);
    Ok(())
}

/// Waits until the client has left.
pub(super) fn wait_until_left(stream: &TcpStream) -> io::Error {
    if let Err(error) = stream.set_read_timeout(None) {
        return error;
    }
    let mut rest = stream;
    let mut part = [0; 1_024];
    loop {
        match rest.read(&mut part) {
            Ok(0) => return left(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Whether nothing came for as long as the stream waits; not so when more than a request was sent.
fn is_quiet(stream: &TcpStream) -> io::Result<bool> {
    match stream.peek(&mut [0]) {
        Ok(0) => Err(left()),
        Ok(_) => Ok(false),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

fn left() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client has left")
}

/// Replaces `{date+N}` by the time in N seconds.
fn with_dates(value: &str) -> String {
    let Some((before, rest)) = value.split_once("{date+") else { return value.to_owned() };
    let Some((seconds, after)) = rest.split_once('}') else { return value.to_owned() };
    format!("{before}{}{after}", date(seconds.parse().unwrap_or(0)))
}

fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Other",
    }
}
