//! A real Chromium, driven through its DevTools protocol: it opens pages, answers questions about them, photographs them, and tells what they complained of.

use mindeye_config::{Clock, Moment, SystemClock};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// No window, no GPU, and nothing that it does of its own accord; the sandbox needs rights that containers withhold.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
];
/// Longest wait for the browser to start or to answer one question; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(30);

/// A browser with one page, ended when dropped.
pub struct Chromium {
    process: Child,
    _profile: TempDir,
    socket: WebSocket<TcpStream>,
    page: Value,
    questions: u64,
    complaints: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl Chromium {
    /// The first browser on `PATH`, if any.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let candidates = std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
        candidates.into_iter().find(|program| program.is_file())
    }

    /// Starts `program` with a fresh profile and an empty page.
    pub fn start(program: &Path) -> io::Result<Self> {
        let profile = TempDir::new()?;
        let mut process = Command::new(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let socket = process.stderr.take().ok_or_else(|| failed("no standard error")).and_then(connect);
        let socket = socket.inspect_err(|_| end(&mut process))?;
        let clock = SystemClock::start();
        let mut chromium =
            Self { process, _profile: profile, socket, page: Value::Null, questions: 0, complaints: Vec::new(), clock };
        chromium.attach()?;
        Ok(chromium)
    }

    fn attach(&mut self) -> io::Result<()> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let session = self.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}))?;
        self.page = session["sessionId"].clone();
        ["Page.enable", "Runtime.enable", "Log.enable"].into_iter().try_for_each(|m| self.call(m, json!({})).map(drop))
    }

    /// Makes the visible area `width` x `height` CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) -> io::Result<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics).map(drop)
    }

    /// Opens `url` and forgets earlier complaints.
    pub fn open(&mut self, url: &str) -> io::Result<()> {
        self.complaints.clear();
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        match answer["errorText"].as_str() {
            Some(text) => Err(failed(format!("{url}: {text}"))),
            None => self.wait_until("document.readyState === 'complete'", PATIENCE),
        }
    }

    /// The value of a JavaScript expression in the page; a promise is waited for.
    pub fn evaluate(&mut self, expression: &str) -> io::Result<Value> {
        let question = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", question)?;
        match answer.get("exceptionDetails") {
            Some(exception) => Err(failed(format!("{expression}: {exception}"))),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Asks until `expression` is true.
    pub fn wait_until(&mut self, expression: &str, at_most: Duration) -> io::Result<()> {
        let until = self.clock.now() + at_most;
        while self.evaluate(expression)? != json!(true) {
            if self.clock.now() > until {
                return Err(failed(format!("not true within {at_most:?}: {expression}")));
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }

    /// Presses and releases `key`.
    pub fn press(&mut self, key: &str) -> io::Result<()> {
        ["keyDown", "keyUp"]
            .into_iter()
            .try_for_each(|kind| self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key})).map(drop))
    }

    /// Saves what is visible as PNG.
    pub fn photograph(&mut self, path: &Path) -> io::Result<()> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}))?;
        let base64 = answer["data"].as_str().ok_or_else(|| failed("a screenshot without data"))?;
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, from_base64(base64)?)
    }

    /// Errors, warnings and uncaught exceptions of the page since it was opened.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    // === protocol

    fn call(&mut self, method: &str, params: Value) -> io::Result<Value> {
        self.questions += 1;
        let mut question = json!({"id": self.questions, "method": method, "params": params});
        if self.page.is_string() {
            question["sessionId"] = self.page.clone();
        }
        self.socket.send(Message::text(question.to_string())).map_err(failed)?;
        let until = self.clock.now() + PATIENCE;
        self.answer(method, until)
    }

    fn answer(&mut self, method: &str, until: Moment) -> io::Result<Value> {
        while self.clock.now() <= until {
            let message = self.socket.read().map_err(|error| failed(format!("{method}: {error}")))?;
            let Message::Text(text) = message else { continue };
            let mut heard: Value = serde_json::from_str(&text)?;
            if heard["id"] == json!(self.questions) {
                return match heard.get("error") {
                    Some(error) => Err(failed(format!("{method}: {error}"))),
                    None => Ok(heard["result"].take()),
                };
            }
            self.complaints.extend(complaint(&heard));
        }
        Err(failed(format!("{method}: no answer within {PATIENCE:?}")))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// A browser that has ended already is what we want.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// What an event has to say against the page, if anything.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    let level = match event["method"].as_str()? {
        "Runtime.exceptionThrown" => "error",
        "Runtime.consoleAPICalled" => params["type"].as_str()?,
        "Log.entryAdded" => params["entry"]["level"].as_str()?,
        _ => return None,
    };
    matches!(level, "error" | "warning" | "assert").then(|| params.to_string())
}

/// The browser names its socket in one line; all later lines are read as well, so that it never waits for us.
fn connect(stderr: ChildStderr) -> io::Result<WebSocket<TcpStream>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("DevTools listening on ") {
                let _ = sender.send(address.to_owned()); // nobody listens for a second one
            }
        }
    });
    let address = receiver.recv_timeout(PATIENCE).map_err(|_| failed("chromium does not say where it listens"))?;
    let host = address.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
    let stream = TcpStream::connect(host.ok_or_else(|| failed(format!("not a socket: {address}")))?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (socket, _) = tungstenite::client(&address, stream).map_err(|error| failed(format!("{address}: {error}")))?;
    Ok(socket)
}

/// RFC 4648, padded, no line breaks: as DevTools sends pictures.
fn from_base64(text: &str) -> io::Result<Vec<u8>> {
    let digits = text.bytes().filter(|byte| *byte != b'=').map(six_bits).collect::<Option<Vec<u32>>>();
    let digits = digits.ok_or_else(|| failed("not base64"))?;
    Ok(digits.chunks(4).flat_map(three_bytes).collect())
}

fn six_bits(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Four digits are three bytes, a last group of two or three digits one or two.
fn three_bytes(digits: &[u32]) -> impl Iterator<Item = u8> {
    let bits = (0..4).fold(0, |bits, i| (bits << 6) | digits.get(i).copied().unwrap_or(0));
    let [_, bytes @ ..] = bits.to_be_bytes();
    bytes.into_iter().take(digits.len() * 6 / 8)
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_of_rfc_4648_is_read() {
        let cases: [(&str, &[u8]); 5] =
            [("", b""), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("Zm9vYmE=", b"fooba")];
        for (text, bytes) in cases {
            assert_eq!(from_base64(text).expect(text), bytes, "{text}");
        }
        assert!(from_base64("Zm 9v").is_err());
    }
}
