//! `nvtopod metrics`.

use crate::args::MetricsArgs;
use crate::http::{Limits, Server};
use crate::reading::{Last, Reader};
use crate::tls;
use nvtopo::{Error, Result, save_file};
use nvtopo_audit::Profile;
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
    let profile = match &args.profile {
        Some(path) => Profile::parse(&path.display().to_string(), &text(path)?)?,
        None => Profile::default(),
    };
    let from = args.from.clone();
    if let Some(path) = &args.textfile {
        return write_file(&mut Reader::new(from, profile), path, (!args.once).then_some(interval));
    }
    let token = match &args.token_file {
        Some(path) => Some(token(path)?),
        None => None,
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    if !args.listen.ip().is_loopback() && token.is_none() {
        eprintln!(
            "nvtopod: anybody who reaches {} can read these metrics; --token-file asks for a token",
            args.listen
        );
    }
    let last = Last::default();
    let kept = last.clone();
    let spawned = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || Reader::new(from, profile).run(&kept, interval));
    spawned.map_err(|error| Error::cannot_write(Path::new("a thread"), error))?;
    let server = Server { last, token, tls, fresh: interval * STALE_INTERVALS + Duration::from_secs(60) };
    server.run(args.listen, Limits::default())
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
