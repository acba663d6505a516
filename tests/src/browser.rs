//! Drives a headless Chromium over its DevTools protocol: presses keys and reads the page as a person would.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetDeviceMetricsOverrideParams};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType};
use chromiumoxide::cdp::browser_protocol::network::CookieParam;
use chromiumoxide::cdp::browser_protocol::page::{NavigateParams, Viewport};
use chromiumoxide::page::ScreenshotParams;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::console::WAIT_DEADLINE;
use crate::root;

/// Whether Chromium is installed. Prints a notice if it is not.
///
/// # Panics
/// When `FIREWATCH_REQUIRE_BROWSER` is set and Chromium is absent.
#[must_use]
pub fn can_browse() -> bool {
    if executable().is_some() {
        return true;
    }
    let required = std::env::var_os("FIREWATCH_REQUIRE_BROWSER").is_some();
    assert!(!required, "FIREWATCH_REQUIRE_BROWSER is set, but there is no Chromium");
    eprintln!("SKIPPED: no Chromium; sudo apt-get install chromium");
    false
}

fn executable() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let named = |folder: PathBuf| ["chromium", "google-chrome"].map(|name| folder.join(name));
    std::env::split_paths(&paths).flat_map(named).find(|path| path.exists())
}

/// A Chromium process with one page and an empty profile.
pub struct Chromium {
    runtime: Runtime,
    browser: Browser,
    page: Page,
    _folder: TempDir,
}

/// A screen size and colour scheme to emulate.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub name: &'static str,
    pub wide: i64,
    pub high: i64,
    pub is_phone: bool,
    pub is_dark: bool,
}

/// A desktop and a phone screen, each light and dark.
pub const SCREENS: [Screen; 4] = [
    Screen { name: "desktop-light", wide: 1280, high: 900, is_phone: false, is_dark: false },
    Screen { name: "desktop-dark", wide: 1280, high: 900, is_phone: false, is_dark: true },
    Screen { name: "phone-light", wide: 390, high: 844, is_phone: true, is_dark: false },
    Screen { name: "phone-dark", wide: 390, high: 844, is_phone: true, is_dark: true },
];

impl Drop for Chromium {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            let _ = self.browser.close().await;
            let _ = self.browser.wait().await;
        });
    }
}

impl Chromium {
    /// Starts Chromium with a blank page.
    #[must_use]
    pub fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(executable().unwrap())
            .user_data_dir(folder.path())
            .no_sandbox()
            .viewport(None)
            .args(["disable-gpu", "disable-dev-shm-usage", "ignore-certificate-errors"])
            .build()
            .unwrap();
        let (browser, page) = runtime.block_on(async {
            let (browser, mut handler) = Browser::launch(config).await.unwrap();
            tokio::spawn(async move { while handler.next().await.is_some() {} });
            let page = browser.new_page("about:blank").await.unwrap();
            // An injected script that calls `alert` sets a flag, which tests check.
            page.evaluate_on_new_document("window.alert = () => { window.ran = true; };").await.unwrap();
            (browser, page)
        });
        Self { runtime, browser, page, _folder: folder }
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        // The page's stream of changes never ends, so wait for the document and not for an idle network.
        self.runtime
            .block_on(async { self.page.execute(NavigateParams::new(url)).await.map(|_| ()).unwrap() });
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Evaluates a JavaScript expression on the page; waits for a promise.
    #[must_use]
    pub fn evaluate(&self, expression: &str) -> Value {
        let done = self.runtime.block_on(self.page.evaluate(expression));
        done.unwrap_or_else(|e| panic!("{expression}: {e}")).value().cloned().unwrap_or_default()
    }

    /// Waits until an expression is true; returns the time it took.
    pub fn wait(&self, expression: &str) -> Duration {
        let start = Instant::now();
        // Evaluation fails while the page navigates; that counts as false.
        let is_true = || {
            let evaluated = self.runtime.block_on(self.page.evaluate(format!("Boolean({expression})")));
            evaluated.ok().and_then(|result| result.value().cloned()) == Some(Value::Bool(true))
        };
        while !is_true() {
            let text = || self.runtime.block_on(self.page.evaluate("document.body.innerText"));
            assert!(
                start.elapsed() < WAIT_DEADLINE,
                "never: {expression}\n{:?}",
                text().map(|t| t.value().cloned())
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        start.elapsed()
    }

    /// Waits until the page's text contains `words`; returns the time it took.
    pub fn wait_for(&self, words: &str) -> Duration {
        self.wait(&format!("document.body.innerText.includes({})", Value::from(words)))
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let press = |kind| {
            let params = DispatchKeyEventParams::builder().r#type(kind).key(key);
            let params = match key {
                "Enter" => params.text("\r").windows_virtual_key_code(13),
                "Escape" => params.windows_virtual_key_code(27),
                "Tab" => params.windows_virtual_key_code(9),
                key => params.text(key),
            };
            let params = params.build().unwrap();
            self.runtime.block_on(async { drop(self.page.execute(params).await.unwrap()) });
        };
        press(DispatchKeyEventType::KeyDown);
        press(DispatchKeyEventType::KeyUp);
    }

    /// Types a text into the focused element.
    pub fn type_in(&self, text: &str) {
        text.chars().for_each(|c| self.press(&c.to_string()));
    }

    /// Sets a cookie for a URL, given as `name=value`.
    pub fn set_cookie(&self, url: &str, cookie: &str) {
        let (name, value) = cookie.split_once('=').unwrap();
        let cookie = CookieParam::builder().name(name).value(value).url(url).build().unwrap();
        self.runtime.block_on(async { self.page.set_cookie(cookie).await.map(|_| ()).unwrap() });
    }

    /// Returns the page's cookies: each name with its protection attributes.
    #[must_use]
    pub fn cookies(&self) -> Vec<String> {
        let cookies = self.runtime.block_on(self.page.get_cookies()).unwrap();
        let pairs = cookies.iter().map(|cookie| {
            let secure = if cookie.secure { " secure" } else { "" };
            let http_only = if cookie.http_only { " http-only" } else { "" };
            format!("{}{secure}{http_only}", cookie.name)
        });
        pairs.collect()
    }

    /// Emulates a screen.
    pub fn set_screen(&self, screen: Screen) {
        let metrics = SetDeviceMetricsOverrideParams::new(screen.wide, screen.high, 1.0, screen.is_phone);
        let scheme = if screen.is_dark { "dark" } else { "light" };
        self.runtime.block_on(async {
            self.page.execute(metrics).await.unwrap();
            let feature = MediaFeature::new("prefers-color-scheme", scheme);
            self.page.emulate_media_features(vec![feature]).await.unwrap();
        });
    }

    /// Saves a screenshot of the page, at most `screens` screens high.
    pub fn picture(&self, path: &Path, screens: u32) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let size =
            format!("[innerWidth, Math.min(document.documentElement.scrollHeight, {screens} * innerHeight)]");
        let size = self.evaluate(&size);
        let [width, height] = [0, 1].map(|i| size[i].as_f64().unwrap());
        let clip = Viewport { x: 0.0, y: 0.0, width, height, scale: 1.0 };
        let params = ScreenshotParams::builder().clip(clip).capture_beyond_viewport(true).build();
        self.runtime.block_on(async { drop(self.page.save_screenshot(params, path).await.unwrap()) });
    }

    /// Returns axe-core's findings on the page that are serious or violate WCAG 2 A or AA. Prints a notice
    /// and returns `None` if axe-core is not installed.
    ///
    /// # Panics
    /// When `FIREWATCH_REQUIRE_BROWSER` is set and axe-core is absent.
    #[must_use]
    pub fn violations(&self) -> Option<Vec<String>> {
        let path = root().join("tests/browser/node_modules/axe-core/axe.min.js");
        let Ok(axe) = std::fs::read_to_string(&path) else {
            let required = std::env::var_os("FIREWATCH_REQUIRE_BROWSER").is_some();
            assert!(!required, "FIREWATCH_REQUIRE_BROWSER is set, but there is no {}", path.display());
            eprintln!("SKIPPED: axe-core is not installed; npm ci --prefix tests/browser");
            return None;
        };
        let _ = self.evaluate(&format!("{axe}; true"));
        let run = "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((found) =>
            found.violations.filter((v) => ['serious', 'critical'].includes(v.impact) || v.tags.includes('wcag2aa') || v.tags.includes('wcag2a'))
                .map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | ')))";
        let found = self.evaluate(run);
        Some(found.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect())
    }
}
