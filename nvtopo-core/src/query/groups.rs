//! NVLink groups: GPUs that are connected over NVLink, and how.

use crate::model::{GroupShape, NvlinkGroup, PathType, Topology, components};

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
            let linked = |a: usize, b: usize| self.pairs().pair(a, b).path == Some(PathType::Nvl);
            let groups = components(self.gpus().len(), linked).into_iter();
            groups.map(|gpus| NvlinkGroup { shape: self.shape(&gpus), gpus }).collect()
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
