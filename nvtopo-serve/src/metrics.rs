//! `nvtopod metrics`.

use crate::args::MetricsArgs;
use crate::http::{Limits, Server, told_to_end};
use crate::reading::{Last, Options, Reader};
use crate::{secret, tls};
use nvtopo::{Error, Result, save_file};
use nvtopo_audit::{Baseline, Profile};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// A reading is stale after so many intervals without another.
const STALE_INTERVALS: u32 = 3;

/// The shortest time between readings: each takes milliseconds of processor time.
const SHORTEST: Duration = Duration::from_secs(1);

pub(crate) fn serve(args: &MetricsArgs) -> Result<()> {
    let interval: Duration = args
        .interval
        .try_into()
        .ok()
        .filter(|own: &Duration| *own >= SHORTEST)
        .ok_or_else(|| Error::wrong_use("--interval is shorter than a second", "give --interval 15s"))?;
    let options = options(args)?;
    if let (true, Some(path)) = (args.once, &args.textfile) {
        return save_file(path, Reader::new(options).read()?.classic.as_bytes());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::cannot_run("the server".as_ref(), error))?;
    if let Some(path) = &args.textfile {
        return runtime.block_on(write_file(path, Last::start(options, interval)?));
    }
    let (token, tls) = doors(args)?;
    let fresh = interval * STALE_INTERVALS + Duration::from_secs(60);
    let server = Server { last: Last::start(options, interval)?, token, tls, fresh };
    runtime.block_on(server.run(args.listen, Limits::default()))
}

/// Returns the token and the TLS that clients need, and says so where the network can read what it should not.
fn doors(args: &MetricsArgs) -> Result<(Option<String>, Option<TlsAcceptor>)> {
    let token = args.token_file.as_deref().map(secret::token).transpose()?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    if !args.listen.ip().is_loopback() {
        let at = args.listen;
        if token.is_none() {
            eprintln!(
                "nvtopod: anybody who reaches {at} can read these metrics; --token-file asks for a token"
            );
        } else if tls.is_none() {
            eprintln!(
                "nvtopod: the token crosses the network to {at} in the clear; --tls-cert and --tls-key hide it"
            );
        }
    }
    Ok((token, tls))
}

fn options(args: &MetricsArgs) -> Result<Options> {
    let profile = match &args.profile {
        Some(path) => Profile::read(path)?,
        None => Profile::default(),
    };
    let baseline = match &args.baseline {
        Some(path) => Some(Baseline::read(path)?),
        None => None,
    };
    let memory_interval = args
        .memory_interval
        .try_into()
        .map_err(|_| Error::wrong_use("--memory-interval is negative", "give --memory-interval 5m"))?;
    Ok(Options {
        from: args.from.clone(),
        profile,
        baseline,
        kernel_log: args.kernel_log.clone(),
        memory_interval,
    })
}

/// Writes each reading into a file until the program is told to end. A place that cannot be written, such as one that is not
/// mounted yet or full, may be written next time.
async fn write_file(path: &Path, mut last: Last) -> Result<()> {
    let mut told = pin!(told_to_end()?);
    loop {
        let page = tokio::select! {
            () = &mut told => return Ok(()),
            page = last.next() => page,
        };
        let page = page.ok_or_else(|| Error::unsatisfiable("the thread that reads the node has ended"))?;
        if let Err(error) = save_file(path, page.classic.as_bytes()) {
            eprintln!("nvtopod: {error}; the next reading will be tried");
        }
    }
}
