//! The server: a few paths over HTTP/1.1, with limits on everything that a client can do.

use crate::reading::Last;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use nvtopo::{Error, Result};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The limits on clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most connections at a time; others wait.
    connections: usize,
    /// The time in which a client must shake hands, and send the head of a request.
    head: Duration,
    /// The longest life of a connection.
    life: Duration,
    /// The time that open requests have to end when the program is told to.
    end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 64, head: seconds(5), life: seconds(300), end: seconds(5) }
    }
}

/// The server of the last reading.
pub(crate) struct Server {
    pub(crate) last: Last,
    /// The token that requests for metrics must bring.
    pub(crate) token: Option<String>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// The age up to which a reading is fresh.
    pub(crate) fresh: Duration,
}

impl Server {
    /// Serves until the program is told to end (SIGTERM, SIGINT).
    pub(crate) fn run(self, listen: SocketAddr, limits: Limits) -> Result<()> {
        let cannot = |error| {
            let advice = "choose another address or port with --listen";
            Error::input(format!("cannot listen on {listen}: {error}")).help(advice)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        runtime.block_on(async {
            let listener = TcpListener::bind(listen).await.map_err(cannot)?;
            let own = listener.local_addr().map_err(cannot)?;
            eprintln!("nvtopod: listening on {own}");
            Arc::new(self).accept(listener, limits).await.map_err(cannot)
        })
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, limits: Limits) -> std::io::Result<()> {
        let (mut terminated, mut interrupted) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let places = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = async {
                    // The semaphore is never closed.
                    let place = Arc::clone(&places).acquire_owned().await.ok();
                    (listener.accept().await, place)
                } => accepted,
                _ = terminated.recv() => break,
                _ = interrupted.recv() => break,
            };
            let (stream, place) = match accepted {
                (Ok((stream, _)), place) => (stream, place),
                (Err(error), _) => {
                    // Such as too many open files: others may close theirs.
                    eprintln!("nvtopod: a connection was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (server, watcher) = (Arc::clone(&self), graceful.watcher());
            tokio::spawn(async move {
                // A client that breaks off is no matter of ours.
                let _ = tokio::time::timeout(limits.life, server.connection(stream, limits, watcher)).await;
                drop(place);
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(limits.end, graceful.shutdown()).await;
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        limits: Limits,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        match self.tls.clone() {
            None => self.talk(stream, limits, watcher).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(limits.head, tls.accept(stream)).await {
                    self.talk(stream, limits, watcher).await;
                }
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        self: Arc<Self>,
        stream: S,
        limits: Limits,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let service = service_fn(move |request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .serve_connection(TokioIo::new(stream), service);
        let _ = watcher.watch(connection).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        match request.uri().path() {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => match self.last.flaw(self.fresh) {
                None => plain(StatusCode::OK, "ok\n"),
                Some(flaw) => plain(StatusCode::SERVICE_UNAVAILABLE, flaw),
            },
            "/metrics" if !self.is_allowed(request) => {
                let mut response = plain(StatusCode::UNAUTHORIZED, "a token is needed\n");
                response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
                response
            }
            "/metrics" => self.metrics(request),
            "/" => plain(StatusCode::OK, "nvtopod: /metrics /healthz /readyz\n"),
            _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(page) = self.last.page() else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the node has not been read yet\n");
        };
        let accepts = |format: &str| {
            request
                .headers()
                .get_all(ACCEPT)
                .iter()
                .any(|own| own.to_str().is_ok_and(|own| own.contains(format)))
        };
        if accepts("application/openmetrics-text") {
            text(StatusCode::OK, OPEN_METRICS, page.open_metrics.clone())
        } else {
            text(StatusCode::OK, CLASSIC, page.classic.clone())
        }
    }

    /// Returns whether a request brings the token. The comparison takes as long for each token of the same length.
    fn is_allowed(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else { return true };
        let brought = request.headers().get(AUTHORIZATION).and_then(|own| own.to_str().ok());
        let brought = brought.and_then(|own| own.strip_prefix("Bearer ")).unwrap_or_default();
        let pairs = brought.bytes().zip(token.bytes());
        brought.len() == token.len() && pairs.fold(0, |wrong, (a, b)| wrong | (a ^ b)) == 0
    }
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    text(status, PLAIN, body)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
