//! The formats of launchers for a plan, letter by letter.

use nvtopo::render::{LAUNCH_FORMATS, LaunchMemory, launch_format};
use nvtopo::{CpuRules, CudaOrder, ErrorKind, Plan, Result, Topology, VisibleGpus};

/// Two ranks with two CPUs each, beside nodes 0 and 1.
const TWO: &str =
    "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\t0-1\t0\nGPU1\tNV4\t X \t2,35\t1\n";
/// The same where nobody knows the nodes.
const NO_NODES: &str = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-1\nGPU1\tNV4\t X \t2,35\n";

fn plan(text: &str) -> Plan {
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    Plan::new(&topology, &visible, 2, &CpuRules::default()).unwrap()
}

fn print(format: &str, memory: &str) -> Result<String> {
    launch_format(format)?.print_with(&plan(TWO), memory.parse()?)
}

#[test]
fn mpich_and_intel_mpi_take_an_option() {
    let print = |format| launch_format(format).unwrap().print(&plan(TWO)).unwrap();
    assert_eq!(print("mpich"), "-bind-to user:0+1,2+35\n");
    assert_eq!(print("intel-mpi"), "-genv I_MPI_PIN_DOMAIN=[0x3,0x800000004]\n");
}

#[test]
fn memory_is_said_as_each_launcher_takes_it() {
    for (format, memory, expected) in [
        ("docker", "bind", "--cpuset-cpus=0-1 --cpuset-mems=0\n--cpuset-cpus=2,35 --cpuset-mems=1\n"),
        ("podman", "bind", "--cpuset-cpus=0-1 --cpuset-mems=0\n--cpuset-cpus=2,35 --cpuset-mems=1\n"),
        ("docker", "none", "--cpuset-cpus=0-1\n--cpuset-cpus=2,35\n"),
        ("srun", "bind", "--cpu-bind=mask_cpu:0x3,0x800000004 --mem-bind=mask_mem:0x1,0x2\n"),
        ("srun", "preferred", "--cpu-bind=mask_cpu:0x3,0x800000004 --mem-bind=prefer,map_mem:0,1\n"),
        ("srun", "local", "--cpu-bind=mask_cpu:0x3,0x800000004 --mem-bind=local\n"),
        ("taskset", "none", "taskset -c 0-1\ntaskset -c 2,35\n"),
        (
            "numactl",
            "bind",
            "numactl --physcpubind=0-1 --membind=0\nnumactl --physcpubind=2,35 --membind=1\n",
        ),
        (
            "numactl",
            "interleave",
            "numactl --physcpubind=0-1 --interleave=0\nnumactl --physcpubind=2,35 --interleave=1\n",
        ),
        (
            "numactl",
            "preferred",
            "numactl --physcpubind=0-1 --preferred=0\nnumactl --physcpubind=2,35 --preferred=1\n",
        ),
        (
            "numactl",
            "local",
            "numactl --physcpubind=0-1 --localalloc\nnumactl --physcpubind=2,35 --localalloc\n",
        ),
        ("numactl", "none", "numactl --physcpubind=0-1\nnumactl --physcpubind=2,35\n"),
        (
            "systemd",
            "bind",
            "-p \"CPUAffinity=0-1\" -p NUMAPolicy=bind -p \"NUMAMask=0\"\n-p \"CPUAffinity=2 35\" -p NUMAPolicy=bind -p \
             \"NUMAMask=1\"\n",
        ),
        (
            "systemd",
            "local",
            "-p \"CPUAffinity=0-1\" -p NUMAPolicy=local\n-p \"CPUAffinity=2 35\" -p NUMAPolicy=local\n",
        ),
    ] {
        assert_eq!(print(format, memory).unwrap(), expected, "{format} {memory}");
    }
    assert!("hard".parse::<LaunchMemory>().is_err());
}

#[test]
fn what_a_format_cannot_say_of_memory_is_refused() {
    for format in LAUNCH_FORMATS {
        // Unasked, and asked for nothing, every format prints.
        format.print(&plan(NO_NODES)).unwrap();
        let silent = print(format.name, "none").unwrap();
        for memory in ["preferred", "local", "bind", "interleave"] {
            match print(format.name, memory) {
                Ok(said) => assert_ne!(said, silent, "{} {memory}", format.name),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                    assert!(error.to_string().contains(&format!("{} cannot say", format.name)), "{error}");
                }
            }
        }
    }
    // Slurm prefers one node for each task, and has no word for memory in turn.
    let several = TWO.replace("0-1\t0", "0-1\t0-1");
    let preferred = launch_format("srun").unwrap().print_with(&plan(&several), "preferred".parse().unwrap());
    assert!(preferred.unwrap_err().to_string().contains("memory of several nodes (0-1) is preferred"));
    assert!(print("srun", "interleave").unwrap_err().to_string().contains("numactl, systemd can"));
    let unknown = launch_format("docker").unwrap().print_with(&plan(NO_NODES), "bind".parse().unwrap());
    assert!(unknown.unwrap_err().to_string().contains("no memory nodes are known for rank 0"));
    let local = launch_format("numactl").unwrap().print_with(&plan(NO_NODES), "local".parse().unwrap());
    assert_eq!(local.unwrap().lines().next(), Some("numactl --physcpubind=0-1 --localalloc"));
}

#[test]
fn a_machine_without_gpus_cannot_satisfy_a_launcher() {
    let machine = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,
        "nodes":[{"machine":{}}]}}"#;
    let topology = Topology::parse("t.json", machine.as_bytes()).unwrap();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let plan = Plan::new(&topology, &visible, 1, &CpuRules::default()).unwrap();
    for format in LAUNCH_FORMATS {
        assert_eq!(format.print(&plan).unwrap_err().kind(), ErrorKind::Unsatisfiable, "{}", format.name);
    }
    let mig = nvtopo::solve::mig::InstanceRequest::new("1g".parse().unwrap()).solve(&topology);
    assert_eq!(mig.unwrap_err().kind(), ErrorKind::Unsatisfiable);
}
