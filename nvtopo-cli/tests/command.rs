//! The command as people run it: output and exit codes.

mod support;

use std::process::{Command, Stdio};
use support::{json, nvtopo, run, text};

#[test]
fn show_prints_what_programs_ask_for() {
    let shown = json(&nvtopo(&["show", "--from", "preset:dgx-a100", "--format", "json"]));
    assert_eq!(shown["devices"][0], "GPU0");
    assert_eq!(shown["matrix"][0][0], "X");
    assert_eq!(shown["matrix"][0][1], "NV12");
    assert_eq!(shown["nvlink_groups"][0].as_array().unwrap().len(), 8);
    assert_eq!(shown["cpu_affinity"]["GPU0"], "48-63,176-191");
    assert_eq!(shown["numa_affinity"]["GPU0"], "3");
    assert!(shown["notes"].is_array());
}

#[test]
fn what_show_prints_is_read_back() {
    let shown = nvtopo(&["show", "--from", "preset:dgx-h100", "--format", "json"]);
    let again = run(&["show", "--from", "-", "--format", "json"], &text(&shown.stdout), &[]);
    assert_eq!(text(&again.stdout), text(&shown.stdout));
}

#[test]
fn place_gives_the_gpus_and_what_belongs_to_them() {
    let placed = json(&nvtopo(&["place", "--gpus", "2", "--from", "preset:dgx-1-v100", "--format", "json"]));
    assert_eq!(placed["gpus"], serde_json::json!([0, 3]));
    assert_eq!(placed["optimal"], true);
    assert_eq!(placed["per_gpu"][0]["cpus"], "0-4,40-44");
    assert_eq!(placed["per_gpu"][0]["mems"], "0");
    assert_eq!(placed["per_gpu"][0]["nics"], serde_json::json!(["mlx5_0"]));
}

#[test]
fn place_gives_what_a_job_needs_beside_its_gpus() {
    let base = ["place", "--gpus", "2", "--from", "preset:dgx-h100", "--memory-per-gpu", "600GiB"];
    let more = ["--cpus-per-gpu", "8", "--hugepages-per-gpu", "2MiB:16,1GiB:1"];
    let placed = json(&nvtopo(&[&base[..], &more, &["--format", "json"]].concat()));
    assert_eq!(placed["gpus"], serde_json::json!([0, 4]));
    assert_eq!(placed["per_gpu"][0]["cpus"], "0-3,112-115");
    assert_eq!(placed["per_gpu"][1]["memory"], serde_json::json!([{ "node": 1, "bytes": 600u64 << 30 }]));
    assert_eq!(placed["per_gpu"][1]["huge_pages"], serde_json::Value::Null);
    assert_eq!(placed["remarks"][1], "the number of 2 MiB pages of NUMA node 1 is unknown: not checked");
    let shown = text(&nvtopo(&base).stdout);
    assert!(shown.contains("1: 600 GiB"), "{shown}");
    let refused = nvtopo(&[&base[..], &["--cpus-per-gpu", "113"]].concat());
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        told.contains("112 CPUs are left near GPU0, GPU1, GPU2, GPU3, enough for none of them"),
        "{told}"
    );
    for (option, wrong) in
        [("--memory-per-gpu", "64"), ("--hugepages-per-gpu", "2MiB"), ("--hugepages-per-gpu", "2048:1")]
    {
        let refused = nvtopo(&["place", "--gpus", "2", "--from", "preset:dgx-h100", option, wrong]);
        assert_eq!(refused.status.code(), Some(2), "{option} {wrong}");
    }
}

#[test]
fn ranks_deals_out_the_gpus() {
    let base = ["ranks", "--from", "preset:dgx-1-v100", "--tp", "2", "--format"];
    let model = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B";
    let whole = json(&nvtopo(&[&base[..], &["json", "--dp", "4", "--model", model]].concat()));
    assert_eq!(whole["gpu_of_rank"], serde_json::json!([0, 3, 1, 2, 4, 7, 5, 6]));
    assert_eq!(whole["environment"]["CUDA_VISIBLE_DEVICES"], "0,3,1,2,4,7,5,6");
    assert_eq!(whole["optimal"], true);
    assert_eq!(whole["dimensions"][0]["slowest"]["gpus"], serde_json::json!([0, 3]));
    let axes =
        ["--dp", "2", "--order", "pipe,data,model", "--traffic", "model=9GB,data=1GB", "--exclude", "0-3"];
    let half = text(&nvtopo(&[&base[..], &["text"], &axes[..]].concat()).stdout);
    for said in
        ["model 2 × data 2, in the order pipe,data,model", "GPU4  GPU7  GPU5  GPU6", "9.0 GB", "optimal"]
    {
        assert!(half.contains(said), "{half}");
    }
    let nothing = nvtopo(&[&base[..], &["json", "--dp", "4"]].concat());
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("the bytes that tp moves in one step are unknown"));
}

#[test]
fn options_choose_among_the_gpus() {
    let gpus = |more: &[&str]| {
        let arguments =
            [&["place", "--from", "preset:dgx-1-v100", "--format", "json", "--gpus", "2"], more].concat();
        json(&nvtopo(&arguments))["gpus"].clone()
    };
    assert_eq!(gpus(&["--exclude", "0,1,2,3"]), serde_json::json!([4, 7]));
    assert_eq!(gpus(&["--only", "GPU1,GPU6"]), serde_json::json!([1, 6]));
    assert_eq!(gpus(&["--include", "5"]), serde_json::json!([5, 6]));
    assert_eq!(gpus(&["--objective", "pair-sum,min-pair"]), serde_json::json!([0, 3]));
}

#[test]
fn links_count_as_reported_on_request() {
    let document = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"nvml","nvlink_known":true,"nodes":[
        {"machine":{}},{"gpu":{"parent":0,"index":0}},{"gpu":{"parent":0,"index":1}}],"links":[{"between":[1,2],
        "kind":"nvlink","lanes":1,"rate":{"mb_per_s":25000,"basis":"nominal"},"reported_mb_per_s":26562}]}}"#;
    let bandwidth = |more: &[&str]| {
        let arguments = [&["place", "--gpus", "2", "--from", "-", "--format", "json"], more].concat();
        json(&run(&arguments, document, &[]))["score"][0]["value"].as_f64()
    };
    assert_eq!(bandwidth(&[]), Some(25.0));
    assert_eq!(bandwidth(&["--reported"]), Some(26.562));
}

/// Two divided GPUs; on the second an instance lies in the middle.
const DIVIDED: &str = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"nvml","nvlink_known":true,"nodes":[
    {"machine":{}},
    {"gpu":{"parent":0,"index":0,"model":"NVIDIA H100","memory_bytes":85520809984,"mig":{"current":true,"pending":true}}},
    {"gpu":{"parent":0,"index":1,"model":"NVIDIA H100","memory_bytes":85520809984,"mig":{"current":true,"pending":true},
        "address":"0000:1b:00.0"}},
    {"gpu_instance":{"parent":2,"profile":"1g.10gb","placement":{"start":4,"size":1}}}]}}"#;

#[test]
fn place_tells_where_a_new_instance_should_lie() {
    let place = |more: &[&str]| run(&[&["place", "--from", "-", "--mig"], more].concat(), DIVIDED, &[]);
    let small = json(&place(&["1g.10gb", "--format", "json"]));
    assert_eq!(
        small,
        serde_json::json!({
            "gpu": 1, "name": "GPU1", "uuid": null, "pci": "0000:1b:00.0", "profile": "1g.10gb", "slices": 1,
            "placement": { "start": 6, "size": 1 },
        })
    );
    let large = json(&place(&["7", "--format", "json"]));
    assert_eq!((&large["gpu"], &large["profile"]), (&serde_json::json!(0), &serde_json::json!("7g.80gb")));
    let shown = text(&place(&["3g.40gb", "--exclude", "GPU0"]).stdout);
    assert!(shown.starts_with("GPU1\nan instance of 3 compute slices and 4 memory slices"), "{shown}");
    assert!(shown.contains("nvidia-smi mig -i 1 -cgi 3g.40gb:0 -C"), "{shown}");
    for (more, code, said) in [
        (&["7g", "--only", "1"][..], 1, "no divided GPU has room for 7g"),
        (&["1g.5gb"], 2, "there are 1g.10gb, 2g.20gb"),
        (&["6"], 2, "no divided GPU (MIG) here has instances of 6g"),
        (&["half"], 2, "'half' is no size"),
        (&["3", "--only", "9"], 2, "GPU9"),
        (&["3", "--gpus", "1"], 2, "cannot be used with"),
        (&["3", "--prefer", "numa-node"], 2, "cannot be used with"),
        (&["3", "--reserve", "0"], 2, "cannot be used with"),
    ] {
        let refused = place(more);
        assert_eq!(refused.status.code(), Some(code), "{more:?}");
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
    let whole = nvtopo(&["place", "--mig", "1", "--from", "preset:dgx-h100"]);
    assert_eq!(whole.status.code(), Some(1), "{whole:?}");
    assert!(text(&whole.stderr).contains("no GPU to choose from is known to be divided"), "{whole:?}");
    assert_eq!(nvtopo(&["place", "--from", "preset:dgx-h100"]).status.code(), Some(2));
}

#[test]
fn exit_codes_tell_no_from_wrong() {
    let code = |arguments: &[&str]| nvtopo(arguments).status.code();
    assert_eq!(code(&["place", "--gpus", "9", "--from", "preset:dgx-h100"]), Some(1));
    assert_eq!(code(&["place", "--gpus", "2", "--from", "preset:nothing"]), Some(2));
    assert_eq!(code(&["place", "--gpus", "2", "--objective", "best", "--from", "preset:dgx-h100"]), Some(2));
    assert_eq!(code(&["place", "--gpus", "two"]), Some(2));
    assert_eq!(code(&["show", "--from", "/nowhere/at/all"]), Some(2));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["presets"]), Some(0));
}

#[test]
fn errors_go_to_standard_error_and_name_the_place() {
    let broken = "\tGPU0\tGPU1\nGPU0\t X \tNVX\nGPU1\tNV4\t X \n";
    let output = run(&["show", "--from", "-"], broken, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let message = text(&output.stderr);
    assert!(message.starts_with("nvtopo: standard input:2:"), "{message}");
    assert!(message.contains("NVX"), "{message}");
}

/// A folder that goes when the test ends.
#[cfg(target_os = "linux")]
struct Scratch(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_snapshot_is_written_and_replayed() {
    let folder = Scratch(std::env::temp_dir().join(format!("nvtopo-cli-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("machine.tar.gz");
    let file = path.to_str().unwrap();
    let show = |from: &str| json(&nvtopo(&["show", "--from", from, "--format", "json"]));

    let written = nvtopo(&["snapshot", "-o", file]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert!(written.stdout.is_empty());
    let said = text(&written.stderr);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(
        said.contains(file) && said.contains(&format!("{size} bytes")) && said.contains("--redact"),
        "{said}"
    );
    let live = show("live");
    assert_eq!(show(file)["topology"]["origin"], live["topology"]["origin"]);
    assert_eq!(show(file)["devices"], live["devices"]);

    let redacted = nvtopo(&["snapshot", "--redact", "--output", file]);
    assert!(!text(&redacted.stderr).contains("--redact"), "{}", text(&redacted.stderr));
    assert_eq!(show(file)["topology"]["origin"], serde_json::Value::Null);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");

    let streamed = nvtopo(&["snapshot", "--redact", "-o", "-"]);
    assert_eq!(streamed.stdout[..2], [0x1f, 0x8b]);
    std::fs::write(&path, &streamed.stdout).unwrap();
    assert_eq!(show(file)["devices"], live["devices"]);

    let code = |arguments: &[&str]| nvtopo(arguments).status.code();
    assert_eq!(code(&["snapshot", "-o", "/no/such/folder/file"]), Some(2));
    assert_eq!(code(&["snapshot", "-o", file, "--from", "preset:dgx-2"]), Some(2));
    assert_eq!(code(&["snapshot", "-o", file, "--from", file]), Some(2));
    assert_eq!(code(&["snapshot"]), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_snapshot_is_not_written_to_a_terminal() {
    let command = format!("{} snapshot -o -", env!("CARGO_BIN_EXE_nvtopo"));
    let Ok(output) =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output()
    else {
        // Without `script` there is no terminal to write to.
        return;
    };
    assert!(text(&output.stdout).contains("terminal"), "{}", text(&output.stdout));
}

#[test]
fn colour_is_for_terminals_only() {
    assert!(!text(&nvtopo(&["show", "--from", "preset:dgx-2"]).stdout).contains('\x1b'));
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let command =
        format!("{} show --from preset:dgx-2 --format json | head -1", env!("CARGO_BIN_EXE_nvtopo"));
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn show_draws_the_machine() {
    let plot = std::env::temp_dir().join(format!("nvtopo-show-{}.svg", std::process::id()));
    let show = ["show", "--from", "preset:gh200"];
    let drawn = nvtopo(&[&show[..], &["--plot", plot.to_str().unwrap()]].concat());
    assert_eq!(drawn.stdout, nvtopo(&show).stdout, "what is printed is the same");
    let picture = std::fs::read_to_string(&plot).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("\nGPU0\n") && picture.ends_with("</svg>\n"));
    std::fs::remove_file(&plot).unwrap();
    let refused = nvtopo(&[&show[..], &["--plot", "/nowhere/plot.svg"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/nowhere/plot.svg"));
}

#[test]
fn simulate_plays_jobs_and_draws_what_came_out() {
    let folder = std::env::temp_dir().join(format!("nvtopo-simulate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    let dgx1 = ["simulate", "--from", "preset:dgx-1-v100", "--format", "json"];
    let plot = file("plot.svg");
    let random = ["--jobs", "3000", "--load", "0.8", "--sizes", "2:.5,4:.5", "--policy", "first-fit,nvtopo"];
    let played = json(&nvtopo(&[&dgx1[..], &random, &["--plot", &plot]].concat()));
    assert_eq!(played["jobs"], 3000);
    assert_eq!(played["sizes"][1]["gpus"], 4);
    let gb_per_s = |policy: usize| played["policies"][policy]["gb_per_s"].as_f64().unwrap();
    assert!(gb_per_s(1) > gb_per_s(0));
    let picture = std::fs::read_to_string(&plot).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("\nnvtopo\n") && picture.ends_with("</svg>\n"));
    // The same again, to the letter; another seed is another stream.
    let text = |seed: &str| {
        let arguments = ["simulate", "--from", "preset:dgx-1-v100", "--jobs", "3000", "--seed", seed];
        let output = nvtopo(&arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        output.stdout
    };
    assert_eq!(text("1"), text("1"));
    assert_ne!(text("1"), text("2"));
    std::fs::write(file("trace.csv"), "arrival,service,num_gpu\n0,2,2\n1,2,8\n2,1,8\n3,4,0\n").unwrap();
    let traced = json(&nvtopo(&[&dgx1[..], &["--trace", &file("trace.csv")]].concat()));
    assert_eq!((&traced["jobs"], &traced["blocked"], &traced["left_out"]), (&3.into(), &1.into(), &1.into()));
    let scaled = json(&nvtopo(&[&dgx1[..], &["--trace", &file("trace.csv"), "--load", "0.5"]].concat()));
    assert!((scaled["offered_load"].as_f64().unwrap() - 0.5).abs() < 1e-9);
    for wrong in [
        ["--policy", "best"],
        ["--sizes", "9:1"],
        ["--load", "0"],
        ["--jobs", "x"],
        ["--plot", "/nowhere/plot.svg"],
        ["--objective", "best"],
    ] {
        let output = nvtopo(&[&dgx1[..], &["--jobs", "10"], &wrong].concat()[..]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn plan_prints_for_people_programs_and_launchers() {
    let plan = |more: &[&str]| {
        let output = nvtopo(&[&["plan", "--from", "preset:dgx-h100", "--ranks", "2"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let table = plan(&[]);
    assert!(table.contains("GPU1") && table.contains("14-27,126-139") && table.contains("mlx5_"), "{table}");
    assert!(table.contains("by the policy exclusive"), "{table}");
    let shown: serde_json::Value = serde_json::from_str(&plan(&["--format", "json"])).unwrap();
    assert_eq!(shown["ranks"][1]["cpus"], "14-27,126-139");
    assert_eq!((&shown["ranks"][1]["own_cores"], &shown["policy"]), (&14.into(), &"exclusive".into()));
    for (format, expected) in [
        ("taskset", "taskset -c 0-13,112-125\ntaskset -c 14-27,126-139\n"),
        (
            "numactl",
            "numactl --physcpubind=0-13,112-125 --preferred=0\nnumactl --physcpubind=14-27,126-139 --preferred=0\n",
        ),
        (
            "rankfile-ompi4",
            "# mpirun --mca rmaps_rank_file_physical 1 --rankfile FILE\nrank 0=localhost slot=0-13,112-125\n\
             rank 1=localhost slot=14-27,126-139\n",
        ),
        // Siblings are neighbours in the order of the tree.
        (
            "rankfile-ompi5",
            "# mpirun --use-hwthread-cpus --map-by rankfile:file=FILE\nrank 0=localhost slot=0-27\n\
             rank 1=localhost slot=28-55\n",
        ),
        (
            "horovodrun",
            "# horovodrun --mpi --binding-args \"--mca rmaps_rank_file_physical 1 --rankfile FILE\"\n\
             rank 0=localhost slot=0-13,112-125\nrank 1=localhost slot=14-27,126-139\n",
        ),
        (
            "systemd",
            "-p \"CPUAffinity=0-13 112-125\" -p NUMAPolicy=preferred -p NUMAMask=0\n\
             -p \"CPUAffinity=14-27 126-139\" -p NUMAPolicy=preferred -p NUMAMask=0\n",
        ),
        ("docker", "--cpuset-cpus=0-13,112-125\n--cpuset-cpus=14-27,126-139\n"),
        ("podman", "--cpuset-cpus=0-13,112-125\n--cpuset-cpus=14-27,126-139\n"),
    ] {
        assert_eq!(plan(&["--format", format]), expected, "{format}");
    }
    // One thread of each core: 14 bits from 0, and 14 from 14.
    let masks = plan(&["--format", "srun", "--smt", "one"]);
    assert_eq!(masks, "--cpu-bind=mask_cpu:0x3fff,0xfffc000\n");
    let node = plan(&["--format", "taskset", "--policy", "node", "--reserve", "0-1"]);
    assert_eq!(node, "taskset -c 2-55,112-167\n".repeat(2));
    let spared = plan(&["--format", "taskset", "--reserve-nic-cores", "1"]);
    assert!(!spared.contains("-13,"), "{spared}");
    let shares =
        json(&nvtopo(&["cpus", "--from", "preset:dgx-h100", "--policy", "node", "--format", "json"]));
    assert_eq!(shares["per_gpu"][0]["cpus"], "0-55,112-167");
    // Without a number there is one rank for each GPU.
    let all = text(&nvtopo(&["plan", "--from", "preset:dgx-h100", "--format", "taskset"]).stdout);
    assert_eq!(all.lines().count(), 8);
    assert_eq!(nvtopo(&["plan", "--from", "preset:dgx-h100", "--ranks", "0"]).status.code(), Some(2));
}
