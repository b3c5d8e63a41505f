//! `nvtopod metrics`.

use crate::args::MetricsArgs;
use crate::http::{Limits, Server, told_to_end};
use crate::reading::{Last, Options, Reader};
use crate::{secret, tls};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
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
        Some(path) => {
            let baseline = Baseline::read(path)?;
            let at = baseline.date().and_then(seconds);
            Some((baseline, at))
        }
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

/// Returns the begin of a date such as `2026-03-31` in UTC, or a time such as `2026-03-31T12:00:00Z`, in seconds since 1970.
fn seconds(date: &str) -> Option<f64> {
    let time = date.parse::<Timestamp>();
    let time =
        time.or_else(|_| Ok::<_, jiff::Error>(date.parse::<Date>()?.to_zoned(TimeZone::UTC)?.timestamp()));
    time.ok().map(|time| time.as_second() as f64)
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

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_and_times_of_baselines_are_read() {
        assert_eq!(seconds("2026-03-31"), Some(1_774_915_200.0));
        assert_eq!(seconds("2026-03-31T00:00:01Z"), Some(1_774_915_201.0));
        assert_eq!((seconds("yesterday"), seconds("")), (None, None));
    }
}
