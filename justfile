# What developers and CI run. `just` lists the recipes.

set shell := ["bash", "-euo", "pipefail", "-c"]

browser := "examples/chat/tests/browser"

_default:
    @just --list --unsorted

# Install what the tests need, where it is missing.
setup:
    #!/usr/bin/env bash
    set -euo pipefail
    missing=()
    command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
    [ -n "${CHROMIUM:-}" ] || [ -x /usr/bin/chromium ] || missing+=(chromium fonts-dejavu-core)
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -q
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
        else
            echo "please install: ${missing[*]} (CHROMIUM=/path/to/chromium names another browser)" >&2
            exit 1
        fi
    fi
    command -v cargo-nextest >/dev/null || cargo install cargo-nextest --locked
    [ -d {{browser}}/node_modules/playwright-core ] || npm ci --prefix {{browser}} --no-audit --no-fund

# All tests, the browser included.
test: setup
    cargo nextest run --workspace --all-features
    cargo test --workspace --all-features --doc

# Formatting, lints and documentation.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    just doc

# The documentation, without a warning.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Each feature of the published crates alone, none, and all.
features:
    command -v cargo-hack >/dev/null || cargo install cargo-hack --locked
    cargo hack clippy --each-feature --no-dev-deps -p realtime -p realtime-gateway -- -D warnings

# Licences, bans and sources of all dependencies.
deny:
    command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
    cargo deny check bans licenses sources

# The WebSocket conformance suite against `raw-echo`, plain and over TLS.
autobahn:
    .ci/autobahn

# Every test again and again, to find what fails once in a while.
flaky times="20":
    cargo nextest run --workspace --all-features -E 'not package(chat)' --stress-count {{times}}

# What publishing would upload.
package:
    cargo package --workspace --no-verify --allow-dirty
