//! [`Results`]: the figures of runs or of saved outputs, and the runs that gave none.

use crate::figure::{Figure, Metric, Subject};
use crate::reading::{collective, copies, host_copies, latency};
use nvtopo::{Error, Result, Topology};

/// A run, or a pair of a saved output, without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// The program.
    pub program: &'static str,
    /// The test of the program, where a single one has no result.
    pub test: Option<&'static str>,
    /// The devices that it was to measure.
    pub subject: Subject,
    /// The reason, for people.
    pub why: String,
    /// True for a run that failed; false for devices of which a saved output has no figure.
    pub is_run: bool,
}

/// The figures of benchmarks.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Results {
    /// The figures, in the order in which they were measured.
    pub figures: Vec<Figure>,
    /// The runs, and the pairs of saved outputs, without a result.
    pub failed: Vec<Failed>,
    /// Remarks for people: runs that could not be bound, figures of other machines.
    pub remarks: Vec<String>,
}

impl Results {
    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a run without a result.
    pub fn fail(&mut self, program: &'static str, subject: Subject, why: impl Into<String>) {
        self.failed.push(Failed { program, test: None, subject, why: why.into(), is_run: true });
    }

    /// Adds remarks, each once.
    pub(crate) fn remark(&mut self, remarks: Vec<String>) {
        for remark in remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }

    /// Reads the saved output of one benchmark, which may be of several tests. Messages call it by `name`.
    ///
    /// Devices are found by the addresses and names in the output; where it tells none, its numbers are taken for those of
    /// `nvidia-smi`. Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for an output without a figure of this
    /// machine's devices, with the reason.
    pub fn read_saved(&mut self, topology: &Topology, name: &str, bytes: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(bytes);
        self.read_text(topology, name, &text).map_err(|error| error.in_input(name))
    }

    fn read_text(&mut self, topology: &Topology, name: &str, text: &str) -> Result<()> {
        if text.contains("busbw") {
            let (subject, value) = (collective::members(topology, text)?, collective::bus_bandwidth(text)?);
            self.add(Figure::new(collective::program(text), subject, Metric::Bandwidth, value));
            return Ok(());
        }
        if text.contains("#bytes") && (text.contains("t_typical[") || text.contains("t_avg[")) {
            let subject = Subject::Adapter(device_of_perftest(topology, text)?);
            self.add(Figure::new("ib_read_lat", subject, Metric::Latency, latency::perftest(text)?));
            return Ok(());
        }
        if text.contains("usec/iter") {
            return Err(Error::input("the output of ibv_rc_pingpong does not name its devices")
                .help("let nvtopo validate run it"));
        }
        let host = host_copies::read(topology, None, text);
        let (copies, error) = copies::read(topology, None, name, text.as_bytes());
        let host = match (host, error) {
            // Of two reasons, that of the test which has figures.
            (Err(host), Some(_)) if host.message().contains(copies::STRANGE) => return Err(host),
            (Err(_), Some(error)) => return Err(error),
            (host, _) => host,
        };
        for own in host.into_iter().chain([copies]) {
            let program = own.figures.first().map_or("nvbandwidth", |figure| figure.program);
            self.figures.extend(own.figures);
            let missing = own.missing.into_iter();
            self.failed.extend(missing.map(|((test, subject), why)| Failed {
                program,
                test,
                subject,
                why,
                is_run: false,
            }));
            self.remark(own.remarks);
        }
        // An error of another test, too, means that the run did not end as it should.
        let error = |line: &&str| {
            ["Error", "ERROR", "NVML_ERROR", "CUDA error"].iter().any(|word| line.starts_with(word))
                || line.contains("CUDA_ERROR_")
        };
        if let Some(line) = text.lines().map(str::trim).find(error) {
            let line: String = line.chars().take(160).collect();
            self.remark(vec![format!("{name} ends in an error, or holds one: {line}")]);
        }
        Ok(())
    }
}

/// Returns the NIC whose port an output of perftest is of: `Dual-port : OFF  Device : mlx5_0`.
fn device_of_perftest(topology: &Topology, text: &str) -> Result<usize> {
    let after = |line: &str| Some(line.split_once("Device ")?.1.split_once(':')?.1.trim().to_owned());
    let name = text.lines().filter(|line| line.contains("Dual-port")).find_map(after);
    let name = name.ok_or_else(|| Error::input("the output of perftest does not name its device"))?;
    let is_it = |nic: &nvtopo::model::Nic| nic.rdma_device.as_deref() == Some(&name) || nic.name == name;
    let place = topology.nics().position(is_it);
    place.map(|place| topology.gpus().len() + place).ok_or_else(|| {
        Error::input(format!("{name} is not a NIC of this machine"))
            .help("give --from the machine that it was measured on")
    })
}
