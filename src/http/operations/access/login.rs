//! The way in for a browser: a form for the token, and the cookie of a session.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::sessions::{COOKIE, LASTS};
use super::tokens::random_text;
use super::{Access, lock, peer, session};
use crate::http::operations::answer::Error;
use crate::http::operations::console::login_page;
use crate::http::operations::request_body;

/// Where the form is.
pub(super) const LOGIN: &str = "/console/login";
/// Where a session is ended.
pub(super) const LOGOUT: &str = "/console/logout";
/// Where a person goes who has logged in and wanted nothing else.
const HOME: &str = "/console/events";

/// More than a token and a path have.
const FORM_BYTES: usize = 16 * 1024;

pub(super) fn router(access: &Arc<Access>) -> Router {
    Router::new()
        .route(LOGIN, get(form).post(login))
        .route(LOGOUT, post(logout))
        .with_state(Arc::clone(access))
}

/// Sends a person to the form, and from there back to what was wanted.
pub(super) fn redirect(wanted: &Uri) -> Response {
    let path = wanted.path_and_query().map_or(HOME, |path| path.as_str());
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    see_other(&format!("{LOGIN}?next={next}"))
}

async fn form(uri: Uri) -> Response {
    let next = field(uri.query().unwrap_or_default().as_bytes(), "next");
    login_page(StatusCode::OK, None, &ours(next))
}

async fn login(State(access): State<Arc<Access>>, request: Request) -> Response {
    let (peer, path) = (peer(&request), request.uri().path().to_owned());
    let form = match request_body::whole(request.into_body(), FORM_BYTES).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let next = ours(field(&form, "next"));
    let token = field(&form, "token").unwrap_or_default();
    let Some(holder) = access.tokens.holder(token.trim()) else {
        let refusal = access.wrong_token(peer);
        access.note(&refusal, &path, peer);
        return turned_away(refusal.error, &next);
    };
    let Ok(cookie) = random_text() else {
        return Error::busy("the system gives no random bytes").into_response();
    };
    lock(&access.sessions).begin(&cookie, holder.clone(), access.clock.now());
    with_cookie(see_other(&next), &access, &cookie, LASTS.num_seconds())
}

/// Shows the form again, with what was wrong.
fn turned_away(error: Error, next: &str) -> Response {
    let mut response = login_page(error.status(), Some(error.message()), next);
    let error = error.into_response();
    if let Some(seconds) = error.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.clone());
    }
    response
}

async fn logout(State(access): State<Arc<Access>>, headers: HeaderMap) -> Response {
    if let Some(cookie) = session(&headers) {
        lock(&access.sessions).end(cookie);
    }
    with_cookie(see_other(LOGIN), &access, "", 0)
}

fn with_cookie(mut response: Response, access: &Access, value: &str, seconds: i64) -> Response {
    // Behind a proxy the browser speaks TLS; on loopback it does not.
    let secure = if access.hosts.is_empty() { "" } else { "; Secure" };
    let cookie =
        format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("base64 and words are visible ASCII");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn see_other(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static(HOME));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Returns a field of a form or a query.
fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Returns the path if it is one of ours; a link must not lead a person who logs in elsewhere.
fn ours(next: Option<String>) -> String {
    let is_ours = |path: &String| {
        path.starts_with('/')
            && !path[1..].starts_with(['/', '\\'])
            && path.bytes().all(|byte| byte.is_ascii_graphic())
            && !path.starts_with(LOGIN)
            && !path.starts_with(LOGOUT)
    };
    next.filter(is_ours).unwrap_or_else(|| HOME.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_a_login() {
        let check = |next: &str, expected: &str| {
            assert_eq!(ours(Some(next.to_owned())), expected, "{next}");
        };
        check("/console/orders/O%2F1?after=3", "/console/orders/O%2F1?after=3");
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil.example",
            "/a\r\nset-cookie: a=b",
            "/a b",
            "/\t/evil.example",
            "/console/login",
            "/console/logout",
        ] {
            check(bad, HOME);
        }
        assert_eq!(ours(None), HOME);
    }
}
