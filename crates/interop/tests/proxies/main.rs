//! The recipes of docs/proxies.md before real gateways: nginx, HAProxy and Caddy, as the
//! distribution has them. Each test has a proxy and nodes of its own, on the loopback and in a
//! folder of its own. `just setup` installs the proxies; without one its tests fail.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod addresses;
mod crossing;
mod draining;
mod host;
mod idle;
mod node;
mod recipe;
mod refusing;
mod secure;
mod site;
mod tls;
mod upstream;

/// Each of these functions as a test behind each of the proxies.
macro_rules! behind_each {
    ($($test:ident),* $(,)?) => {
        behind_each!(@ nginx Nginx $($test)*);
        behind_each!(@ haproxy HaProxy $($test)*);
        behind_each!(@ caddy Caddy $($test)*);
    };
    (@ $module:ident $kind:ident $($test:ident)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::recipe::Kind::$kind).await;
            })*
        }
    };
}
pub(crate) use behind_each;
