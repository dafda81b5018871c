//! The page and its parts, embedded in the program.

use axum::{Router, http::header, routing::get};

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
/// Everything comes from this server, nothing is inline, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The package of `crates/realtime-client-js`, as its build makes it.
const CLIENT: &str = include_str!("../../../crates/realtime-client-js/bundle/realtime-client.js");

const PARTS: [(&str, &str, &str); 7] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/app.js", JS, include_str!("../page/app.js")),
    ("/bars.js", JS, include_str!("../page/bars.js")),
    ("/page.css", CSS, include_str!("../page/page.css")),
    ("/plot.js", JS, include_str!("../page/plot.js")),
    ("/realtime-client.js", JS, CLIENT),
    ("/series.js", JS, include_str!("../page/series.js")),
];

pub(crate) fn router() -> Router {
    let parts = PARTS.into_iter();
    parts.fold(Router::new(), |router, (path, kind, text)| {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        router.route(path, get(async move || (headers, text)))
    })
}
