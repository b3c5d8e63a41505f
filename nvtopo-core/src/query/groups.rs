//! NVLink groups: GPUs that are connected over NVLink, and how.

use crate::model::{GroupShape, NvlinkGroup, PathType, Topology};

impl Topology {
    /// Returns the groups of GPUs that NVLink connects, by their lowest GPU; a GPU without NVLink is a group of its
    /// own. Computed once.
    ///
    /// ```
    /// let bridged = nvtopo::Topology::preset("rtx-a6000-4-bridged")?;
    /// assert_eq!(bridged.nvlink_groups().len(), 2);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn nvlink_groups(&self) -> &[NvlinkGroup] {
        self.computed().groups.get_or_init(|| {
            let count = self.gpus().len();
            let linked = |a: usize, b: usize| self.pairs().pair(a, b).path == Some(PathType::Nvl);
            let mut grouped = vec![false; count];
            let mut groups = Vec::new();
            for first in 0..count {
                if std::mem::replace(&mut grouped[first], true) {
                    continue;
                }
                let mut gpus = vec![first];
                let mut next = 0;
                while let Some(&gpu) = gpus.get(next) {
                    next += 1;
                    for other in (0..count).filter(|&other| linked(gpu, other)) {
                        if !std::mem::replace(&mut grouped[other], true) {
                            gpus.push(other);
                        }
                    }
                }
                gpus.sort_unstable();
                let shape = self.shape(&gpus);
                groups.push(NvlinkGroup { gpus, shape });
            }
            groups
        })
    }

    fn shape(&self, gpus: &[usize]) -> GroupShape {
        let linked = |a: usize, b: usize| self.pairs().pair(a, b).path == Some(PathType::Nvl);
        let complete = gpus.iter().all(|&a| gpus.iter().all(|&b| a == b || linked(a, b)));
        let nvlinks = self.nvlinks();
        let on_switch = |gpu: usize| nvlinks.of_node(self.devices()[gpu]).any(|(_, bundle)| bundle.switch);
        match gpus.len() {
            1 => GroupShape::Single,
            _ if !complete => GroupShape::Partial,
            _ if gpus.iter().all(|&gpu| on_switch(gpu)) => GroupShape::Switched,
            _ => GroupShape::FullyConnected,
        }
    }
}
