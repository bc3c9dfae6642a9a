//! The operator's page in a real Chromium: what it shows is what the daemon said, and what is old never looks live.

use mindeye_config::runtime_library;
use mindeye_tests::chromium::Chromium;
use mindeye_tests::{say, skip};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for something that will happen; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_operator_sees_a_trial_and_later_that_it_is_old() {
    let Some(mut browser) = start_browser() else { return };
    let room = tempfile::tempdir().expect("a folder for the session");
    let (mut daemon, addresses) = start_daemon(room.path());
    let page = format!("http://{}/", addresses.http);

    browser.resize(1280, 720).expect("a window");
    browser.open(&page).expect("the page");
    let waiting = format!("{} && {}", banner("Ready"), visible("random-init-warning"));
    browser.wait_until(&waiting, PATIENCE).expect("a page that waits for the scanner and says what the bundle is");

    let _scanner = start_scanner(&addresses.volumes);
    let live = ["stimulus", "retrieved", "reconstructed"].map(picture_is_there).join(" && ");
    browser.wait_until(&format!("{live} && {IS_LIVE} && {}", bars_are_there()), PATIENCE).expect("a live trial");
    photograph(&mut browser, "page-live-1280x720.png");
    assert_nothing_outside_the_window(&mut browser);

    browser.resize(1920, 1080).expect("a window");
    photograph(&mut browser, "page-live-1920x1080.png");
    assert_nothing_outside_the_window(&mut browser);

    // A page that comes later is told the latest trial.
    browser.open(&page).expect("the page, again");
    browser.wait_until(&format!("{live} && {}", bars_are_there()), PATIENCE).expect("the latest trial");
    assert!(browser.complaints().is_empty(), "the page complains: {:#?}", browser.complaints());

    daemon.end();
    let lost = format!("{} && {}", banner("Not live: no connection"), visible("random-init-warning"));
    browser.wait_until(&lost, PATIENCE).expect("a banner that says that the connection is lost");
    let grey = "[...document.querySelectorAll('.picture img')].length === 3 && [...document.querySelectorAll('img')]\
                .every((img) => getComputedStyle(img).filter.includes('grayscale(1)'))";
    // The filter may fade in after the banner.
    browser.wait_until(grey, PATIENCE).expect("the pictures of a lost daemon turn grey");
    photograph(&mut browser, "page-stale-1920x1080.png");
}

#[test]
fn the_operator_sees_revisions_arrive_and_whether_confidence_is_known() {
    let Some(mut browser) = start_browser() else { return };
    let room = tempfile::tempdir().expect("a folder for the session");
    // 300 ms a UNet step: the blurry picture stands for some seconds before the complete one.
    let slow = "[deadline]\ndeadline_s = 600.0\n[engine]\nmock_delay_ms = 1.0\n[[engine.mock_fault]]\nnetwork = \"unet\"\n\
                kind = \"slow\"\nms = 300.0\n";
    let (_daemon, addresses) = start_daemon_with(room.path(), "mock", slow);
    browser.resize(1280, 720).expect("a window");
    browser.open(&format!("http://{}/", addresses.http)).expect("the page");
    let _scanner = start_scanner_of(&addresses.volumes, "1");
    let text = |id: &str| format!("document.querySelector('[data-testid={id}]').textContent");
    let making = format!("{} && {}.startsWith('blurry')", visible("revision"), text("reconstructed-caption"));
    browser.wait_until(&making, PATIENCE).expect("a blurry picture, and that more is in the making");
    photograph(&mut browser, "page-revision-blurry.png");
    let unknown = format!("{} === 'confidence not calibrated'", text("confidence"));
    assert_eq!(browser.evaluate(&unknown).expect("an answer"), json!(true), "a bundle without calibration");
    let done = format!("!{} && {}.startsWith('full')", visible("revision"), text("reconstructed-caption"));
    browser.wait_until(&done, PATIENCE).expect("the complete picture, and that nothing follows");
    photograph(&mut browser, "page-revision-full.png");
    assert!(browser.complaints().is_empty(), "the page complains: {:#?}", browser.complaints());
}

#[test]
fn the_participant_sees_fixation_and_any_key_blanks_it() {
    let Some(mut browser) = start_browser() else { return };
    let room = tempfile::tempdir().expect("a folder for the session");
    let (_daemon, addresses) = start_daemon(room.path());

    browser.resize(1280, 720).expect("a window");
    browser.open(&format!("http://{}/participant", addresses.http)).expect("the participant's page");
    let fixation = "getComputedStyle(document.querySelector('[data-testid=fixation]')).visibility";
    browser.wait_until(&format!("{fixation} === 'visible'"), PATIENCE).expect("a fixation cross");
    photograph(&mut browser, "participant.png");
    for key in ["5", "5"] {
        // Twice: a scanner's trigger repeats its key and must not bring the screen back.
        browser.press(key).expect("a key");
        browser.wait_until(&format!("{fixation} === 'hidden'"), PATIENCE).expect("a blank screen");
    }
    assert_eq!(browser.evaluate("document.images.length").expect("an answer"), json!(0), "no picture, ever");
    assert!(browser.complaints().is_empty(), "the page complains: {:#?}", browser.complaints());
}

/// The page's own rules, asked of its own module: `(what it is about, JavaScript, answer)`.
/// `knowing(...)` hears these messages at second 0; a status and a trial of the same running run are `S` and `T`.
#[test]
fn nothing_old_passes_for_live() {
    let Some(mut browser) = start_browser() else { return };
    browser.evaluate(&as_script(include_str!("../../daemon/src/display/page/knowledge.js"))).expect("knowledge.js");
    browser.evaluate(KNOWLEDGE_FIXTURE).expect("the fixture");
    let cases: [(&str, &str, Value); 16] = [
        ("a running run is live", "headline(knowing(S, T), 0)", Value::Null),
        (
            "so is a degraded one: its answers are made now",
            "headline(knowing({...S, state: 'degraded'}, T), 0)",
            Value::Null,
        ),
        ("within the daemon's own limit", "headline(knowing(S, T), 2.9)", Value::Null),
        ("beyond it", "headline(knowing(S, T), 3.1)", json!("Not live: daemon silent")),
        ("a lost socket", "headline(lost(knowing(S, T)), 0)", json!("Not live: no connection")),
        ("a socket that never opened", "headline(nothingKnown(0), 0)", json!("Not live: no connection")),
        ("no status yet", "headline(knowing(), 0)", json!("Connected")),
        ("no run", "headline(knowing({...S, state: 'ready'}, T), 0)", json!("Ready")),
        ("stopped", "headline(knowing({...S, state: 'stopped'}, T), 0)", json!("Not live: stopped")),
        ("a state of a later version", "headline(knowing({...S, state: 'new'}, T), 0)", json!("Not live")),
        (
            "a scanner silent for over 3 TR",
            "headline(knowing({...S, last_volume_age_s: 4.6}, T), 0)",
            json!("Not live: scanner silent"),
        ),
        ("a trial of another run", "headline(knowing({...S, run: 'run-2'}, T), 0)", json!("New run")),
        ("a reopened socket forgets", "reopened(knowing(S, T)).trial", Value::Null),
        (
            "a revision without picture takes the picture away",
            "shown(S, T, {...T, revision: 1, picture: null})",
            json!([4, 1, null]),
        ),
        (
            "an older revision changes nothing",
            "shown(S, {...T, revision: 1}, {...T, picture: 'old'})",
            json!([4, 1, "png"]),
        ),
        ("nor does an older trial", "shown(S, T, {...T, trial: 3, revision: 9, picture: 'old'})", json!([4, 0, "png"])),
    ];
    for (about, expression, expected) in cases {
        assert_eq!(browser.evaluate(expression).expect(about), expected, "{about}: {expression}");
    }
}

const KNOWLEDGE_FIXTURE: &str = r"
    const S = {type: 'status', state: 'running', session: 's', run: 'run-1', tr_s: 1.5, speed: 1, stale_after_s: 3, last_volume_age_s: 0.5};
    const T = {type: 'trial', session: 's', run: 'run-1', trial: 4, revision: 0, picture: 'png'};
    const lost = (known) => { linkChanged(known, false, 0); return known; };
    const reopened = (known) => { linkChanged(lost(known), true, 0); return known; };
    const knowing = (...messages) => {
      const known = nothingKnown(0);
      linkChanged(known, true, 0);
      for (const message of messages) hear(known, message, message.picture ?? null, 0);
      return known;
    };
    const headline = (known, seconds) => staleness(known, 1000 * seconds)?.headline ?? null;
    const shown = (...messages) => { const known = knowing(...messages); return [known.trial.trial, known.trial.revision, known.picture]; };
";

/// Frames as they come over the socket, and what the page is given: `[type or trial, bytes of its picture]`.
#[test]
fn a_picture_goes_with_its_own_trial_or_with_none() {
    let Some(mut browser) = start_browser() else { return };
    browser.evaluate(&as_script(include_str!("../../daemon/src/display/page/feed.js"))).expect("feed.js");
    browser.evaluate(FEED_FIXTURE).expect("the fixture");
    let cases: [(&str, &str, Value); 6] = [
        ("with its picture", "heard(trial(1, 3), bytes(3))", json!([[1, 3]])),
        ("without one", "heard(trial(1, 0), status)", json!([[1, null], ["status", null]])),
        ("a status in between", "heard(trial(1, 3), status, bytes(3))", json!([["status", null], [1, 3]])),
        ("a short picture is dropped", "heard(trial(1, 3), bytes(2))", json!([[1, null]])),
        ("one that never came", "heard(trial(1, 3), trial(2, 4), bytes(4))", json!([[1, null], [2, 4]])),
        ("one that nobody announced", "heard(bytes(3), trial(1, 0))", json!([[1, null]])),
    ];
    for (about, expression, expected) in cases {
        assert_eq!(browser.evaluate(expression).expect(about), expected, "{about}: {expression}");
    }
}

const FEED_FIXTURE: &str = r"
    const message = (fields) => JSON.stringify({protocol: 'mindeye-result/1', ...fields});
    const trial = (number, picture_bytes) => message({type: 'trial', trial: number, picture_bytes});
    const status = message({type: 'status'});
    const bytes = (length) => new ArrayBuffer(length);
    const heard = (...frames) => {
      const got = [];
      const joiner = joinPictures((message, picture) => got.push([message.trial ?? message.type, picture?.size ?? null]));
      for (const frame of frames) typeof frame === 'string' ? joiner.text(frame) : joiner.binary(frame);
      return got;
    };
";

// === what is asked of the page

const IS_LIVE: &str = "document.querySelector('[data-testid=live]').dataset.stale === 'false' \
                       && document.querySelector('[data-testid=stale-banner]').hidden";

fn picture_is_there(name: &str) -> String {
    format!("(document.querySelector('[data-testid={name}-picture]')?.naturalWidth ?? 0) > 0")
}

fn bars_are_there() -> String {
    let steps = ["receive", "backbone", "retrieval", "vae", "total"];
    let bar = |step| format!("document.querySelector('[data-testid=latency-bar][data-step={step}]') !== null");
    steps.map(bar).join(" && ")
}

fn visible(name: &str) -> String {
    format!("document.querySelector('[data-testid={name}]').checkVisibility()")
}

fn banner(headline: &str) -> String {
    format!(
        "{} && document.querySelector('[data-testid=stale-headline]').textContent === '{headline}'",
        visible("stale-banner")
    )
}

fn assert_nothing_outside_the_window(browser: &mut Chromium) {
    let outside = "[...document.querySelectorAll('.card, .pill, footer')].filter((box) => { \
                   const edge = box.getBoundingClientRect(); \
                   return edge.left < 0 || edge.top < 0 || edge.right > innerWidth || edge.bottom > innerHeight; \
                   }).map((box) => box.textContent.slice(0, 40))";
    assert_eq!(browser.evaluate(outside).expect("an answer"), json!([]), "parts of the page need scrolling");
}

/// A module's text as a plain script, so that its functions can be asked from outside.
fn as_script(module: &str) -> String {
    module.replace("export function", "function")
}

// === programs

struct Program(Child);

impl Program {
    fn end(&mut self) {
        // One that has ended already is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

struct Addresses {
    volumes: String,
    http: String,
}

fn start_browser() -> Option<Chromium> {
    let Some(program) = Chromium::find() else {
        skip("no chromium found");
        return None;
    };
    Some(Chromium::start(&program).expect("chromium starts"))
}

/// A daemon with a random-init bundle, and a deadline so late that no machine is too slow for a picture.
fn start_daemon(room: &Path) -> (Program, Addresses) {
    start_daemon_with(room, engine(), "[deadline]\ndeadline_s = 600.0\n")
}

fn start_daemon_with(room: &Path, engine: &str, configuration: &str) -> (Program, Addresses) {
    let bundle = room.join("bundle");
    let made = Command::new(program("mindeye-export"))
        .args(["bundle", "--random-init", "demo", "--seed", "7", "--out"])
        .arg(&bundle)
        .status()
        .expect("mindeye-export runs");
    assert!(made.success(), "mindeye-export bundle: {made}");
    let config = room.join("daemon.toml");
    std::fs::write(&config, configuration).expect("a configuration");
    let child = Command::new(program("mindeye-daemon"))
        .args(["run", "--engine", engine, "--http", "127.0.0.1:0"])
        .args(["--bind", "tcp://127.0.0.1:0", "--publish", "tcp://127.0.0.1:0", "--config"])
        .arg(&config)
        .arg("--bundle")
        .arg(&bundle)
        .arg("--journal")
        .arg(room.join("journal"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("mindeye-daemon runs");
    let mut daemon = Program(child);
    let addresses = listening(&mut daemon);
    (daemon, addresses)
}

/// Waits for the line that names the sockets, then goes on reading, so that the daemon never waits for us.
fn listening(daemon: &mut Program) -> Addresses {
    let stderr = daemon.0.stderr.take().expect("its standard error is a pipe");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let line = lines.by_ref().inspect(|line| eprintln!("daemon: {line}")).find(|line| line.starts_with("listening "));
    let line = line.expect("a daemon that listens");
    std::thread::spawn(move || lines.for_each(|line| eprintln!("daemon: {line}")));
    let word = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).expect(key).to_owned();
    Addresses { volumes: word("volumes="), http: word("http=") }
}

/// Enough trials that the run is still open while the page is looked at.
fn start_scanner(volumes: &str) -> Program {
    start_scanner_of(volumes, "20")
}

fn start_scanner_of(volumes: &str, trials: &str) -> Program {
    let child = Command::new(program("mindeye-daemon"))
        .args(["scanner", "--connect", volumes, "--phantom", "--speed", "8", "--trials", trials, "--seed", "1"])
        .spawn()
        .expect("the scanner runs");
    Program(child)
}

/// The library's engine where it is installed; the page shows the same with the mock.
fn engine() -> &'static str {
    if runtime_library("onnxruntime/lib/libonnxruntime.so").is_some() { "onnxruntime-cpu" } else { "mock" }
}

/// A program of the workspace, beside this test's own: `target/<profile>/deps/page-…`.
fn program(name: &str) -> PathBuf {
    let path = profile_dir().join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

fn photograph(browser: &mut Chromium, name: &str) {
    let path = profile_dir().with_file_name("screenshots").join(name);
    browser.photograph(&path).expect("a screenshot");
    say(&format!("screenshot {}", path.display()));
}

fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.parent().and_then(Path::parent).expect("target/<profile>/deps").to_owned()
}
