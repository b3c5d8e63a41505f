//! The variables that tell libraries which NICs the GPUs of a job use.

use nvtopo::apply::{Export, environment, export_remarks, plan_here};
use nvtopo::{CpuRules, CudaOrder, Plan, RankLayout, Topology, VisibleGpus};
use std::path::Path;

fn gb200() -> serde_json::Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/exports/gb200.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn read(document: &serde_json::Value) -> Topology {
    Topology::parse("gb200.json", document.to_string().as_bytes()).unwrap()
}

/// The variables of one rank, by name.
fn told(topology: &Topology, rank: usize, exports: &[Export], set: &str) -> Vec<(&'static str, String)> {
    let visible = VisibleGpus::all(topology, CudaOrder::PciBusId);
    let plan = Plan::new(topology, &visible, topology.gpus().len(), &CpuRules::default()).unwrap();
    let variable = |name: &str| (name == set || name == "OMP_NUM_THREADS").then(|| "1".to_owned());
    environment(topology, &visible, &plan.parts()[rank], exports, variable)
}

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

#[test]
fn every_library_is_told_of_the_same_pairs() {
    let topology = read(&gb200());
    for (rank, device) in ["mlx5_0", "mlx5_1", "mlx5_4", "mlx5_5"].into_iter().enumerate() {
        let exports = [Export::UcxDevice, Export::UcclDevice, Export::NvshmemHca];
        let expected = [
            ("UCX_NET_DEVICES", format!("{device}:1")),
            ("UCCL_P2P_RDMA_DEV", device.to_owned()),
            ("NVSHMEM_ENABLE_NIC_PE_MAPPING", "1".to_owned()),
            ("NVSHMEM_HCA_LIST", format!("{device}:1")),
        ];
        assert_eq!(told(&topology, rank, &exports, ""), expected);
    }
    let address = |position: usize| match &topology.node(topology.devices()[position]).kind {
        nvtopo::model::NodeKind::Gpu(gpu) => gpu.address.unwrap().to_string(),
        nvtopo::model::NodeKind::Nic(nic) => nic.address.unwrap().to_string(),
        _ => unreachable!(),
    };
    let nics = nvtopo::fair_nics(&topology);
    let pairs: Vec<String> =
        (0..4).map(|gpu| format!("{}={}", address(gpu), address(nics[gpu].unwrap()))).collect();
    let mapping = ("VLLM_GPU_NIC_PCIE_MAPPING", pairs.join(","));
    for rank in 0..4 {
        // vLLM sets UCX's variable itself.
        let vllm = told(&topology, rank, &[Export::VllmNics, Export::UcxDevice], "");
        assert_eq!(vllm, [mapping.clone(), ("VLLM_NIC_SELECTION_VARS", "UCX_NET_DEVICES:1".to_owned())]);
        assert_eq!(
            told(&topology, rank, &[Export::VllmNics], "VLLM_NIC_SELECTION_VARS"),
            std::slice::from_ref(&mapping)
        );
    }
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let remarks = export_remarks(&topology, &visible, &[Export::VllmNics, Export::UcxDevice]);
    assert!(remarks.len() == 1 && remarks[0].contains("left to vLLM"), "{remarks:?}");
    // Without addresses nothing is told, and that is said.
    let text = "\tGPU0\tmlx5_0\nGPU0\t X \tPIX\nmlx5_0\tPIX\t X \n";
    let unknown = Topology::parse("t", text.as_bytes()).unwrap();
    assert!(told(&unknown, 0, &[Export::VllmNics], "").is_empty());
    let visible = VisibleGpus::all(&unknown, CudaOrder::PciBusId);
    let both = [Export::VllmNics, Export::UcxDevice];
    let remarks = export_remarks(&unknown, &visible, &both);
    assert!(remarks[0].contains("VLLM_GPU_NIC_PCIE_MAPPING is not set"), "{remarks:?}");
    assert_eq!(remarks[1..], ["which port of mlx5_0 is used is unknown; UCX_NET_DEVICES says 1"]);
    // Nobody sets UCX's variable then but we.
    assert_eq!(told(&unknown, 0, &both, ""), [("UCX_NET_DEVICES", "mlx5_0:1".to_owned())]);
}

#[test]
fn a_gpu_whose_port_is_down_shares_a_port_of_the_same_kind() {
    let mut document = gb200();
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    let of = |node: &&mut serde_json::Value| node["nic"]["rdma_device"] == "mlx5_1";
    nodes.iter_mut().find(of).unwrap()["nic"]["state"] = "down".into();
    let topology = read(&document);
    let (told, remarks) = hca(&topology);
    assert_eq!(told, vec![Some("=mlx5_0,mlx5_4,mlx5_5".to_owned()); 4]);
    assert!(remarks[0].contains("leaves out mlx5_1, mlx5_2, mlx5_3"), "{remarks:?}");
}

#[test]
fn ports_that_are_known_are_named() {
    let mut document = gb200();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        // A card with two ports of which the second is active, and one of which nobody knows the port.
        match node["nic"]["rdma_device"].as_str() {
            Some("mlx5_0") => node["nic"]["port"] = 2.into(),
            Some("mlx5_1") | None => {}
            Some(_) => node["nic"]["port"] = 1.into(),
        }
    }
    let topology = read(&document);
    assert_eq!(read(&serde_json::from_str(&topology.to_json()).unwrap()), topology);
    assert_eq!(hca(&topology).0, vec![Some("=mlx5_0:2,mlx5_1,mlx5_4:1,mlx5_5:1".to_owned()); 4]);
    let exports = [Export::UcxDevice, Export::NvshmemHca];
    for (rank, port) in ["mlx5_0:2", "mlx5_1:1", "mlx5_4:1"].into_iter().enumerate() {
        let set = told(&topology, rank, &exports, "");
        assert!(set.contains(&("UCX_NET_DEVICES", port.to_owned())), "{set:?}");
        assert!(set.contains(&("NVSHMEM_HCA_LIST", port.to_owned())), "{set:?}");
    }
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let remarks = export_remarks(&topology, &visible, &exports);
    let told_of = "which port of mlx5_1 is used is unknown; UCX_NET_DEVICES and NVSHMEM_HCA_LIST say 1";
    assert_eq!(remarks, [told_of]);
    // vLLM takes one port number for all NICs.
    assert!(told(&topology, 0, &[Export::VllmNics], "").is_empty());
    assert!(
        export_remarks(&topology, &visible, &[Export::VllmNics])[0].contains("ports of different numbers")
    );
    let seconds = document.to_string().replace("\"port\":1", "\"port\":2");
    let mut seconds: serde_json::Value = serde_json::from_str(&seconds).unwrap();
    let nodes = seconds["topology"]["nodes"].as_array_mut().unwrap();
    nodes.iter_mut().find(|node| node["nic"]["rdma_device"] == "mlx5_1").unwrap()["nic"]["port"] = 2.into();
    let set = told(&read(&seconds), 0, &[Export::VllmNics], "");
    assert_eq!(set[1], ("VLLM_NIC_SELECTION_VARS", "UCX_NET_DEVICES:2".to_owned()));
    // There is no port 0.
    nodes_of(&mut document)[0]["nic"]["port"] = 0.into();
    let error = Topology::parse("t.json", document.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains("nonzero"), "{error}");
}

fn nodes_of(document: &mut serde_json::Value) -> Vec<&mut serde_json::Value> {
    let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
    nodes.iter_mut().filter(|node| node["nic"].is_object()).collect()
}

#[test]
fn ranks_that_see_their_own_gpus_are_told_of_the_same_nics() {
    let topology = read(&gb200());
    let layout = RankLayout { gpus: Some(2), ..RankLayout::default() };
    let rules = CpuRules { layout, ..CpuRules::default() };
    let all = Some("=mlx5_0,mlx5_1,mlx5_4,mlx5_5".to_owned());
    let told = |list: &str, ranks: usize, rules: &CpuRules| {
        let variables =
            |name: &str| if name == "CUDA_VISIBLE_DEVICES" { Some(list.to_owned()) } else { None };
        let scope = nvtopo::apply::Scope::default();
        let here =
            plan_here(&topology, Some(ranks), rules.clone(), scope, Some(&variables), &|_| None).unwrap();
        let set = environment(&topology, &here.visible, &here.plan.parts()[0], &[Export::IbHca], |_| None);
        set.into_iter().next_back().map(|(_, value)| value)
    };
    // A launcher shows each of two ranks its own two GPUs: by number, or because they are fewer than the ranks.
    for list in ["0,1", "2,3"] {
        assert_eq!(told(list, 2, &rules), all, "{list}");
        assert_eq!(told(list, 4, &CpuRules::default()), all, "{list}");
    }
    // Two ranks that see two GPUs share these.
    assert_eq!(told("0,1", 2, &CpuRules::default()).as_deref(), Some("=mlx5_0,mlx5_1"));
    assert_eq!(told("0,1", 1, &rules).as_deref(), Some("=mlx5_0,mlx5_1"));
    assert_eq!(told("0,1,2,3", 2, &rules), all);
}

/// Two GPUs with two near NICs each, and one for storage.
const TWO_EACH: &str = "\tGPU0\tGPU1\tmlx5_0\tmlx5_1\tmlx5_2\tmlx5_3\tmlx5_4\n\
    GPU0\t X \tNV4\tPIX\tPIX\tSYS\tSYS\tNODE\n\
    GPU1\tNV4\t X \tSYS\tSYS\tPIX\tPIX\tNODE\n\
    mlx5_0\tPIX\tSYS\t X \tPIX\tSYS\tSYS\tNODE\nmlx5_1\tPIX\tSYS\tPIX\t X \tSYS\tSYS\tNODE\n\
    mlx5_2\tSYS\tPIX\tSYS\tSYS\t X \tPIX\tNODE\nmlx5_3\tSYS\tPIX\tSYS\tSYS\tPIX\t X \tNODE\n\
    mlx5_4\tNODE\tNODE\tNODE\tNODE\tNODE\tNODE\t X \n";

#[test]
fn a_gpu_with_several_nics_uses_them_all() {
    let topology = Topology::parse("t", TWO_EACH.as_bytes()).unwrap();
    let (nccl, remarks) = hca(&topology);
    assert_eq!(nccl[1].as_deref(), Some("=mlx5_0,mlx5_1,mlx5_2,mlx5_3"));
    assert!(remarks[0].contains("leaves out mlx5_4:"), "{remarks:?}");
    let ucx = told(&topology, 0, &[Export::UcxDevice], "");
    assert_eq!(ucx, [("UCX_NET_DEVICES", "mlx5_0:1,mlx5_1:1".to_owned())]);
    let uccl = told(&topology, 1, &[Export::UcclDevice], "");
    assert_eq!(uccl, [("UCCL_P2P_RDMA_DEV", "mlx5_2,mlx5_3".to_owned())]);
    // One more for one GPU of two is for something else.
    let fewer = TWO_EACH
        .replace("mlx5_3\tSYS\tPIX\t", "mlx5_3\tSYS\tNODE\t")
        .replace("GPU1\tNV4\t X \tSYS\tSYS\tPIX\tPIX\t", "GPU1\tNV4\t X \tSYS\tSYS\tPIX\tNODE\t");
    let topology = Topology::parse("t", fewer.as_bytes()).unwrap();
    assert_eq!(hca(&topology).0[0].as_deref(), Some("=mlx5_0,mlx5_2"));
}

#[test]
fn there_is_a_rank_for_each_visible_gpu_unless_somebody_says_how_many() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let ranks = |ranks: Option<usize>, set: &[(&str, &str)]| {
        let variable =
            |name: &str| set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let scope = nvtopo::apply::Scope::default();
        let here =
            plan_here(&topology, ranks, CpuRules::default(), scope, Some(&variable), &|_| None).unwrap();
        here.plan.parts().len()
    };
    let visible = ("CUDA_VISIBLE_DEVICES", "1,2,3");
    let launched = [visible, ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2")];
    assert_eq!((ranks(None, &[]), ranks(None, &[visible]), ranks(None, &launched)), (8, 3, 2));
    assert_eq!(ranks(Some(5), &launched), 5, "what is asked for counts before");
    // A process that sees no GPU is a rank too.
    assert_eq!(ranks(None, &[("CUDA_VISIBLE_DEVICES", "")]), 1);
    let nothing =
        plan_here(&topology, None, CpuRules::default(), nvtopo::apply::Scope::default(), None, &|_| {
            Some("0".to_owned())
        });
    assert_eq!(nothing.unwrap().plan.parts().len(), 8, "these variables are of another machine");
}

#[test]
fn what_is_shown_of_mig_is_left_as_it_is() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let part = nvtopo::Part { gpus: vec![0], ..nvtopo::Part::default() };
    let told = |visible: &VisibleGpus| environment(&topology, visible, &part, &[Export::Gpus], |_| None);
    let mut visible = VisibleGpus::resolve(&topology, Some("0,1"), CudaOrder::PciBusId);
    assert!(told(&visible).iter().any(|(name, _)| *name == "CUDA_VISIBLE_DEVICES"), "{:?}", told(&visible));
    visible.devices[1].instance = Some(topology.devices()[0]);
    assert!(told(&visible).is_empty(), "{:?}", told(&visible));
    assert!(told(&VisibleGpus::default()).is_empty());
}

#[test]
fn a_device_that_stands_for_two_nics_of_unknown_port_is_not_told_with_one() {
    let both = |second: &str| {
        let text = "\tGPU0\tNIC0\tNIC1\nGPU0\t X \tPIX\tSYS\nNIC0\tPIX\t X \tSYS\nNIC1\tSYS\tSYS\t X \n\n\
             NIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_1\n";
        let topology = Topology::parse("t", text.as_bytes()).unwrap();
        let document = topology.to_json().replace("\"mlx5_1\"", &format!("\"{second}\""));
        let topology = read(&serde_json::from_str(&document).unwrap());
        told(&topology, 0, &[Export::UcxDevice, Export::UcclDevice], "")
    };
    let device = ("UCCL_P2P_RDMA_DEV", "mlx5_0".to_owned());
    assert_eq!(both("mlx5_1"), [("UCX_NET_DEVICES", "mlx5_0:1".to_owned()), device.clone()]);
    assert_eq!(both("mlx5_0"), [device]);
}
