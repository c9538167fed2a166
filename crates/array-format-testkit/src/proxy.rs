//! A proxy before a real HTTP server that counts requests and makes faults: what networks and servers do, on demand.
//!
//! One request a connection on the server's side, so that an answer ends where the connection does. Plain HTTP/1.1, bodies in memory: for
//! tests only.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that a line carries at once.
const LINE_BYTES: usize = 128 << 10;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It reaches the server this much later.
    Delay(Duration),
    /// It never reaches the server; the client is answered with this status.
    Status(u16),
    /// It never reaches the server; the connection is cut.
    Cut,
    /// The server does what it was asked to; its answer is lost, the connection is cut.
    LoseAnswer,
    /// It never reaches the server; the client is answered with this status and body.
    Answer(u16, &'static str),
    /// The answer breaks off in the middle of its body.
    ShortBody,
    /// The server is asked for other bytes than the client wants, as many.
    WrongRange,
    /// The server is not told under which condition it should write.
    IgnoreConditions,
    /// The answer comes over a line that carries so many bytes a second, all answers together.
    Line(u64),
}

/// A request as the proxy saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `PUT`, ...
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The value of the header `Range`.
    pub range: Option<String>,
    /// Bytes of its body.
    pub body_bytes: usize,
    /// Bytes of the body of the answer.
    pub answer_bytes: usize,
    /// What happened to it.
    pub fault: Fault,
}

type Rule = dyn Fn(&Seen, usize) -> Fault + Send + Sync;

struct Shared {
    upstream: String,
    rule: Box<Rule>,
    /// Held while something is written, where one after the other is wanted.
    turn: Option<Mutex<()>>,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
    /// When the line has carried all that was sent.
    line_is_free: Mutex<Option<Instant>>,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a port of its own and forwards to `upstream`, `http://host:port`. The rule says what happens to a request, from what it is and
    /// how many were before it.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(
        upstream: &str,
        rule: impl Fn(&Seen, usize) -> Fault + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(upstream, Box::new(rule), None)
    }

    /// As [`start`](Self::start), and lets one write through after the other: for servers that look at a condition and write in two steps, as
    /// moto does, and so break it now and then where writers race.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start_serial(
        upstream: &str,
        rule: impl Fn(&Seen, usize) -> Fault + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(upstream, Box::new(rule), Some(Mutex::default()))
    }

    fn listen(upstream: &str, rule: Box<Rule>, turn: Option<Mutex<()>>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared {
            upstream,
            rule,
            turn,
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
            line_is_free: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = accepting.clone();
                // A connection that ends in the middle is what it is for.
                thread::spawn(move || shared.serve(&client));
            }
        });
        Ok(Self { address, shared })
    }

    /// The address to use in the place of the server's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, and forgets them.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// The head of a request or an answer, line by line.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line);
    }
}

pub(crate) fn header<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    head.iter().skip(1).find_map(|line| {
        let (n, value) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(crate) fn read_body(head: &[String], from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    if header(head, "transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked")) {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            let mut chunk = vec![0; length];
            from.read_exact(&mut chunk)?;
            body.extend(chunk);
            from.read_line(&mut String::new())?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
    let length = header(head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

/// `bytes=a-b` moved by one.
fn shifted(range: &str) -> Option<String> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
    let by = if from > 0 { -1 } else { 1 };
    Some(format!("bytes={}-{}", from.checked_add_signed(by)?, to.checked_add_signed(by)?))
}

impl Shared {
    fn serve(&self, client: &TcpStream) {
        let mut reader = BufReader::new(client);
        while self.one(client, &mut reader).is_ok_and(|goes_on| goes_on) {}
        let _ = client.shutdown(Shutdown::Both);
    }

    /// One request. Whether the connection lives on.
    fn one(&self, mut client: &TcpStream, reader: &mut BufReader<&TcpStream>) -> io::Result<bool> {
        let head = read_head(reader)?;
        let body = read_body(&head, reader)?;
        let mut words = head.first().map_or("", String::as_str).split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let mut seen = Seen {
            method: method.to_owned(),
            target: target.to_owned(),
            range: header(&head, "range").map(str::to_owned),
            body_bytes: body.len(),
            answer_bytes: 0,
            fault: Fault::None,
        };
        let place = {
            let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.fault = (self.rule)(&seen, all.len());
            all.push(seen.clone());
            all.len() - 1
        };
        match seen.fault {
            Fault::Delay(time) => thread::sleep(time),
            Fault::Status(status) => {
                write!(client, "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\n\r\n")?;
                return Ok(true);
            }
            Fault::Answer(status, body) => {
                let length = body.len();
                write!(client, "HTTP/1.1 {status} Fault\r\nContent-Length: {length}\r\n\r\n{body}")?;
                return Ok(true);
            }
            Fault::Cut => return Ok(false),
            Fault::None
            | Fault::LoseAnswer
            | Fault::ShortBody
            | Fault::WrongRange
            | Fault::IgnoreConditions
            | Fault::Line(_) => {}
        }
        let writes = !matches!(method, "GET" | "HEAD");
        let turn = self.turn.as_ref().filter(|_| writes);
        let turn = turn.map(|t| t.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = self.forward(&head, &body, seen.fault)?;
        drop(turn);
        let start = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        if let Some(entry) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
            entry.answer_bytes = answer.len() - start;
        }
        match seen.fault {
            Fault::LoseAnswer => Ok(false),
            Fault::ShortBody => {
                client.write_all(&answer[..start + (answer.len() - start) / 2])?;
                Ok(false)
            }
            Fault::Line(bytes_a_second) => {
                for piece in answer.chunks(LINE_BYTES) {
                    self.wait_for_line(piece.len(), bytes_a_second);
                    client.write_all(piece)?;
                }
                Ok(false)
            }
            // The answer says that the connection ends with it.
            _ => client.write_all(&answer).map(|()| false),
        }
    }

    /// Returns when the line has carried so many bytes more.
    fn wait_for_line(&self, bytes: usize, bytes_a_second: u64) {
        let free = {
            let mut line = self.line_is_free.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = line.unwrap_or_else(Instant::now).max(Instant::now());
            *line.insert(begins + Duration::from_secs_f64(bytes as f64 / bytes_a_second as f64))
        };
        thread::sleep(free.saturating_duration_since(Instant::now()));
    }

    /// The whole answer of the server, as it came.
    fn forward(&self, head: &[String], body: &[u8], fault: Fault) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(&self.upstream)?;
        let mut text = String::new();
        for (i, line) in head.iter().enumerate() {
            let name = if i == 0 { "" } else { line.split(':').next().unwrap_or("") };
            if ["connection", "transfer-encoding", "content-length"]
                .iter()
                .any(|n| name.eq_ignore_ascii_case(n))
            {
                continue;
            }
            if fault == Fault::IgnoreConditions && name.len() > 3 && name[..3].eq_ignore_ascii_case("if-") {
                continue;
            }
            if fault == Fault::WrongRange && name.eq_ignore_ascii_case("range") {
                let value = header(head, "range").and_then(shifted);
                text += &value.map_or_else(|| line.clone(), |v| format!("Range: {v}"));
            } else {
                text += line;
            }
            text += "\r\n";
        }
        if !body.is_empty() || header(head, "content-length").is_some() {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "Connection: close\r\n\r\n";
        server.write_all(text.as_bytes())?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}
