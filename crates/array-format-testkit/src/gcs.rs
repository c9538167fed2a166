//! A server that speaks what the `object_store` crate speaks with Google Cloud Storage: the part of its XML API that is used, with generations
//! and their conditions as its documentation describes them. No emulator in the registries does. It shows that our requests mean what we think;
//! what the service does is known from its documentation only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::proxy::{header, read_body, read_head};

/// All objects are of this time: nothing decides by it.
const TIME: &str = "2026-01-02T03:04:05.000Z";
const HTTP_TIME: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

#[derive(Debug, Default)]
struct Bucket {
    /// Content and generation.
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Never given twice.
    generation: u64,
}

/// The server, until it is dropped.
pub struct FakeGcs {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self { status, headers: String::new(), body: Vec::new() }
    }

    fn xml(body: String) -> Self {
        Self { status: 200, headers: "Content-Type: application/xml\r\n".into(), body: body.into_bytes() }
    }
}

/// A request, taken apart.
struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

impl FakeGcs {
    /// Listens on a port of its own. Every bucket is there, and is the same one.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (bucket, stop) = (Arc::new(Mutex::new(Bucket::default())), stopped.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let bucket = bucket.clone();
                // A client that goes away ends its thread.
                thread::spawn(move || serve(&client, &bucket));
            }
        });
        Ok(Self { address, stopped })
    }

    /// A service account whose server is this one, as JSON: the option `service_account_key`.
    pub fn service_account(&self) -> String {
        format!(
            r#"{{"gcs_base_url":"http://{}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#,
            self.address
        )
    }
}

impl Drop for FakeGcs {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(client: &TcpStream, bucket: &Mutex<Bucket>) {
    let mut reader = BufReader::new(client);
    loop {
        let Ok(head) = read_head(&mut reader) else { return };
        let Ok(body) = read_body(&head, &mut reader) else { return };
        let mut words = head.first().map_or("", String::as_str).split(' ');
        let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let query = query.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let request = Request { method, key: decoded(key), query: query.collect(), head, body };
        let is_head = request.method == "HEAD";
        let answer = bucket.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
        let mut out = format!(
            "HTTP/1.1 {} -\r\n{}Content-Length: {}\r\n\r\n",
            answer.status,
            answer.headers,
            answer.body.len()
        )
        .into_bytes();
        if !is_head {
            out.extend(answer.body);
        }
        let mut writer = client;
        if writer.write_all(&out).is_err() {
            return;
        }
    }
}

/// Undoes percent-encoding, and `+` for a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        bytes.push(match b {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                u8::from_str_radix(&digits, 16).unwrap_or(b'%')
            }
            b => b,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn e_tag(content: &[u8], generation: u64) -> String {
    format!("\"{:x}-{generation:x}\"", content.len())
}

impl Bucket {
    fn answer(&mut self, r: &Request) -> Answer {
        match r.method.as_str() {
            "GET" | "HEAD" if r.key.is_empty() => self.list(r),
            "GET" | "HEAD" => self.get(r),
            "PUT" if r.query.contains_key("partNumber") => self.put_part(r),
            "PUT" => match r.header("x-goog-copy-source") {
                Some(source) => {
                    let source = decoded(source);
                    let from = source.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
                    match self.objects.get(from).map(|o| o.0.clone()) {
                        Some(content) => self.put(r, content),
                        None => Answer::status(404),
                    }
                }
                None => self.put(r, r.body.clone()),
            },
            "POST" => self.multipart(r),
            "DELETE" if r.query.contains_key("uploadId") => {
                self.uploads.remove(r.query.get("uploadId").map_or("", String::as_str));
                Answer::status(204)
            }
            "DELETE" => Answer::status(if self.objects.remove(&r.key).is_some() { 204 } else { 404 }),
            _ => Answer::status(405),
        }
    }

    /// The condition on the generation of what is there; 0 is nothing.
    fn put(&mut self, r: &Request, content: Vec<u8>) -> Answer {
        let now = self.objects.get(&r.key).map_or(0, |o| o.1);
        if r.header("x-goog-if-generation-match").is_some_and(|wanted| wanted.parse() != Ok(now)) {
            return Answer::status(412);
        }
        self.generation += 1;
        let generation = self.generation;
        let tag = e_tag(&content, generation);
        self.objects.insert(r.key.clone(), (content, generation));
        Answer {
            headers: format!("ETag: {tag}\r\nx-goog-generation: {generation}\r\n"),
            ..Answer::xml(format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"))
        }
    }

    fn get(&self, r: &Request) -> Answer {
        let Some((content, generation)) = self.objects.get(&r.key) else { return Answer::status(404) };
        if r.query.get("generation").is_some_and(|g| g.parse() != Ok(*generation)) {
            return Answer::status(404);
        }
        let tag = e_tag(content, *generation);
        if r.header("if-match").is_some_and(|wanted| wanted != tag) {
            return Answer::status(412);
        }
        let size = content.len();
        let mut headers =
            format!("ETag: {tag}\r\nx-goog-generation: {generation}\r\nLast-Modified: {HTTP_TIME}\r\n");
        let Some(range) =
            r.header("range").and_then(|v| v.strip_prefix("bytes=")).and_then(|v| v.split_once('-'))
        else {
            return Answer { status: 200, headers, body: content.clone() };
        };
        let (from, to) = match range {
            ("", last) => (size.saturating_sub(last.parse().unwrap_or(0)), size),
            (from, to) => (
                from.parse().unwrap_or(usize::MAX),
                to.parse::<usize>().map_or(size, |to| to.saturating_add(1).min(size)),
            ),
        };
        if from >= to {
            return Answer::status(416);
        }
        let _ = write!(headers, "Content-Range: bytes {from}-{}/{size}\r\n", to - 1);
        Answer { status: 206, headers, body: content[from..to].to_vec() }
    }

    fn list(&self, r: &Request) -> Answer {
        let asked = |name: &str| r.query.get(name).map_or("", String::as_str);
        let (prefix, delimiter, after) = (asked("prefix"), asked("delimiter"), asked("start-after"));
        let mut body = String::from("<ListBucketResult>");
        let mut last_folder = String::new();
        for (key, (content, generation)) in
            self.objects.iter().filter(|(k, _)| k.starts_with(prefix) && k.as_str() > after)
        {
            let below = &key[prefix.len()..];
            if let Some(at) = below.find(delimiter).filter(|_| !delimiter.is_empty()) {
                let folder = &key[..=prefix.len() + at];
                if folder != last_folder {
                    let _ =
                        write!(body, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(folder));
                    folder.clone_into(&mut last_folder);
                }
                continue;
            }
            let _ = write!(
                body,
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>{TIME}</LastModified><ETag>{}</ETag></Contents>",
                escaped(key),
                content.len(),
                e_tag(content, *generation)
            );
        }
        Answer::xml(body + "</ListBucketResult>")
    }

    fn multipart(&mut self, r: &Request) -> Answer {
        if r.query.contains_key("uploads") {
            self.generation += 1;
            let id = format!("upload-{}", self.generation);
            self.uploads.insert(id.clone(), BTreeMap::new());
            return Answer::xml(format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ));
        }
        let id = r.query.get("uploadId").map_or("", String::as_str);
        let Some(parts) = self.uploads.remove(id) else { return Answer::status(404) };
        let content = parts.into_values().flatten().collect();
        let put = self.put(r, content);
        let tag = self.objects.get(&r.key).map_or_else(String::new, |o| e_tag(&o.0, o.1));
        Answer {
            headers: put.headers,
            ..Answer::xml(format!(
                "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
            ))
        }
    }

    fn put_part(&mut self, r: &Request) -> Answer {
        let number = r.query.get("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0);
        let Some(upload) = r.query.get("uploadId").and_then(|id| self.uploads.get_mut(id)) else {
            return Answer::status(404);
        };
        upload.insert(number, r.body.clone());
        Answer { headers: format!("ETag: \"part-{number}\"\r\n"), ..Answer::status(200) }
    }
}
