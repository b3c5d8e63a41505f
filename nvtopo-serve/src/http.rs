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
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The limits on clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most connections at a time.
    connections: usize,
    /// The time in which a client must shake hands, and send the head of a request.
    head: Duration,
    /// The longest life of a connection, which is one request: the time that a client has to read the answer.
    life: Duration,
    /// The time that open requests have to end when the program is told to.
    end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 64, head: seconds(5), life: seconds(30), end: seconds(5) }
    }
}

/// The open connections, the oldest first.
#[derive(Default)]
struct Connections(VecDeque<(IpAddr, AbortHandle)>);

impl Connections {
    /// Adds one. Where all places are taken, the client with the most connections loses its oldest, so that clients that send or
    /// read nothing keep nobody out.
    fn add(&mut self, most: usize, client: IpAddr, task: AbortHandle) {
        self.0.retain(|(_, task)| !task.is_finished());
        if self.0.len() >= most {
            let held = |at: &usize| self.0.iter().filter(|(own, _)| *own == self.0[*at].0).count();
            let oldest_of_most = (0..self.0.len()).rev().max_by_key(held);
            if let Some((_, task)) = oldest_of_most.and_then(|at| self.0.remove(at)) {
                task.abort();
            }
        }
        self.0.push_back((client, task));
    }
}

/// Returns what waits until the program is told to end (SIGTERM, SIGINT).
pub(crate) fn told_to_end() -> Result<impl Future<Output = ()>> {
    let cannot = |error| Error::cannot_run("the handler of signals".as_ref(), error);
    let mut terminated = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(cannot)?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
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
    /// Serves until the program is told to end.
    pub(crate) async fn run(self, listen: SocketAddr, limits: Limits) -> Result<()> {
        let cannot = |error| {
            let help = "give --listen an address of this machine and a port that no other program has";
            Error::wrong_use(format!("cannot listen on {listen}: {error}"), help)
        };
        let told = told_to_end()?;
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        eprintln!("nvtopod: listening on {}", listener.local_addr().map_err(cannot)?);
        Arc::new(self).accept(listener, limits, told).await;
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, limits: Limits, told: impl Future<Output = ()>) {
        let mut told = pin!(told);
        let mut open = Connections::default();
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut told => break,
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Such as too many open files: others may close theirs.
                    eprintln!("nvtopod: a connection was not accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (server, watcher) = (Arc::clone(&self), graceful.watcher());
            let task = tokio::spawn(async move {
                // A client that breaks off is no matter of ours.
                let _ = tokio::time::timeout(limits.life, server.connection(stream, limits, watcher)).await;
            });
            open.add(limits.connections, client.ip(), task.abort_handle());
            // Connections that are open are served before others come, however many these are.
            tokio::task::yield_now().await;
        }
        drop(listener);
        let _ = tokio::time::timeout(limits.end, graceful.shutdown()).await;
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
            // Scrapes are far apart, and a client that asks again and again would keep its place.
            .keep_alive(false)
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

#[cfg(test)]
mod tests {
    use super::Connections;
    use std::future::pending;
    use std::net::IpAddr;

    #[tokio::test]
    async fn the_client_with_the_most_connections_loses_its_oldest() {
        let mut open = Connections::default();
        let mut add = |last: u8| {
            let task = tokio::spawn(pending::<()>());
            open.add(8, IpAddr::from([192, 0, 2, last]), task.abort_handle());
            task
        };
        let (honest, oldest) = (add(1), add(2));
        let flood: Vec<_> = (0..100).map(|_| add(2)).collect();
        let last = add(3);
        // The runtime ends some of them at each turn.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!honest.is_finished() && !last.is_finished() && oldest.is_finished());
        let ended = flood.iter().take_while(|task| task.is_finished()).count();
        assert_eq!((ended, flood.iter().filter(|task| !task.is_finished()).count()), (94, 6));
    }
}
