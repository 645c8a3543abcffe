//! A browser, driven by Debian's `chromedriver` through the `WebDriver` protocol (W3C): JSON over HTTP. It runs no scripts
//! of pages; our pages need none.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::sleep,
};

/// How elements are named in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What the driver says when it listens, before its port.
const READY: &str = "started successfully on port ";

/// It is run as root, in containers, and shows nothing but our own pages: no sandbox. It gets nothing from anywhere else.
/// By the pipe it notices when its driver is killed.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// A page that has not come by then never will; and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Screens on which pages are looked at.
const SCREENS: [(&str, u32, u32); 2] = [("phone", 390, 844), ("desktop", 1280, 800)];

/// A browser with one window and nothing in its memory.
pub(super) struct Browser {
    http: reqwest::Client,
    session: String,
    _driver: Child,
    _profile: TempDir,
}

/// A program of Debian's package, or a failure that says how to get it.
fn installed(program: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join(program));
    found.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("{program} is missing, which this test drives a browser with: apt-get install {package}")
    })
}

impl Browser {
    pub(super) async fn start() -> Self {
        let chromium = installed("chromium", "chromium");
        let profile = TempDir::new().unwrap();
        let mut driver = Command::new(installed("chromedriver", "chromium-driver"))
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("chromedriver ended before it listened");
            if let Some((_, port)) = line.split_once(READY) {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        let mut arguments: Vec<_> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({
            "binary": chromium,
            "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": 2 },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser = Self {
            http: gatehouse_testkit::http::client().build().unwrap(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
            _profile: profile,
        };
        let made = browser.command("", Some(wanted)).await;
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().unwrap());
        browser
            .open("data:text/html,<p>still</p><script>document.write('scripts run')</script>")
            .await;
        assert_eq!(browser.text().await, "still", "the browser runs scripts");
        browser
    }

    /// Closes the browser. Without, it ends with its driver, and may leave files behind.
    pub(super) async fn close(self) {
        let closed = self.http.delete(&self.session).send().await.unwrap();
        assert!(closed.status().is_success());
    }

    /// Goes to an address.
    pub(super) async fn open(&self, url: &str) {
        self.command("/url", Some(json!({ "url": url }))).await;
    }

    /// What stands in the address bar.
    pub(super) async fn address(&self) -> String {
        self.command("/url", None).await.as_str().unwrap().to_owned()
    }

    /// What a person can read on the page.
    pub(super) async fn text(&self) -> String {
        let body = self.element("body").await;
        let text = self.command(&format!("/element/{body}/text"), None).await;
        text.as_str().unwrap().to_owned()
    }

    /// What stands in a field.
    pub(super) async fn value(&self, selector: &str) -> String {
        let field = self.element(selector).await;
        let value = self
            .command(&format!("/element/{field}/property/value"), None)
            .await;
        value.as_str().unwrap().to_owned()
    }

    /// Types into a field.
    pub(super) async fn write(&self, selector: &str, text: &str) {
        let field = self.element(selector).await;
        let path = format!("/element/{field}/value");
        self.command(&path, Some(json!({ "text": text }))).await;
    }

    /// Clicks on what leads to another page, and waits until that is there: a click returns before.
    pub(super) async fn follow(&self, selector: &str) {
        let page = self.element("html").await;
        self.press(selector).await;
        let began = Instant::now();
        let old = format!("/element/{page}/name");
        while self.try_command(&old, None).await.is_ok() {
            assert!(began.elapsed() < PATIENCE, "{selector} leads nowhere");
            sleep(PAUSE).await;
        }
    }

    /// Clicks, which only works on what can be seen.
    pub(super) async fn press(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(&format!("/element/{element}/click"), Some(json!({})))
            .await;
    }

    /// Looks at the page on each screen, by day and by night. Nothing may reach over the edge. The pictures are for
    /// people, in `target/scratch/browser`.
    pub(super) async fn look(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/scratch/browser");
        std::fs::create_dir_all(&folder).unwrap();
        for (screen, width, height) in SCREENS {
            let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone" });
            self.devtools("Emulation.setDeviceMetricsOverride", size).await;
            for scheme in ["light", "dark"] {
                let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
                self.devtools("Emulation.setEmulatedMedia", features).await;
                let metrics = self.devtools("Page.getLayoutMetrics", json!({})).await;
                let content = metrics["cssContentSize"]["width"].as_f64().unwrap();
                assert!(
                    content <= f64::from(width),
                    "{name}: {content} pixels on a {screen} of {width}"
                );
                let whole = json!({ "captureBeyondViewport": true });
                let picture = self.devtools("Page.captureScreenshot", whole).await;
                let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
                std::fs::write(folder.join(format!("{name}-{screen}-{scheme}.png")), picture).unwrap();
            }
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
    }

    async fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.command("/element", Some(wanted)).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// What Chromium offers beside the protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", Some(body)).await
    }

    /// Sends a command and gives its value.
    async fn command(&self, path: &str, body: Option<Value>) -> Value {
        let done = self.try_command(path, body.as_ref()).await;
        done.unwrap_or_else(|error| panic!("{path} {body:?}: {error}"))
    }

    /// Sends a command and gives its value, or what the driver says against it.
    async fn try_command(&self, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let request = match body {
            Some(body) => self.http.post(&url).json(body),
            None => self.http.get(&url),
        };
        let response = request.send().await.unwrap();
        let is_done = response.status().is_success();
        let mut answer: Value = response.json().await.unwrap();
        if is_done {
            return Ok(answer["value"].take());
        }
        Err(answer["value"]["message"].to_string())
    }
}
