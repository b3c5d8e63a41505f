//! Programs that need two sides: `ib_write_bw` and `ib_read_lat` of perftest, `ibv_rc_pingpong` of rdma-core.
//!
//! Server and client run on this machine, each beside its own port; the data goes through the network between them. Ports of
//! different link layers are no pair.

use crate::device::{layer, nic, pairs};
use crate::figure::{Figure, Metric, Subject};
use crate::plan::{Job, Targets};
use crate::reading::copies;
use nvtopo::{Error, Result, Topology};

/// The word in arguments that a free TCP port takes the place of.
pub(crate) const TCP_PORT: &str = "{tcp-port}";

/// The bytes of a message that `ib_write_bw` sends: large enough to fill packets of every MTU.
const MESSAGE: &str = "65536";

pub(super) fn write_bw(targets: &Targets<'_>) -> Vec<Job> {
    let options = ["--report_gbits", "--CPU-freq", "--size", MESSAGE];
    // Both directions, for a lane may fail in one only.
    let both = pairs_of_ports(targets).into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
    both.map(|pair| between(targets, "ib_write_bw", pair, &options, ("--ib-dev", "--ib-port"))).collect()
}

pub(super) fn read_lat(targets: &Targets<'_>) -> Vec<Job> {
    let options = ["--CPU-freq", "--size", "8"];
    let all = pairs_of_ports(targets).into_iter();
    all.map(|pair| between(targets, "ib_read_lat", pair, &options, ("--ib-dev", "--ib-port"))).collect()
}

pub(super) fn pingpong(targets: &Targets<'_>) -> Vec<Job> {
    let all = pairs_of_ports(targets).into_iter();
    let all = all.map(|(a, b)| {
        // It takes no index of a GID by itself, without which RoCE has no address; the first is always there.
        let roce = layer(targets.topology, a) == Some(nvtopo::model::LinkLayer::Ethernet);
        let options: &[&str] = if roce { &["--gid-idx", "0"] } else { &[] };
        between(targets, "ibv_rc_pingpong", (a, b), options, ("--ib-dev", "--ib-port"))
    });
    all.collect()
}

fn pairs_of_ports(targets: &Targets<'_>) -> Vec<(usize, usize)> {
    let layer = |device: usize| layer(targets.topology, device);
    let alike = |(a, b): &(usize, usize)| match (layer(*a), layer(*b)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    pairs(&targets.ports).into_iter().filter(alike).collect()
}

/// A job whose client sends to, or reads from, the server at the other port.
fn between(
    targets: &Targets<'_>,
    program: &'static str,
    (from, to): (usize, usize),
    options: &[&str],
    (device, port): (&str, &str),
) -> Job {
    let side = |position: usize| {
        let own = nic(targets.topology, position);
        let name = own.and_then(|nic| nic.rdma_device.clone()).unwrap_or_default();
        let number = own.and_then(|nic| nic.port).unwrap_or(1).to_string();
        let words = [device, &name, port, &number, "--port", TCP_PORT];
        words.into_iter().chain(options.iter().copied()).map(str::to_owned).collect::<Vec<String>>()
    };
    let mut client = side(from);
    client.push("localhost".to_owned());
    targets.on_ports(program, Subject::Path { from, to }, (side(to), client))
}

/// Reads the client's rate: of a run with memory of the host, the only one in its output.
pub(super) fn read_bandwidth(topology: &Topology, job: &Job, text: &str) -> Result<Vec<Figure>> {
    let (found, error) = copies::read(topology, None, job.program, text.as_bytes());
    let found = error.map_or(Ok(found), Err)?.figures;
    let [own] = &found[..] else {
        return Err(Error::input("the output holds more than the rate of one port"));
    };
    Ok(vec![Figure::new(job.program, job.subject.clone(), Metric::Bandwidth, own.value)])
}
