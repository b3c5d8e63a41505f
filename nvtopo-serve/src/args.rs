//! The arguments of the program.

use clap::{Args, Parser, Subcommand};
use nvtopo::source::Locator;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// Answers of a GPU server for other programs.
#[derive(Debug, Parser)]
#[command(name = "nvtopod", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve metrics of the node's topology and readiness to Prometheus
    Metrics(MetricsArgs),
}

/// Reads an address and a port: `127.0.0.1:9417`, `localhost:9417`, or `:9417` for all addresses.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    let no_address =
        |_| "give an address and a port, as in 127.0.0.1:9417, localhost:9417 or :9417".to_owned();
    let addresses: Vec<SocketAddr> = text.to_socket_addrs().map_err(no_address)?.collect();
    let best = addresses.iter().find(|own| own.is_ipv4()).or(addresses.first());
    best.copied().ok_or_else(|| format!("{text} has no address"))
}

/// Answers on /metrics, /healthz (the program runs) and /readyz (a fresh reading is there). The node is read in the
/// background; a request gets the last reading, however long the driver takes.
#[derive(Args, Debug)]
pub(crate) struct MetricsArgs {
    /// Address and port to listen on. Others than loopback are reached by the network: give --token-file or TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9417", env = "NVTOPOD_LISTEN", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Time between readings of the node
    #[arg(long, value_name = "TIME", default_value = "15s", env = "NVTOPOD_INTERVAL")]
    pub(crate) interval: jiff::SignedDuration,
    /// Node to read: live (this machine), or a snapshot or directory of a recorded one
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
    /// Expectations of the fleet and accepted findings, in TOML, as for `nvtopo audit`
    #[arg(long, value_name = "FILE", env = "NVTOPOD_PROFILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Accepted state of the node, by `nvtopo baseline`: differences from it become metrics
    #[arg(long, value_name = "FILE", env = "NVTOPOD_BASELINE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Kernel's log of this machine: its device, or a file of syslog. Events of the driver (Xid, `SXid`) are counted; /dev/null
    /// for none
    #[arg(long, value_name = "FILE", default_value = "/dev/kmsg", env = "NVTOPOD_KERNEL_LOG")]
    pub(crate) kernel_log: PathBuf,
    /// Time between counts of the memory of processes on GPUs by NUMA node: the kernel walks all of it for each
    #[arg(long, value_name = "TIME", default_value = "5m", env = "NVTOPOD_MEMORY_INTERVAL")]
    pub(crate) memory_interval: jiff::SignedDuration,
    /// File with the token that requests for metrics must bring (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", env = "NVTOPOD_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate chain in PEM: serve by TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "NVTOPOD_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "NVTOPOD_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Write the metrics into this file instead, for the textfile collector of `node_exporter`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token_file", "tls_cert"])]
    pub(crate) textfile: Option<PathBuf>,
    /// Read the node once, write the file, and end
    #[arg(long, requires = "textfile")]
    pub(crate) once: bool,
}
