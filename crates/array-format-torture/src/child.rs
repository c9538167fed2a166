//! Child processes that talk in lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::{Result, ensure};

/// A running child and what it says. Killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts `program`. Its errors go to our own standard error.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // What was written to a pipe stays in it, also if the writer is killed.
            let lines = output
                .into_iter()
                .flat_map(|o| BufReader::new(o).split(b'\n').map_while(std::result::Result::ok));
            for line in lines {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, input, lines })
    }

    /// The next line within a time; `None` if there is none, or the child has ended.
    pub fn line(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// Hands over lines until `stop` says so. Returns whether it did, in time.
    pub fn lines_until(&self, within: Duration, mut stop: impl FnMut(&str) -> bool) -> bool {
        let end = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if stop(&line) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Kills it with SIGKILL, and returns all lines that were not read yet, and whether it was alive until then.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(mut self) -> Result<(Vec<String>, bool)> {
        let was_alive = self.process.try_wait()?.is_none();
        self.process.kill()?;
        self.process.wait()?;
        Ok((self.lines.iter().collect(), was_alive))
    }

    /// Ends its input, waits for it, and returns all lines that were not read yet.
    ///
    /// # Errors
    /// If it failed.
    pub fn finish(mut self) -> Result<Vec<String>> {
        drop(self.input.take());
        let lines = self.lines.iter().collect();
        let status = self.process.wait()?;
        ensure!(status.success(), "a child failed: {status}");
        Ok(lines)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says a line to the parent, at once. Once this returned, the parent will read it, whatever happens to this process.
///
/// # Errors
/// If the parent is gone.
pub fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}

/// A flag that is set when the parent ends our input, or is gone.
pub fn until_input_ends() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        set.store(true, Ordering::Relaxed);
    });
    stop
}

/// A line that does not mean anything.
#[derive(Debug, Clone, Copy)]
pub struct Garbled;

impl std::fmt::Display for Garbled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line of a child does not mean anything")
    }
}

impl std::error::Error for Garbled {}
