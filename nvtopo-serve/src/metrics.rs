//! `nvtopod metrics`.

use crate::args::MetricsArgs;
use crate::http::{Limits, Server};
use crate::reading::{Last, Options, Reader};
use crate::tls;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use nvtopo::{Error, Result, save_file};
use nvtopo_audit::{Baseline, Profile};
use std::path::Path;
use std::time::Duration;

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
    if let Some(path) = &args.textfile {
        return write_file(&mut Reader::new(options), path, (!args.once).then_some(interval));
    }
    let token = match &args.token_file {
        Some(path) => Some(token(path)?),
        None => None,
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    if !args.listen.ip().is_loopback() {
        match (&token, &tls) {
            (None, _) => eprintln!(
                "nvtopod: anybody who reaches {} can read these metrics; --token-file asks for a token",
                args.listen
            ),
            (Some(_), None) => eprintln!(
                "nvtopod: the token of each scrape of {} can be read on the way; --tls-cert and --tls-key serve by TLS",
                args.listen
            ),
            (Some(_), Some(_)) => {}
        }
    }
    let last = Last::default();
    let kept = last.clone();
    let spawned = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || Reader::new(options).run(&kept, interval));
    spawned.map_err(|error| Error::input(format!("cannot start the thread that reads the node: {error}")))?;
    let server = Server { last, token, tls, fresh: interval * STALE_INTERVALS + Duration::from_secs(60) };
    server.run(args.listen, Limits::default())
}

fn options(args: &MetricsArgs) -> Result<Options> {
    let profile = match &args.profile {
        Some(path) => Profile::parse(&path.display().to_string(), &text(path)?)?,
        None => Profile::default(),
    };
    let baseline = match &args.baseline {
        Some(path) => {
            let baseline = Baseline::parse(&path.display().to_string(), &nvtopo::source::read_file(path)?)?;
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

/// Writes the metrics into a file, again and again where there is an interval.
fn write_file(reader: &mut Reader, path: &Path, interval: Option<Duration>) -> Result<()> {
    loop {
        match (reader.read(), interval) {
            (Ok(page), _) => save_file(path, page.classic.as_bytes())?,
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => eprintln!("nvtopod: the node cannot be read: {error}"),
        }
        let Some(interval) = interval else { return Ok(()) };
        std::thread::sleep(interval);
    }
}

fn text(path: &Path) -> Result<String> {
    String::from_utf8(nvtopo::source::read_file(path)?)
        .map_err(|_| Error::input("it is no text").in_input(&path.display().to_string()))
}

fn token(path: &Path) -> Result<String> {
    let token = text(path)?.trim().to_owned();
    if token.is_empty() {
        return Err(Error::input("the file of the token is empty").in_input(&path.display().to_string()));
    }
    Ok(token)
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
