//! The page's server: the files of `web/`, the state of the tiers, and the buttons.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::guard;
use super::own_origin::OwnOrigin;
use super::snapshot::Snapshot;
use super::viewers::Swarm;

/// The state that the page shows and controls.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) snapshots: watch::Receiver<Snapshot>,
    pub(crate) swarm: Swarm,
    /// The primary origin, when it is one of the demo's own.
    pub(crate) primary: Option<Arc<OwnOrigin>>,
}

/// The routes of the page.
pub(crate) fn router(stage: Arc<Stage>) -> Router {
    let files = FILES.iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async || (file.headers(), file.body)))
    });
    let api = Router::new()
        .route("/api/state", get(state))
        .route("/api/viewers", post(add_viewers).delete(remove_viewers))
        .route("/api/origin/primary", post(switch_primary))
        .with_state(stage);
    files
        .merge(api)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(harden))
        .layer(from_fn(guard::check))
}

async fn state(State(stage): State<Arc<Stage>>) -> Json<Snapshot> {
    Json(stage.snapshots.borrow().clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Addition {
    add: usize,
}

#[derive(Serialize)]
struct Audience {
    added: usize,
    watching: usize,
}

async fn add_viewers(State(stage): State<Arc<Stage>>, Json(Addition { add }): Json<Addition>) -> Response {
    if !stage.swarm.has_stream() {
        return refuse("the demo was started without --stream, so viewers have nothing to watch\n");
    }
    let added = stage.swarm.add(add);
    Json(Audience { added, watching: stage.swarm.counts().watching }).into_response()
}

async fn remove_viewers(State(stage): State<Arc<Stage>>) -> Json<Audience> {
    stage.swarm.remove_all().await;
    Json(Audience { added: 0, watching: stage.swarm.counts().watching })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    up: bool,
}

async fn switch_primary(State(stage): State<Arc<Stage>>, Json(Switch { up }): Json<Switch>) -> Response {
    let Some(primary) = &stage.primary else {
        return refuse("the demo does not control your own origin\n");
    };
    match primary.switch(up).await {
        Ok(()) => Json(Switch { up }).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

fn refuse(reason: &'static str) -> Response {
    (StatusCode::CONFLICT, reason).into_response()
}

/// The page loads nothing from other hosts, except the stream from the edges of this machine.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct File {
    path: &'static str,
    kind: &'static str,
    body: &'static [u8],
}

impl File {
    fn headers(&self) -> [(header::HeaderName, &'static str); 1] {
        [(header::CONTENT_TYPE, self.kind)]
    }
}

macro_rules! files {
    ($($path:literal = $file:literal as $kind:expr),* $(,)?) => {
        &[$(File { path: $path, kind: $kind, body: include_bytes!(concat!("../../../web/", $file)) }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const FILES: &[File] = files! {
    "/" = "index.html" as HTML,
    "/style.css" = "style.css" as STYLE,
    "/icon.svg" = "icon.svg" as "image/svg+xml",
    "/app.js" = "app.js" as SCRIPT,
    "/chart.js" = "chart.js" as SCRIPT,
    "/format.js" = "format.js" as SCRIPT,
    "/map.js" = "map.js" as SCRIPT,
    "/player.js" = "player.js" as SCRIPT,
    "/rates.js" = "rates.js" as SCRIPT,
    "/svg.js" = "svg.js" as SCRIPT,
    "/vendor/hls.js/1.7.4/hls.min.js" = "vendor/hls.js/1.7.4/hls.min.js" as SCRIPT,
    "/vendor/hls.js/1.7.4/LICENSE" = "vendor/hls.js/1.7.4/LICENSE" as TEXT,
};
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' http://127.0.0.1:*; \
     media-src 'self' blob: http://127.0.0.1:*; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
const BODY_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Method, Request};
    use http_body_util::{BodyExt, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;

    use super::*;

    fn stage() -> Arc<Stage> {
        let (_, snapshots) = watch::channel(Snapshot::default());
        let edges = vec!["127.0.0.1:9".parse().unwrap()];
        Arc::new(Stage { snapshots, swarm: Swarm::new(edges, Some("/a.m3u8".to_owned())), primary: None })
    }

    async fn ask(method: Method, path: &str, body: &str, origin: Option<&str>) -> (StatusCode, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        TaskTracker::new().spawn(async move { axum::serve(listener, router(stage())).await });
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin.replace("self", &address.to_string()));
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_served() {
        let (status, page) = ask(Method::GET, "/", "", None).await;
        assert_eq!(status, StatusCode::OK);
        let named = page.split(['"', '\'']).filter(|text| {
            [".js", ".css", ".svg"].iter().any(|end| text.ends_with(end)) && !text.contains(' ')
        });
        let mut count = 0;
        for path in named {
            assert_eq!(ask(Method::GET, &format!("/{path}"), "", None).await.0, StatusCode::OK, "{path}");
            count += 1;
        }
        assert!(count >= 4, "style, icon and two scripts");
    }

    #[test]
    fn every_module_that_a_script_imports_is_served() {
        for file in FILES.iter().filter(|file| file.kind == SCRIPT && !file.path.contains("vendor")) {
            let text = std::str::from_utf8(file.body).unwrap();
            for import in text.split("from \".").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(FILES.iter().any(|file| file.path == import), "{import} in {}", file.path);
            }
        }
    }

    #[tokio::test]
    async fn the_state_is_json() {
        let (status, body) = ask(Method::GET, "/api/state", "", None).await;
        assert_eq!(status, StatusCode::OK);
        let state: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(state["totals"]["viewer_requests"], 0);
    }

    #[tokio::test]
    async fn viewers_are_added_removed_and_bounded() {
        let (status, body) = ask(Method::POST, "/api/viewers", "{\"add\":100000}", Some("http://self")).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "{\"added\":500,\"watching\":500}"));
        assert_eq!(ask(Method::DELETE, "/api/viewers", "", None).await.1, "{\"added\":0,\"watching\":0}");
    }

    #[tokio::test]
    async fn an_invalid_command_is_refused() {
        let cases = ["", "{}", "{\"add\":-1}", "{\"add\":1,\"other\":2}", "[]"];
        for body in cases {
            let (status, _) = ask(Method::POST, "/api/viewers", body, None).await;
            assert!(status.is_client_error(), "{body}: {status}");
        }
        let long = format!("{{\"add\":1{}}}", " ".repeat(BODY_BYTES_MAX));
        assert_eq!(ask(Method::POST, "/api/viewers", &long, None).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn another_page_cannot_use_the_buttons() {
        for (method, path) in [(Method::POST, "/api/viewers"), (Method::DELETE, "/api/viewers")] {
            let (status, _) = ask(method, path, "{\"add\":1}", Some("http://other.example")).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
    }

    #[tokio::test]
    async fn the_users_own_origin_is_not_stopped() {
        let (status, body) = ask(Method::POST, "/api/origin/primary", "{\"up\":false}", None).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(body.contains("your own origin"), "{body}");
    }
}
