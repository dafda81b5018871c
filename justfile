# What developers and CI run. `just` lists the recipes.

set shell := ["bash", "-euo", "pipefail", "-c"]

browser := "examples/chat/tests/browser"
client := "crates/realtime-client-js"
asyncapi := "crates/realtime-contract/tests/asyncapi"

_default:
    @just --list --unsorted

# Install what the tests need, where it is missing.
setup:
    #!/usr/bin/env bash
    set -euo pipefail
    missing=()
    command -v node >/dev/null && command -v npm >/dev/null || missing+=(nodejs npm)
    [ -n "${CHROMIUM:-}" ] || [ -x /usr/bin/chromium ] || missing+=(chromium fonts-dejavu-core)
    [ -n "${FIREFOX:-}" ] || [ -x /usr/bin/firefox-esr ] || missing+=(firefox-esr)
    command -v redis-server >/dev/null && command -v redis-cli >/dev/null || missing+=(redis-server redis-tools)
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
    command -v nats-server >/dev/null || missing+=(nats-server)
    command -v faketime >/dev/null || missing+=(faketime)
    # In `sbin`, where only root looks.
    for proxy in nginx haproxy caddy; do
        command -v $proxy >/dev/null || [ -x /usr/sbin/$proxy ] || missing+=($proxy)
    done
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    # Its server and its tool are wanted.
    command -v promtool >/dev/null && command -v prometheus >/dev/null || missing+=(prometheus)
    if [ ${#missing[@]} -gt 0 ]; then
        # Whoever may become root without being asked: who runs a workflow.
        as_root=(sudo -n)
        [ "$(id -u)" != 0 ] || as_root=()
        if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
            # The tests start their own: nobody's machine gets a web server on port 80 by this, now
            # or when it starts the next time.
            policy=/usr/sbin/policy-rc.d
            if [ ! -e $policy ]; then
                trap '"${as_root[@]}" rm -f '"$policy" EXIT
                printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy > /dev/null
                "${as_root[@]}" chmod 755 $policy
            fi
            "${as_root[@]}" apt-get update -q
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
            for service in "${missing[@]}"; do
                if systemctl cat "$service" > /dev/null 2>&1; then
                    "${as_root[@]}" systemctl disable -q "$service"
                fi
            done
        else
            echo "please install: ${missing[*]} (CHROMIUM=/path and FIREFOX=/path name other browsers)" >&2
            exit 1
        fi
    fi
    command -v cargo-nextest >/dev/null || cargo install cargo-nextest --locked
    # Each folder by what it has got last.
    for last in {{browser}}:playwright-core {{client}}:deno {{asyncapi}}:@asyncapi; do
        folder=${last%%:*}
        [ -d "$folder/node_modules/${last#*:}" ] ||
            npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund
    done

# The browser client: its modules, its types, and the file that the examples serve.
client:
    [ -d {{client}}/node_modules/typescript ] || npm ci --prefix {{client}} --ignore-scripts --no-audit --no-fund
    npm run build --prefix {{client}}
    # A template has no links to what is outside of it, and on Windows git makes no links at all.
    for page in examples/quickstart/page crates/realtime-admin/page; do cp {{client}}/bundle/realtime-client.js $page/; done

# What the chat's page relies on, made of its routes in Rust: the document, and the page's types.
contract:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build -p chat
    document=$(cargo run -q -p chat -- --asyncapi)
    printf '%s\n' "$document" > examples/chat/asyncapi.json
    node {{client}}/bin/contract.mjs examples/chat/asyncapi.json --out examples/chat/page/routes.d.ts

# All tests, the browsers included.
test: setup
    cargo nextest run --workspace --all-features
    cargo test --workspace --all-features --doc

# Formatting, unused dependencies, lints and documentation.
check: unused
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    just doc

# Dependencies that no source names.
unused:
    command -v cargo-machete >/dev/null || cargo install cargo-machete --locked
    cargo machete

# The documentation, without a warning.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# The book, in target/book: its links and commands are looked at first. What it shows in Rust is
# compiled by `just test`.
book:
    command -v mdbook >/dev/null || cargo install mdbook --locked --no-default-features --features search
    cargo test -p realtime-book --lib --bins --test links --test commands --test examples
    mdbook build docs

# The picture of the chat in the README, of a chat that runs here meanwhile.
picture:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build -p chat
    log=$(mktemp)
    CHAT_MODERATOR=$(openssl rand -hex 12) target/debug/chat --listen 127.0.0.1:0 > "$log" &
    trap "kill $!; rm -f $log" EXIT
    until grep -q listening "$log"; do sleep 0.1; done
    node {{browser}}/picture.mjs "$(sed 's/listening on //; q' "$log")" docs/chat.png < /dev/null

# Types docs/quickstart.md into an empty folder, starts what it has made, and does the same with what
# `cargo generate` makes: five minutes, and 3 GB in a temporary folder.
quickstart:
    # Later ones want a later compiler.
    command -v cargo-generate >/dev/null || cargo install cargo-generate --locked --version '~0.23'
    .ci/quickstart

# Without TLS and JWT: ring asks for the C compiler of the other system.
# What compiles for Windows and macOS; docs/operations.md has what isn't there on these.
targets:
    #!/usr/bin/env bash
    set -euo pipefail
    features=$(printf 'realtime/%s,' default admin amqp codec-msgpack contract http2 macros metrics redis traces)
    for target in x86_64-pc-windows-gnu aarch64-apple-darwin; do
        rustup target list --installed | grep -qx $target || rustup target add $target
        RUSTFLAGS="-D warnings" cargo check --target $target --no-default-features \
            -p realtime -p realtime-client -p realtime-testkit --features "${features}realtime-testkit/gateway"
    done

# Each feature of the crate that users depend on alone, none, and all.
features: (_features "-p realtime")

# The same of every published crate.
features-all: (_features "--workspace --ignore-private")

_features packages:
    command -v cargo-hack >/dev/null || cargo install cargo-hack --locked
    cargo hack clippy --each-feature --no-dev-deps {{packages}} -- -D warnings

# Licences, bans and sources of all dependencies.
deny:
    command -v cargo-deny >/dev/null || cargo install cargo-deny --locked
    cargo deny check bans licenses sources

# The chat's compose files and manifests, and Envoy's recipe, against their schemas.
deploy-files:
    .ci/deploy/check

# The chat's image, with what is there to build one: podman, docker or buildah.
image *options:
    #!/usr/bin/env bash
    set -euo pipefail
    file=examples/chat/deploy/Containerfile
    if command -v podman >/dev/null; then
        podman build --format docker -f $file -t realtime-chat {{options}} .
    elif command -v docker >/dev/null; then
        docker build -f $file -t realtime-chat {{options}} .
    elif command -v buildah >/dev/null; then
        buildah build --format docker -f $file -t realtime-chat {{options}} .
    else
        echo "expected podman, docker or buildah; got none of them" >&2
        exit 1
    fi

# The WebSocket conformance suite against `raw-echo`, plain and over TLS.
autobahn:
    .ci/autobahn

# Missing tools are named, and fail it with `--require`; crates/interop/packages.txt has them for
# Debian. `--write` writes docs/interop.md.
# Real clients and real proxies against our server and another one: about four minutes.
interop *options:
    python3 crates/interop/runner {{options}}

# The outbox and the close latch in every interleaving of threads.
loom:
    RUSTFLAGS="--cfg realtime_loom" CARGO_TARGET_DIR=target/loom \
        cargo test -p realtime-gateway --lib --release loom_

# Each fuzz target for so many seconds. Needs a nightly toolchain.
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
    cd crates/fuzz
    for target in $(cargo +nightly fuzz list --fuzz-dir .); do
        mkdir -p "corpus/$target" "seeds/$target"
        options=(-max_total_time={{seconds}} -max_len=4096 -timeout=20)
        [ ! -f "dictionaries/$target.dict" ] || options+=("-dict=dictionaries/$target.dict")
        # What is found goes into the first folder, which isn't kept.
        cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- "${options[@]}"
    done

# Without browsers, the ten thousand connections and the compile-fail tests, which say nothing about
# memory, and without servers, whose tests wait for other processes.
# The gateway's tests under AddressSanitizer. Needs a nightly toolchain.
asan:
    RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan cargo +nightly test \
        --target x86_64-unknown-linux-gnu --tests \
        -p realtime-websocket -p realtime-core -p realtime-codec-json -p realtime-codec-msgpack \
        -p realtime-gateway
    RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan cargo +nightly test \
        --target x86_64-unknown-linux-gnu -p realtime --test admission --test messages \
        --test delivery --test lifecycle --test hosts --test hostile --test cancel

# The same under ThreadSanitizer, of what shares the most. Needs a nightly toolchain with rust-src.
tsan:
    RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR=target/tsan cargo +nightly test -Zbuild-std \
        --target x86_64-unknown-linux-gnu -p realtime \
        --test messages --test delivery --test lifecycle --test hostile

# The crates without sockets in Miri. Needs a nightly toolchain with miri.
miri:
    cargo +nightly miri test --lib \
        -p realtime-websocket -p realtime-core -p realtime-codec-json -p realtime-codec-msgpack

# With the oldest Rust that is promised, `rust-version` in Cargo.toml.
oldest:
    cargo +$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) check --workspace --all-features

# Three nodes whose RabbitMQ and Redis go down and up: for so many seconds with 2,000 sessions that
# come, talk, stall and vanish (over another transport where `REALTIME_TRANSPORT` names one of
# `just transports`), twice as long with messages for single sessions, the second time
# over Redis alone, and as long with rooms while RabbitMQ goes down and up. Books and slopes.
soak seconds="600":
    REALTIME_SOAK_SECONDS={{seconds}} \
        cargo test -p realtime --release --all-features --test soak -- --nocapture
    REALTIME_SOAK_SECONDS={{seconds}} cargo test -p realtime --release --all-features \
        --test cluster -- books::with_faults --nocapture
    REALTIME_SOAK_SECONDS={{seconds}} cargo test -p realtime --release --all-features \
        --test cluster -- books::over_redis_with_faults --nocapture
    REALTIME_SOAK_SECONDS={{seconds}} cargo test -p realtime --release --all-features \
        --test cluster -- rooms::rooms_while_rabbitmq --nocapture

# Bytes per idle connection in a release build. With `preload`, under another allocator:
# `just memory /usr/lib/x86_64-linux-gnu/libjemalloc.so.2`.
memory preload="":
    cargo test -p realtime --release --test many --no-run
    LD_PRELOAD={{preload}} cargo test -p realtime --release --test many -- --nocapture

# The same by valgrind: what an idle session, one with limits and one that ends have on the heap.
heap:
    #!/usr/bin/env bash
    set -euo pipefail
    program=$(cargo test -p realtime --release --test many --no-run --message-format=json |
        python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
    .ci/heap "$program"

# Us beside our peers and the floor, in a table and a picture: about 80 minutes. Options of
# `realtime-bench run` may follow: `just bench --rounds 3 --peers realtime,ws`.
bench *options:
    cargo build --release -p realtime-bench --features peers,tls
    target/release/realtime-bench run --calls {{options}}

# The same in two minutes: a few peers, one round, short runs. Only large differences mean anything.
bench-quick *options:
    cargo build --release -p realtime-bench --features peers
    target/release/realtime-bench run --rounds 1 --seconds 0.5 \
        --only fan-out:1000x128,fan-out:1000x128w16,echo:100x128,request:100x128w16,connect:2000 \
        --peers realtime,axum-channel,axum-channel-tuned,nhooyr,ws {{options}}

# Many rooms beside broadcasts of as many deliveries, and what they take of memory: about 7 minutes.
bench-rooms *options:
    cargo build --release -p realtime-bench
    target/release/realtime-bench rooms {{options}}

# Instructions for each step of the hot path, by valgrind: they don't jitter. With `--check` it fails
# where one takes over 3 % more than stands in crates/realtime-bench/instructions.json, or is missing on
# either side; `--write` renews that file. What it was counted with stands there, since that moves counts.
instructions *options:
    cargo build --release -p realtime-bench
    target/release/realtime-bench instructions {{options}}

# What many nodes cost: a fan-out across two, and presence. Needs RabbitMQ and Redis (`just setup`).
bench-cluster *options:
    cargo build --release -p realtime-bench --features full
    target/release/realtime-bench cluster {{options}}

# A node that ends, and how many of its clients come back a second: 9,900 over TCP and 50,000
# simulated, about two minutes. `just bench-drain --picture docs/drain.svg` draws it.
bench-drain *options:
    cargo build --release -p realtime-bench --features full
    ulimit -n 20000 && target/release/realtime-bench drain {{options}}

# What it costs that an operator looks at a node with 10,000 sessions under traffic: about 5 minutes.
bench-admin *options:
    cargo build --release -p realtime-bench --features admin
    ulimit -n 20000 && target/release/realtime-bench watched {{options}}

# Time and allocations of single steps, and of sessions without a kernel.
bench-steps *filter:
    cargo bench -p realtime-bench -- {{filter}}

# What takes long: 50 outages of RabbitMQ by closed connections and resets, three by kill -9, and
# five of each other kind: stopped, cut off, short of memory, with its queue deleted. Then five of
# everything that can happen to Redis, a million publications over it, and a million requests that
# nobody answers.
test-long:
    FAULT_ROUNDS=50 cargo nextest run -p realtime-broker-amqp --all-features --profile long
    cargo nextest run -p realtime-broker-redis --all-features --profile long
    for n in $(seq 5); do \
        cargo nextest run -p realtime-presence-redis --all-features --profile long \
            -E 'binary(faults)' || exit 1; \
    done
    UNANSWERED=1000000 cargo nextest run -p realtime --all-features --profile long --no-capture \
        -E 'binary(control) & test(that_nobody_answers)'

# The tests of sessions again, over TLS, over HTTP/2, and each of them with compression. Left out are the
# tests that choose their connections themselves: `hosts`, `serve`, `http2`, `deflate`, `many`, `cluster`,
# `hostile` with its bytes on plain sockets, and of `promises` those under hosts of their own, which have
# all of it over TLS and in memory in any run. So is what relies on how much a plain socket takes at
# once, on as many bytes on the wire as in a message, on the address of a client, on words that HTTP/2
# doesn't have, and on half a request; and from compression the page of `admin`, which has none.
transports:
    #!/usr/bin/env bash
    set -euo pipefail
    binaries=()
    for binary in admin admission answers binary cancel control delivery dialects doorstep drain errors \
        identities limits lifecycle links logs messages metrics promises replier rooms traces; do
        binaries+=(--test $binary)
    done
    own_hosts='(binary(promises) - test(/^(broker_streams|calls|ends|fairness|foreign_values|neighbours)::/)
        - test(/^(outlived|outsiders|shutdown|unreadable)::/))'
    plain='test(/^(a_reading_peer_gets_a_pong_for_every_ping|everybody_is_one_anonymous_identity_by_default)$/)
        | test(/^a_peer_that_accepts_no_byte_is_closed_under_every_policy$/)'
    whole='test(/^requests_that_are_cut_off_when_the_server_ends/)'
    http1="$whole | test(/^bad_handshakes_are_refused/) | test(/^sessions::a_session_is_a_few_short_spans/)"
    shrinks="$whole | binary(admin) | test(/^sending::dropped_while_it_waits/)
        | test(/^messages::messages_and_bytes_are_counted/) | test(/^(drop_newest_keeps|drop_oldest_keeps|a_gap_is_reported_before)/)
        | test(/^history::who_was_too_slow_is_told/)"
    for transport in tls http2 deflate tls+deflate http2+deflate; do
        case $transport in
            tls) but='none()' ;;
            http2) but=$http1 ;;
            http2+deflate) but="$http1 | $shrinks" ;;
            *) but=$shrinks ;;
        esac
        REALTIME_TRANSPORT=$transport cargo nextest run --workspace --all-features "${binaries[@]}" \
            -E "package(realtime) - $own_hosts - ($plain) - ($but)"
    done

# Every test again and again, to find what fails once in a while.
flaky times="20":
    for n in $(seq {{times}}); do \
        cargo nextest run --workspace --all-features -E 'not package(chat)' || exit 1; \
    done

# The public API of each published crate, written to crates/*/public-api.txt; with `--check`, whether
# it is what stands there. Its script says with which nightly toolchain.
public-api *options:
    .ci/release/public-api {{options}}

# A release without the upload, in a copy: of the crates whose names are taken, under free ones.
release-dry-run *names="realtime=realtime-server realtime-core=realtime-base":
    .ci/release/dry-run {{names}}

# What changed in the public API since the last tag, or another commit, and whether the version says so.
semver last="":
    #!/usr/bin/env bash
    set -euo pipefail
    last={{last}}
    [ -n "$last" ] || last=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || {
        echo "nothing was released yet: there is no tag v*; \`just semver COMMIT\` compares with another commit"
        exit 0
    }
    command -v cargo-semver-checks >/dev/null || cargo install cargo-semver-checks --locked
    cargo semver-checks --workspace --baseline-rev "$last"

# The oldest versions of the dependencies that are named, with the oldest Rust. Needs a nightly
# toolchain to find them; in a copy, whose lock file they are written to.
minimal:
    .ci/release/minimal
