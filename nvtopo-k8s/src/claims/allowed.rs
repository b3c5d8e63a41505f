//! Tables of allowed sets, such as the partitions of Fabric Manager.

use super::pools::members;
use nvtopo::solve::objective::Set;
use nvtopo::{Error, GpuRef, Result, Topology};

/// The most lines of a table.
const MAX_LINES: usize = 4096;

/// A table of the sets of GPUs that may be used together, one a line: `0,1`, `4-7`, PCI addresses or UUIDs. Empty lines and
/// what is behind `#` count for nothing.
///
/// ```
/// use nvtopo_k8s::claims::AllowedSets;
///
/// let table = AllowedSets::read("partitions", "0-7  # whole\n0-3\n4-7\n")?;
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(table.resolve(&dgx)?, [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AllowedSets {
    name: String,
    lines: Vec<(usize, Vec<GpuRef>)>,
}

impl AllowedSets {
    /// Reads a table; `name` stands for it in errors.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if lines.len() == MAX_LINES {
                return Err(Error::input(format!("{MAX_LINES} sets are the most")).in_input(name));
            }
            let mut gpus = Vec::new();
            for part in line.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
                let part = GpuRef::parse_list(part);
                gpus.extend(part.map_err(|error| error.in_input(name).at(number + 1, 1))?);
            }
            lines.push((number + 1, gpus));
        }
        if lines.is_empty() {
            return Err(Error::input("there is no set in this table").in_input(name));
        }
        Ok(Self { name: name.to_owned(), lines })
    }

    /// The positions of the GPUs of each set in [`Topology::gpus`].
    pub fn resolve(&self, topology: &Topology) -> Result<Vec<Vec<usize>>> {
        Ok(self.sets(topology)?.into_iter().map(|set| members(set).collect()).collect())
    }

    pub(super) fn sets(&self, topology: &Topology) -> Result<Vec<Set>> {
        let set = |(line, gpus): &(usize, Vec<GpuRef>)| {
            gpus.iter().try_fold(0, |set: Set, gpu| {
                let position =
                    gpu.resolve(topology).map_err(|error| error.in_input(&self.name).at(*line, 1))?;
                let too_many = || Error::unsatisfiable("128 GPUs are the most").in_input(&self.name);
                let bit = u32::try_from(position).ok().and_then(|position| Set::checked_shl(1, position));
                Ok(set | bit.ok_or_else(too_many)?)
            })
        };
        self.lines.iter().map(set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_in_a_table_is_told_with_its_line() {
        let dgx = Topology::preset("dgx-h100").unwrap();
        let error = AllowedSets::read("t", "0,1\n\n0,x\n").unwrap_err();
        assert_eq!((error.input_name(), error.line()), (Some("t"), Some(3)));
        let error = AllowedSets::read("t", "0,1\n7,8\n").unwrap().resolve(&dgx).unwrap_err();
        assert_eq!((error.input_name(), error.line()), (Some("t"), Some(2)));
        assert!(AllowedSets::read("t", "# none\n").is_err());
        assert!(AllowedSets::read("t", &"0\n".repeat(MAX_LINES + 1)).is_err());
    }
}
