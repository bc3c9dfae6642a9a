//! The pages themselves, compiled into the program.

/// A file of the pages: path, media type, content.
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file that is served.
pub(super) const ASSETS: [Asset; 12] = [
    Asset { path: "/", kind: HTML, content: include_str!("page/index.html") },
    Asset { path: "/page.js", kind: SCRIPT, content: include_str!("page/page.js") },
    Asset { path: "/feed.js", kind: SCRIPT, content: include_str!("page/feed.js") },
    Asset { path: "/knowledge.js", kind: SCRIPT, content: include_str!("page/knowledge.js") },
    Asset { path: "/trial.js", kind: SCRIPT, content: include_str!("page/trial.js") },
    Asset { path: "/charts.js", kind: SCRIPT, content: include_str!("page/charts.js") },
    Asset { path: "/motion.js", kind: SCRIPT, content: include_str!("page/motion.js") },
    Asset { path: "/words.js", kind: SCRIPT, content: include_str!("page/words.js") },
    Asset { path: "/page.css", kind: "text/css; charset=utf-8", content: include_str!("page/page.css") },
    Asset { path: "/icon.svg", kind: "image/svg+xml", content: include_str!("page/icon.svg") },
    Asset { path: "/participant", kind: HTML, content: include_str!("page/participant.html") },
    Asset { path: "/participant.js", kind: SCRIPT, content: include_str!("page/participant.js") },
];
