//! Tokens in every place, and what stands beside them.

use http::{HeaderValue, Request};

use super::*;

const ALL: fn() -> Credentials = || {
    Credentials::bearer()
        .from_query("token")
        .from_cookie("auth")
        .from_subprotocol("token.")
};

fn find(uri: &str, headers: &[(&str, &[u8])]) -> Result<Option<String>, AuthError> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let request = request.body(()).unwrap().into_parts().0;
    Ok(ALL().find(&request)?.map(|token| token.expose().to_owned()))
}

fn found(uri: &str, headers: &[(&str, &[u8])]) -> Option<String> {
    find(uri, headers).unwrap()
}

fn candidates(cookies: &[&[u8]]) -> Vec<String> {
    let mut request = Request::get("/");
    for line in cookies {
        request = request.header("cookie", HeaderValue::from_bytes(line).unwrap());
    }
    let request = request.body(()).unwrap().into_parts().0;
    let tokens = ALL().candidates(&request).unwrap();
    tokens.iter().map(|t| t.expose().to_owned()).collect()
}

#[test]
fn a_token_is_found_in_each_place() {
    let t = Some("a=b".to_owned());
    assert_eq!(found("/", &[("authorization", b"Bearer a=b")]), t);
    assert_eq!(found("/", &[("authorization", b"bEARER  a=b ")]), t);
    assert_eq!(found("/?x=1&token=a%3Db", &[]), t);
    assert_eq!(found("/?x=1&t%6fken=a=b", &[]), t);
    assert_eq!(
        found("/?token=a+b/c%2B==", &[]).as_deref(),
        Some("a+b/c+==")
    );
    assert_eq!(
        found("/", &[("cookie", b"x=1; auth=a=b"), ("cookie", b"y=2")]),
        t
    );
    assert_eq!(found("/", &[("cookie", b"x;auth = \"a=b\"")]), t);
    assert_eq!(
        found(
            "/",
            &[("sec-websocket-protocol", b"realtime.json, token.a=b")]
        ),
        t
    );
    assert_eq!(found("/?token=", &[("cookie", b"other=1; auth=")]), None);
    assert_eq!(found("/", &[("authorization", b"Bearer ")]), None);
}

#[test]
fn what_nobody_asked_about_is_as_if_it_were_not_there() {
    let t = Some("t".to_owned());
    let long = [&b"x="[..], &[b'x'; 16 * 1024], b"; auth=t"].concat();
    type Headers<'h> = Vec<(&'h str, &'h [u8])>;
    let rows: Vec<(&str, Headers<'_>)> = vec![
        ("/?token=t", vec![("authorization", b"Basic dTpw")]),
        ("/?token=t", vec![("authorization", b"t\xff")]),
        ("/?token=t", vec![("authorization", b"Bearers u")]),
        (
            "/",
            vec![
                ("authorization", b"Basic dTpw"),
                ("authorization", b"Bearer t"),
            ],
        ),
        ("/", vec![("cookie", b"name=J\xc3\xb6rg; auth=t; x=\xff")]),
        ("/", vec![("cookie", b"auth2=\xff"), ("cookie", b"auth=t")]),
        ("/", vec![("cookie", &long)]),
        ("/?token=t", vec![("cookie", b"=; ;;a=b=c; \xff=1")]),
        ("/?x=%zz&y=%ff&%=&token=t", vec![]),
        (
            "/",
            vec![("sec-websocket-protocol", b"\xff, token., token.t")],
        ),
    ];
    for (uri, headers) in rows {
        assert_eq!(find(uri, &headers).unwrap(), t, "{uri} {headers:?}");
    }
    let other = [("authorization", &b"Basic s3cret"[..])];
    assert_eq!(found("/?%74oken2=1", &other), None);
}

#[test]
fn several_cookies_of_our_name_are_candidates_in_their_order() {
    assert_eq!(candidates(&[b"auth=stale; auth=t"]), ["stale", "t"]);
    assert_eq!(candidates(&[b"auth=t", b"auth=stale"]), ["t", "stale"]);
    assert_eq!(candidates(&[b"auth=t; auth=t"]), ["t"]);
    assert_eq!(candidates(&[b"auth=\xff; auth=; auth=t"]), ["t"]);
    let five = b"auth=1; auth=2; auth=3; auth=4; auth=5";
    assert_eq!(candidates(&[five]), ["1", "2", "3", "4"]);
    let others = "auth=\u{fc}1; auth=\u{fc}2; auth=a b; auth=\u{fc}4; auth=t";
    assert_eq!(candidates(&[others.as_bytes()]), ["t"]);
}

#[test]
fn a_token_in_base64url_with_its_padding_is_taken_as_it_stands() {
    let t = Some("8J-Y_w==".to_owned());
    assert_eq!(found("/", &[("authorization", b"Bearer 8J-Y_w==")]), t);
    assert_eq!(found("/?token=8J-Y_w==", &[]), t);
    assert_eq!(found("/?token=8J-Y_w%3D%3d", &[]), t);
    assert_eq!(
        found("/", &[("sec-websocket-protocol", b"token.8J-Y_w==")]),
        t
    );
    assert_eq!(candidates(&[b"auth=8J-Y_w=="]), ["8J-Y_w=="]);
    assert_eq!(candidates(&[b"auth=\"8J-Y_w==\""]), ["8J-Y_w=="]);
    let last = candidates(&[b"auth=8J-Y_w%3D%3D"]).pop();
    assert_eq!(last, t);
}

#[test]
fn a_subprotocol_may_hold_any_token_in_base64url() {
    let find = |offered: &str| {
        let request = Request::get("/").header("sec-websocket-protocol", offered);
        let request = request.body(()).unwrap().into_parts().0;
        let credentials = Credentials::bearer().from_base64url_subprotocol("b64.");
        let found = credentials.find(&request);
        found.map(|token| token.map(|token| token.expose().to_owned()))
    };
    let t = Some("a/b+c=,\"~".to_owned());
    for offered in [
        "b64.YS9iK2M9LCJ-",
        "realtime.json,b64.YS9iK2M9LCJ-",
        "b64.YS9iK2M9LCJ-, b64.",
    ] {
        assert_eq!(find(offered).unwrap(), t, "{offered}");
    }
    for offered in ["b64.YS8", "b64.YS8="] {
        assert_eq!(find(offered).unwrap().as_deref(), Some("a/"), "{offered}");
    }
    assert_eq!(find("b64., token.YS8").unwrap(), None);
    let long = format!("b64.{}", "YWFh".repeat(3 * 1024));
    // Not base64url; bits that stand for nothing; of what is no token; two that differ; too long.
    for offered in ["b64.YS8+", "b64.YS9", "b64.YSBi", "b64.YS8, b64.YWI", &long] {
        let error = find(offered).unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Unauthorized);
        assert!(!format!("{error:?}").contains("YS"), "{error:?}");
    }
    let twice = Credentials::bearer()
        .from_subprotocol("a.")
        .from_base64url_subprotocol("b.");
    assert!(twice.validate().is_err());
}

/// As `encodeURIComponent`, Express and axum's `CookieJar` write it.
#[test]
fn a_cookie_may_be_percent_encoded() {
    assert_eq!(candidates(&[b"auth=a%2Fb%3D"]), ["a%2Fb%3D", "a/b="]);
    assert_eq!(candidates(&[b"auth=\"%41\""]), ["%41", "A"]);
    for as_it_stands in ["100%", "%zz", "%ff", "a%20b"] {
        let line = format!("auth={as_it_stands}");
        assert_eq!(candidates(&[line.as_bytes()]), [as_it_stands]);
    }
    let both = found("/?token=a/b%3D", &[("cookie", b"auth=a%2Fb%3D")]);
    assert_eq!(both.as_deref(), Some("a/b="));
}

#[test]
fn the_same_token_twice_is_fine_and_two_that_differ_are_not() {
    let t = Some("t".to_owned());
    assert!(found("/?token=t&token=t", &[("authorization", b"Bearer t")]).is_some());
    assert_eq!(found("/?token=t", &[("cookie", b"auth=u; auth=t")]), t);
    assert!(find("/?token=t&token=u", &[]).is_err());
    assert!(find("/?token=t", &[("authorization", b"Bearer u")]).is_err());
    assert!(find("/?token=t", &[("cookie", b"auth=u; auth=v")]).is_err());
    let twice: [(_, &[u8]); 2] = [
        ("authorization", b"Bearer t"),
        ("authorization", b"Bearer u"),
    ];
    assert!(find("/", &twice).is_err());
}

#[test]
fn what_is_malformed_is_refused_without_being_shown() {
    let long = [&b"Bearer "[..], &[b's'; 8 * 1024 + 1]].concat();
    type Headers<'h> = Vec<(&'h str, &'h [u8])>;
    let rows: Vec<(&str, Headers<'_>)> = vec![
        ("/", vec![("authorization", b"Bearer s3cret\xff")]),
        ("/", vec![("authorization", b"Bearer s3cret s3cret")]),
        ("/", vec![("authorization", &long)]),
        ("/", vec![("cookie", b"auth=s3cret\xff")]),
        ("/", vec![("cookie", b"auth=s3 cret")]),
        ("/", vec![("sec-websocket-protocol", b"token.s3cret\xff")]),
        ("/?token=s3cret%ff", vec![]),
        ("/?token=s3+cret%20", vec![]),
    ];
    for (uri, headers) in rows {
        let error = find(uri, &headers).unwrap_err();
        assert_eq!(error.kind(), AuthErrorKind::Unauthorized);
        assert!(!format!("{error:?}").contains("s3"), "{error:?}");
    }
    let token = Token::parse(b"s3cret").unwrap();
    assert!(!format!("{token:?}").contains("s3cret"));
}

/// An application beside ours may have a cookie of the same name, with whatever in it.
#[test]
fn a_cookie_that_can_be_no_token_hides_no_token() {
    let t = Some("t".to_owned());
    for malformed in ["auth={\"a\": 1}", "auth=J\u{f6}rg", "auth=a b; auth=\u{fc}"] {
        let cookie = ("cookie", malformed.as_bytes());
        let bearer = ("authorization", &b"Bearer t"[..]);
        let offered = ("sec-websocket-protocol", &b"token.t"[..]);
        assert_eq!(find("/", &[cookie, bearer]).unwrap(), t, "{malformed}");
        assert_eq!(find("/", &[cookie, offered]).unwrap(), t, "{malformed}");
        assert_eq!(find("/?token=t", &[cookie]).unwrap(), t, "{malformed}");
        assert!(find("/", &[cookie]).is_err(), "{malformed}");
        assert!(find("/?token=a%20b", &[cookie]).is_err(), "{malformed}");
        let other = [cookie, ("cookie", &b"auth=u"[..])];
        assert!(find("/?token=t", &other).is_err(), "{malformed}");
    }
}

#[test]
fn nothing_is_found_where_no_place_has_a_token() {
    type Headers<'h> = Vec<(&'h str, &'h [u8])>;
    let rows: [(&str, Headers<'_>, bool); 9] = [
        ("/", vec![], true),
        ("/?token=", vec![("authorization", b"Basic dTpw")], true),
        ("/", vec![("cookie", b"auth={\"a\": 1}; other=1")], true),
        ("/", vec![("cookie", b"auth=t")], false),
        ("/", vec![("cookie", b"auth=a b; auth=t")], false),
        ("/?token=t", vec![("cookie", b"auth=a b")], false),
        ("/?token=a%20b", vec![], false),
        ("/?token=t", vec![("authorization", b"Bearer u")], false),
        ("/", vec![("sec-websocket-protocol", b"token.\xff")], false),
    ];
    for (uri, headers, nothing) in rows {
        let mut request = Request::get(uri);
        for (name, value) in &headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = request.body(()).unwrap().into_parts().0;
        let found = ALL().finds_nothing_in(&request);
        assert_eq!(found, nothing, "{uri} {headers:?}");
    }
}

#[test]
fn names_are_checked() {
    assert!(ALL().validate().is_ok());
    // A query string is decoded: as they are written, these are others.
    for name in ["a+b", "a&b", "a%62", "%20", "&"] {
        let error = Credentials::bearer().from_query(name).validate();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("query parameter that is itself"), "{error}");
        assert!(Credentials::bearer().from_cookie(name).validate().is_ok());
    }
    for name in ["token", "a%b", "100%", "!#$'*-.^_`|~"] {
        assert!(Credentials::bearer().from_query(name).validate().is_ok());
    }
    assert!(Credentials::bearer().from_query("a b").validate().is_err());
    assert!(Credentials::bearer().from_cookie("").validate().is_err());
    assert!(Credentials::bearer().without_header().validate().is_err());
    let twice = Credentials::bearer().from_query("a").from_query("b");
    assert!(twice.validate().is_err());
}
