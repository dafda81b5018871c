//! The browser client is the same wherever a page is served with it from a file.

use std::{error::Error, fs};

use realtime_book::root;

const BUNDLE: &str = "crates/realtime-client-js/bundle/realtime-client.js";
/// Those that are no links: git makes none on Windows, and a template has none to what is outside.
const COPIES: [&str; 2] = [
    "crates/realtime-admin/page/realtime-client.js",
    "examples/quickstart/page/realtime-client.js",
];

#[test]
fn each_copy_is_what_the_clients_build_has_made() -> Result<(), Box<dyn Error>> {
    let bundle = fs::read(root().join(BUNDLE))?;
    for copy in COPIES {
        assert!(
            !fs::symlink_metadata(root().join(copy))?.is_symlink(),
            "expected {copy} to be a file: git makes no links on Windows"
        );
        assert!(
            fs::read(root().join(copy))? == bundle,
            "expected {copy} to be {BUNDLE}: run `just client`"
        );
    }
    Ok(())
}
