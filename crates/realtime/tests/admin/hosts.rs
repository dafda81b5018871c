//! Hosts that pass requests on as they are: bare hyper, which strips no prefix of a path.

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use realtime::admin::Admin;
use realtime_testkit::client::Request;
use tokio::net::TcpListener;
use tower::Service;

use super::{ByName, Page, builder, raw, token};

#[tokio::test]
async fn under_bare_hyper_the_page_is_found_with_a_slash_and_without() {
    let gateway = builder().build().unwrap();
    let admin = Admin::of(&gateway)
        .path("ops/gateway/")
        .guard(ByName::new(), |who| who.has_role("admin"))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let host = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let admin = admin.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                assert!(request.uri().path().starts_with("/ops/"));
                admin.clone().call(request)
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    let get = async |path: &str, who: &str, accepts: &str| {
        let shown = format!("Authorization: Bearer {who}\r\n{accepts}Connection: close");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{shown}\r\n\r\n");
        raw(addr, &request).await
    };
    // As browsers say it.
    let html = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    // Its script looks for the rest below where it is.
    for path in ["/ops/gateway", "/ops/gateway?find=ann", "/ops/gateway/"] {
        for accepts in [html, ""] {
            let page = get(path, "root", accepts).await;
            let is_page = page.starts_with("HTTP/1.1 200") && page.contains("<title>");
            assert!(is_page, "{path}: {page}");
        }
        // Nobody gets it whom the guard doesn't let in.
        assert!(get(path, "ann", html).await.starts_with("HTTP/1.1 403"));
    }
    for path in [
        "/ops/gateways",
        "/ops/gateway/other",
        "/ops/gateway/other/",
        "/ops/gateway/other/api/node",
        "/ops/other/gateway/",
        "/ops/",
    ] {
        let answer = get(path, "root", html).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    let node = get("/ops/gateway/api/node", "root", "").await;
    assert!(node.starts_with("HTTP/1.1 200"), "{node}");
    let asked = token(Request::new("/ops/gateway/ws"), "root");
    let mut page = Page(asked.connect(addr).await.unwrap());
    let node = page.ask("node", ().into()).await;
    assert_eq!(node["node_id"], gateway.node_id().as_str());
    gateway.shutdown().await;
    host.abort();
}

/// Where the host takes the path away, as it does below `nest_service`, it does no harm to name it.
#[tokio::test]
async fn a_path_that_the_host_takes_away_is_no_mistake() {
    let gateway = builder().build().unwrap();
    let admin = Admin::of(&gateway)
        .path("/admin")
        .guard(ByName::new(), |who| who.has_role("admin"))
        .unwrap();
    let app = axum::Router::new().nest_service("/admin", admin);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let host = tokio::spawn(async move { axum::serve(listener, app).await });
    for path in ["/admin/", "/admin/api/node"] {
        let shown = "Authorization: Bearer root\r\nConnection: close";
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{shown}\r\n\r\n");
        let answer = raw(addr, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    gateway.shutdown().await;
    host.abort();
}
