//! [`Figure`]: one number that a benchmark measured, and the devices that it is of.

use nvtopo::Topology;
use std::fmt;

/// The quantity that a benchmark measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// GB/s (1e9 bytes per second), one direction; of a group, its bus bandwidth. More is better.
    Bandwidth,
    /// Microseconds. Less is better.
    Latency,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 2] = [Self::Bandwidth, Self::Latency];

    /// The word in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Latency => "latency",
        }
    }

    /// The unit.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Bandwidth => "GB/s",
            Self::Latency => "us",
        }
    }

    /// Writes a value with its unit: three digits, none of them lost.
    pub fn show(self, value: f64) -> String {
        let digits = match value.abs() {
            big if big >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            _ => 2,
        };
        format!("{value:.digits$} {}", self.unit())
    }

    /// Returns how much worse a value is than another, as a part of the other: 0.1 for a tenth of the bandwidth lost. Negative
    /// where it is better. `None` where the other is 0.
    pub fn loss(self, value: f64, than: f64) -> Option<f64> {
        let change = (value - than) / than;
        let loss = if self == Self::Bandwidth { -change } else { change };
        loss.is_finite().then_some(loss)
    }
}

/// The devices that a figure is of: positions in [`Topology::devices`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// Data from one GPU or NIC to another.
    Path {
        /// The device that the data comes from.
        from: usize,
        /// The device that it goes to.
        to: usize,
    },
    /// Data from memory of the host to a GPU.
    ToGpu(usize),
    /// Data from a GPU to memory of the host.
    FromGpu(usize),
    /// Data between memory of the host and the port of a NIC.
    Adapter(usize),
    /// A collective operation of several GPUs.
    Group(Vec<usize>),
}

impl Subject {
    /// Returns its devices.
    pub fn devices(&self) -> Vec<usize> {
        match self {
            Self::Path { from, to } => vec![*from, *to],
            Self::ToGpu(own) | Self::FromGpu(own) | Self::Adapter(own) => vec![*own],
            Self::Group(gpus) => gpus.clone(),
        }
    }

    /// Returns its name for people, such as `GPU0 to GPU3`.
    ///
    /// # Panics
    /// When a device is not of this topology.
    pub fn name(&self, topology: &Topology) -> String {
        let name = |device: &usize| topology.device_name(*device);
        match self {
            Self::Path { from, to } => format!("{} to {}", name(from), name(to)),
            Self::ToGpu(gpu) => format!("host to {}", name(gpu)),
            Self::FromGpu(gpu) => format!("{} to host", name(gpu)),
            Self::Adapter(nic) => name(nic),
            Self::Group(gpus) => group_name(topology, gpus),
        }
    }
}

/// Returns the name of several GPUs: their numbers as a list.
pub(crate) fn group_name(topology: &Topology, gpus: &[usize]) -> String {
    let numbers = gpus.iter().filter_map(|gpu| topology.gpus().nth(*gpu)).map(|gpu| gpu.index);
    format!("GPUs {}", numbers.collect::<nvtopo::CpuSet>())
}

/// Returns the name of a program and its test, such as `nvbandwidth write_ce`.
pub(crate) fn program_name(program: &str, test: Option<&str>) -> String {
    test.map_or_else(|| program.to_owned(), |test| format!("{program} {test}"))
}

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figure {
    /// The program that measured it.
    pub program: &'static str,
    /// The test of the program, where it has several for the same devices: `write_ce` and `reads` copy in other ways.
    pub test: Option<&'static str>,
    /// The devices that it is of.
    pub subject: Subject,
    /// The quantity.
    pub metric: Metric,
    /// The value in the metric's unit.
    pub value: f64,
}

impl Figure {
    /// Creates a figure.
    pub fn new(program: &'static str, subject: Subject, metric: Metric, value: f64) -> Self {
        Self { program, test: None, subject, metric, value }
    }

    /// Sets the test of the program.
    #[must_use]
    pub fn test(mut self, test: Option<&'static str>) -> Self {
        self.test = test;
        self
    }
}

impl fmt::Display for Figure {
    /// Writes the program, its test and the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", program_name(self.program, self.test), self.metric.show(self.value))
    }
}
