//! Formats of the chosen GPUs alone, for `$(nvtopo place …)` in other commands.

use crate::error::{Error, Result};
use crate::solve::Placement;

/// A format that passes the chosen GPUs to another command.
#[non_exhaustive]
pub struct SelectionFormat {
    /// The name after `--format`.
    pub name: &'static str,
    /// The format in one line, for people.
    pub summary: &'static str,
    print: fn(&Placement) -> Result<String>,
}

/// Every format for the chosen GPUs alone.
pub static SELECTION_FORMATS: &[SelectionFormat] = &[
    SelectionFormat {
        name: "ids",
        summary: "their indices as nvidia-smi counts, such as 0,3; CUDA counts so with CUDA_DEVICE_ORDER=PCI_BUS_ID",
        print: |placement| Ok(ids(placement)),
    },
    SelectionFormat { name: "uuids", summary: "their UUIDs, such as GPU-5c3e…,GPU-91d0…", print: uuids },
    SelectionFormat {
        name: "env",
        summary: "variables that show them to CUDA, a line each: vars=$(nvtopo place --gpus 2 --format env) && env $vars ./job",
        print: |placement| Ok(env(placement)),
    },
];

impl SelectionFormat {
    /// Prints the GPUs of the placement; each line ends with a line break.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where the topology lacks the names of the format.
    ///
    /// ```
    /// use nvtopo::render::selection_format;
    ///
    /// let dgx = nvtopo::Topology::preset("dgx-1-v100")?;
    /// let placement = nvtopo::Request::gpus(2).solve(&dgx)?;
    /// assert_eq!(selection_format("ids")?.print(&placement)?, "0,3\n");
    /// assert!(selection_format("uuids")?.print(&placement).is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn print(&self, placement: &Placement) -> Result<String> {
        (self.print)(placement)
    }
}

/// Finds a format for the chosen GPUs by its name.
pub fn selection_format(name: &str) -> Result<&'static SelectionFormat> {
    SELECTION_FORMATS.iter().find(|format| format.name == name).ok_or_else(|| {
        let names: Vec<&str> = SELECTION_FORMATS.iter().map(|format| format.name).collect();
        Error::request(format!("there is no format '{name}' for chosen GPUs"))
            .help(format!("there are {}", names.join(", ")))
    })
}

fn ids(placement: &Placement) -> String {
    let ids: Vec<String> = placement.gpu_indices().iter().map(ToString::to_string).collect();
    ids.join(",") + "\n"
}

fn uuids(placement: &Placement) -> Result<String> {
    let uuid = |gpu: &crate::solve::PlacedGpu| {
        gpu.uuid.map(|uuid| uuid.to_string()).ok_or_else(|| {
            Error::request(format!("the UUID of GPU{} is unknown", gpu.index))
                .help("the live machine with NVIDIA's driver knows UUIDs; --format ids prints indices")
        })
    };
    let uuids: Vec<String> = placement.gpus().iter().map(uuid).collect::<Result<_>>()?;
    Ok(uuids.join(",") + "\n")
}

fn env(placement: &Placement) -> String {
    let lines: Vec<String> =
        placement.cuda_environment().iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.join("\n") + "\n"
}
