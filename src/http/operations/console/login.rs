//! Where a token is asked for.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::visitor::{Section, bare_page};

#[derive(Debug, Serialize)]
struct LoginPage<'a> {
    error: Option<&'a str>,
    next: &'a str,
}

/// Makes the page that asks for a token, posts it to `/console/login` as `token`, and says where to
/// go then as `next`. What may stand in `next` is for who takes the form to look at.
pub(crate) fn login_page(status: StatusCode, error: Option<&str>, next: &str) -> Response {
    let page = LoginPage { error, next };
    bare_page(status, (Section::Outside, "Log in"), "login.html", page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_login_page_asks_for_a_token_and_escapes() {
        let error = Some("<b>no</b>");
        let next = "/console/events?a=\"><script>";
        let made = login_page(StatusCode::UNAUTHORIZED, error, next);
        assert_eq!(made.status(), StatusCode::UNAUTHORIZED);
        let page = axum::body::to_bytes(made.into_body(), 1 << 16).await.unwrap();
        let page = str::from_utf8(&page).unwrap();
        assert!(page.contains(r#"name="token""#) && page.contains(r#"type="password""#), "{page}");
        assert!(page.contains("&lt;b&gt;no"), "{page}");
        assert!(!page.contains("\"><script>"), "{page}");
    }
}
