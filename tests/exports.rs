//! The variables that tell libraries which NICs the GPUs of a job use.

use nvtopo::apply::{Export, environment, export_remarks};
use nvtopo::{CpuRules, CudaOrder, Plan, Topology, VisibleGpus};
use std::path::Path;

fn hca(topology: &Topology) -> (Vec<Option<String>>, Vec<String>) {
    let visible = VisibleGpus::all(topology, CudaOrder::PciBusId);
    let plan = Plan::new(topology, &visible, topology.gpus().len(), &CpuRules::default()).unwrap();
    let told = |part: &nvtopo::Part| {
        let set = environment(topology, &visible, part, &[Export::IbHca], |_| None);
        set.into_iter().find(|(name, _)| *name == "NCCL_IB_HCA").map(|(_, value)| value)
    };
    (plan.parts().iter().map(told).collect(), export_remarks(topology, &visible, &[Export::IbHca]))
}

#[test]
fn nccl_is_told_of_the_nics_of_the_gpus_and_not_of_storage_and_ethernet() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/exports/gb200.json");
    let topology = Topology::parse("gb200.json", &std::fs::read(file).unwrap()).unwrap();
    let (told, remarks) = hca(&topology);
    assert_eq!(told, vec![Some("=mlx5_0,mlx5_1,mlx5_4,mlx5_5".to_owned()); 4]);
    assert_eq!(remarks, ["NCCL_IB_HCA leaves out mlx5_2, mlx5_3: no GPU of the job uses them"]);
}

#[test]
fn ports_of_unknown_state_are_named_and_told() {
    let text = "\tGPU0\tmlx5_0\tmlx5_1\tCPU Affinity\nGPU0\t X \tPIX\tSYS\t0-7\nmlx5_0\tPIX\t X \tSYS\nmlx5_1\tSYS\tSYS\t X \n";
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let (told, remarks) = hca(&topology);
    assert_eq!(told, [Some("=mlx5_0".to_owned())]);
    assert!(remarks[0].contains("leaves out mlx5_1"), "{remarks:?}");
    assert!(remarks[1].contains("the ports of mlx5_0 carry data is unknown"), "{remarks:?}");
}
