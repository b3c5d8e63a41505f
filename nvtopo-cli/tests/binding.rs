//! `nvtopo exec`: a child that is really bound, and what is said of it.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use support::{machine, nvtopo, run, text};

fn exec(more: &[&str], environment: &[(&str, &str)]) -> Output {
    let (matrix, _) = machine();
    let shell = "grep Cpus_allowed_list /proc/self/status; echo visible=$CUDA_VISIBLE_DEVICES";
    let arguments = [&["exec", "--from", "-"], more, &["--", "sh", "-c", shell]].concat();
    run(&arguments, &matrix, environment)
}

#[test]
fn exec_binds_the_child_to_the_cpus_of_its_rank() {
    let (_, cpus) = machine();
    for (rank, cpu) in cpus.iter().enumerate() {
        let environment = [("LOCAL_RANK", rank.to_string()), ("LOCAL_WORLD_SIZE", "2".to_owned())];
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = exec(&["--trust-topology"], &environment);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let expected = format!("Cpus_allowed_list:\t{cpu}\nvisible=\n");
        assert_eq!(text(&output.stdout), expected);
    }
}

#[test]
fn exec_follows_the_visible_devices() {
    let (_, cpus) = machine();
    let output = exec(&["--trust-topology"], &[("CUDA_VISIBLE_DEVICES", "1"), ("LOCAL_RANK", "0")]);
    assert_eq!(text(&output.stdout), format!("Cpus_allowed_list:\t{}\nvisible=1\n", cpus[1]));
}

#[test]
fn a_variable_that_is_no_text_names_unknown_devices() {
    use std::os::unix::ffi::OsStrExt;
    let output = Command::new(env!("CARGO_BIN_EXE_nvtopo"))
        .args(["exec", "--from", "preset:dgx-h100", "--trust-topology", "--dry-run", "true"])
        .env("CUDA_VISIBLE_DEVICES", std::ffi::OsStr::from_bytes(b"0,\xff"))
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("CUDA_VISIBLE_DEVICES is not valid UTF-8"), "{said}");
    assert!(text(&output.stdout).contains("cpus: as before"), "{}", text(&output.stdout));
}

#[test]
fn exec_says_what_it_could_not_tell_of_the_visible_devices() {
    let (_, cpus) = machine();
    let said = |variables: &[(&str, &str)]| text(&exec(&["--trust-topology"], variables).stderr);
    assert!(said(&[("CUDA_VISIBLE_DEVICES", "1")]).contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"));
    let sure = [("CUDA_VISIBLE_DEVICES", "1"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")];
    assert!(!said(&sure).contains("CUDA_DEVICE_ORDER"), "{}", said(&sure));
    let unknown = exec(&["--trust-topology"], &[("CUDA_VISIBLE_DEVICES", "GPU-5c3ee4a8")]);
    assert!(text(&unknown.stderr).contains("lacks UUIDs"), "{}", text(&unknown.stderr));
    assert_eq!(unknown.status.code(), Some(0));
    assert!(!text(&unknown.stdout).contains(&format!("list:\t{}\n", cpus[1])) || cpus[0] == cpus[1]);
    // Nothing is chosen from what nobody can tell.
    let chosen = exec(&["--trust-topology", "--gpus", "1"], &[("CUDA_VISIBLE_DEVICES", "GPU-5c3ee4a8")]);
    assert_eq!(chosen.status.code(), Some(2));
    assert!(text(&chosen.stderr).contains("which GPUs are visible is unknown"), "{}", text(&chosen.stderr));
    let twice = exec(&["--trust-topology", "--gpus", "1"], &[("CUDA_VISIBLE_DEVICES", "0,0")]);
    assert_eq!(twice.status.code(), Some(1), "{}", text(&twice.stderr));
}

#[test]
fn exec_with_gpus_chooses_and_shows_only_these() {
    let (_, cpus) = machine();
    let output = exec(&["--trust-topology", "--gpus", "1", "--exclude", "0"], &[]);
    assert_eq!(text(&output.stdout), format!("Cpus_allowed_list:\t{}\nvisible=1\n", cpus[1]));
}

#[test]
fn exec_with_gpus_gives_each_rank_its_own_of_them() {
    let (_, cpus) = machine();
    let gpus = |count: &str, rank: &str, ranks: &str| {
        let launched = [("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", ranks)];
        let output = exec(&["--trust-topology", "--gpus", count], &launched);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    for (rank, cpu) in ["0", "1"].into_iter().zip(cpus) {
        let (done, said) = gpus("2", rank, "2");
        assert_eq!(done, format!("Cpus_allowed_list:\t{cpu}\nvisible=0,1\n"));
        assert!(!said.contains("share"), "{said}");
        // All ranks choose the same one.
        let (done, said) = gpus("1", rank, "2");
        assert_eq!(done, format!("Cpus_allowed_list:\t{}\nvisible=0\n", cpus[0]));
        assert_eq!(said.contains("more local ranks than the 1 GPU that they use"), rank == "0", "{said}");
    }
    let (_, said) = gpus("2", "0", "3");
    assert!(said.contains("more local ranks than the 2 GPUs that they use"), "{said}");
}

#[test]
fn ranks_that_were_bound_narrowly_choose_the_same_gpus() {
    let (matrix, cpus) = machine();
    let file = std::env::temp_dir().join(format!("nvtopo-narrow-{}", std::process::id()));
    std::fs::write(&file, &matrix).unwrap();
    // The outer one stands for a launcher that binds each rank to one CPU.
    let nested = |rank: &str, needs: &str| {
        let inner = format!(
            "{} exec --from {} --trust-topology --gpus {needs} --dry-run -- true",
            env!("CARGO_BIN_EXE_nvtopo"),
            file.display()
        );
        let outer = ["exec", "--from", "-", "--trust-topology", "--", "sh", "-c", &inner];
        run(&outer, &matrix, &[("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", "2")])
    };
    for (rank, cpu) in ["0", "1"].into_iter().zip(cpus) {
        let own = nested(rank, "2 --cpus-per-gpu 1");
        assert_eq!(own.status.code(), Some(0), "{}", text(&own.stderr));
        let said = text(&own.stdout);
        assert!(said.starts_with(&format!("cpus: {cpu}\n")), "{said}");
        assert!(said.contains("CUDA_VISIBLE_DEVICES=0,1\n"), "{said}");
    }
    // There is one GPU for two ranks, and its CPU is its own.
    let beyond = nested("1", "1 --cpus-per-gpu 1");
    assert_eq!(beyond.status.code(), Some(2), "{}", text(&beyond.stdout));
    assert!(text(&beyond.stderr).contains("none for local rank 1"), "{}", text(&beyond.stderr));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn exec_refuses_what_is_not_this_machine() {
    let unknown = exec(&[], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("--trust-topology"), "{}", text(&unknown.stderr));
    let own = text(&nvtopo(&["show", "--format", "json"]).stdout);
    let accepted = run(&["exec", "--from", "-", "--", "true"], &own, &[]);
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));
    let mut other: serde_json::Value = serde_json::from_str(&own).unwrap();
    for digest in ["machine", "boot"] {
        other["topology"]["origin"]["machine"][digest] = "0123456789abcdef".into();
    }
    let refused = run(&["exec", "--trust-topology", "--from", "-", "--", "true"], &other.to_string(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("another machine"), "{}", text(&refused.stderr));
}

#[test]
fn exec_becomes_the_command_in_the_same_process() {
    let matrix = machine().0;
    let mut child = Command::new(env!("CARGO_BIN_EXE_nvtopo"))
        .args(["exec", "--trust-topology", "--from", "-", "--", "sh", "-c", "echo $$; exit 7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(matrix.as_bytes()).unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout).trim(), id.to_string());
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn exec_says_what_it_would_do_and_what_it_did() {
    let (matrix, cpus) = machine();
    let ranks = [("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")];
    let before = ["exec", "--from", "-", "--trust-topology"];
    let dry = run(&[&before[..], &["--dry-run", "--", "false"]].concat(), &matrix, &ranks);
    assert_eq!(dry.status.code(), Some(0), "{}", text(&dry.stderr));
    let said = text(&dry.stdout);
    assert!(
        said.starts_with(&format!("cpus: {}\n", cpus[1])) && said.ends_with("command: false\n"),
        "{said}"
    );
    assert!(said.contains("OMP_NUM_THREADS=1") || cpus[0] == cpus[1], "{said}");
    let told = run(&[&before[..], &["--report", "--", "true"]].concat(), &matrix, &ranks);
    let line = format!("nvtopo: rank 1 of 2 beside GPU1 on CPUs {} (before ", cpus[1]);
    assert!(text(&told.stderr).contains(&line), "{}", text(&told.stderr));
    // What undoes a binding is warned of, and nothing is set or unset.
    let warned = |rank: &str| {
        let undone = [("LOCAL_RANK", rank), ("LOCAL_WORLD_SIZE", "2"), ("OMP_PROC_BIND", "close")];
        let output =
            run(&[&before[..], &["--", "sh", "-c", "echo $OMP_PROC_BIND"]].concat(), &matrix, &undone);
        assert_eq!(text(&output.stdout), "close\n");
        text(&output.stderr)
    };
    assert!(warned("0").contains("OMP_PROC_BIND=close undoes"), "{}", warned("0"));
    // What holds for all ranks is said once.
    assert_eq!(warned("1"), "");
}

#[test]
fn mistake_12_options_are_dropped_in_silence() {
    // Each option can be a variable, and has the same effect.
    let (matrix, cpus) = machine();
    let second = cpus[1].to_string();
    let dry = |options: &[&str], variables: &[(&str, &str)]| {
        let arguments =
            [&["exec", "--from", "-", "--trust-topology", "--dry-run"], options, &["--", "true"]].concat();
        let output = run(&arguments, &matrix, variables);
        assert_eq!(output.status.code(), Some(0), "{options:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let ranks = [("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2")];
    for (option, value, variable) in [
        ("--policy", "machine", "NVTOPO_POLICY"),
        ("--smt", "one", "NVTOPO_SMT"),
        ("--memory", "none", "NVTOPO_MEMORY"),
        ("--scope", "cpuset", "NVTOPO_SCOPE"),
        ("--export", "gpus", "NVTOPO_EXPORT"),
        ("--reserve", second.as_str(), "NVTOPO_RESERVE"),
        ("--gpus", "1", "NVTOPO_GPUS"),
        ("--only", "1", "NVTOPO_ONLY"),
        ("--local-rank", "1", "NVTOPO_LOCAL_RANK"),
    ] {
        let both = [&ranks[..], &[(variable, value)]].concat();
        assert_eq!(dry(&[option, value], &ranks), dry(&[], &both), "{option}");
    }
    assert!(dry(&["--export", "gpus"], &ranks).contains("CUDA_VISIBLE_DEVICES=0,1"));
    assert!(dry(&[], &[("NVTOPO_GPUS", "1"), ("NVTOPO_EXCLUDE", "0")]).contains("CUDA_VISIBLE_DEVICES=1\n"));
    // What is asked for beside each GPU is what the process gets; here one CPU is near to each.
    let one = |options: &[&str], variables: &[(&str, &str)]| {
        let said = dry(&[&["--gpus", "1", "--include", "1"], options].concat(), variables);
        assert!(said.starts_with(&format!("cpus: {second}\n")), "{said}");
    };
    one(&["--cpus-per-gpu", "1"], &[]);
    one(&[], &[("NVTOPO_CPUS_PER_GPU", "1")]);
    // How the GPUs that were chosen with it are given to ranks.
    let given = dry(&["--gpus", "2", "--cpus-per-gpu", "1", "--gpus-per-rank", "2"], &[]);
    assert!(given.starts_with(&format!("cpus: {},{second}\n", cpus[0])) || cpus[0] + 1 == cpus[1], "{given}");
    let second_of_two = [("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")];
    let given = dry(&["--gpus", "2", "--cpus-per-gpu", "1", "--gpus-per-rank", "1"], &second_of_two);
    assert!(given.starts_with(&format!("cpus: {second}\n")), "{given}");
    let two = ["exec", "--from", "-", "--trust-topology", "--dry-run", "--gpus", "1", "--", "true"];
    let refused = run(&two, &matrix, &[("NVTOPO_CPUS_PER_GPU", "2")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("1 CPU is left near GPU0"), "{}", text(&refused.stderr));
    let wrong = run(&["exec", "--policy", "best", "--", "true"], "", &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("core-complex"), "{}", text(&wrong.stderr));
}

#[test]
fn deepspeed_s_local_rank_is_taken_before_and_after_the_subcommand() {
    let (matrix, cpus) = machine();
    let rest = ["--from", "-", "--trust-topology", "--dry-run", "--", "true"];
    // Deepspeed sets the variables too, and they say how many ranks there are.
    let variables = [("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")];
    for start in
        [&["--local_rank=1", "exec"][..], &["exec", "--local_rank=1"], &["exec", "--local-rank", "1"]]
    {
        let output = run(&[start, &rest].concat(), &matrix, &variables);
        assert_eq!(output.status.code(), Some(0), "{start:?}: {}", text(&output.stderr));
        assert!(
            text(&output.stdout).starts_with(&format!("cpus: {}\n", cpus[1])),
            "{}",
            text(&output.stdout)
        );
    }
    assert_eq!(nvtopo(&["--local_rank=1", "show"]).status.code(), Some(2));
}

#[test]
fn a_machine_without_gpus_says_so_and_fails_where_a_binding_is_required() {
    let machine = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,"nodes":[{"machine":{}}],
        "notes":[{"kind":"driver","text":"the NVIDIA driver is not loaded"}]}}"#;
    let shown = run(&["show", "--from", "-"], machine, &[]);
    let last = text(&shown.stdout).lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("No GPU was found") && last.contains("preset:"), "{last}");
    for (command, options) in [("exec", &["--dry-run"][..]), ("run", &["--dry-run", "--nproc-per-node", "2"])]
    {
        let start = [&[command, "--from", "-", "--trust-topology"], options].concat();
        let loose = run(&[&start[..], &["--", "true"]].concat(), machine, &[]);
        assert_eq!(loose.status.code(), Some(0));
        assert!(text(&loose.stderr).contains("the NVIDIA driver is not loaded"), "{}", text(&loose.stderr));
        let strict = run(&[&start[..], &["--require-binding", "--", "true"]].concat(), machine, &[]);
        assert_eq!(strict.status.code(), Some(1));
        let why = text(&strict.stderr);
        assert!(
            why.contains("nothing to bind to") && why.contains("the NVIDIA driver is not loaded"),
            "{why}"
        );
    }
}

/// This machine with two GPUs of one model added, as JSON; `None` where the machine has no identity, or has GPUs.
fn with_two_gpus() -> Option<String> {
    let document = support::json(&nvtopo(&["show", "--format", "json"]));
    let mut topology = document["topology"].clone();
    topology["origin"].get("machine")?;
    let nodes = topology["nodes"].as_array_mut()?;
    if nodes.iter().any(|node| node.get("gpu").is_some()) {
        return None;
    }
    for index in 0..2 {
        nodes.push(serde_json::json!({ "gpu": { "parent": 0, "index": index, "model": "NVIDIA A100" } }));
    }
    let (format, version) = (&document["format"], &document["version"]);
    Some(serde_json::json!({ "format": format, "version": version, "topology": topology }).to_string())
}

#[test]
fn placing_on_this_machine_obeys_what_the_process_sees() {
    let Some(machine) = with_two_gpus() else { return };
    let place = |options: &[&str], variables: &[(&str, &str)]| {
        let output = run(&[&["place", "--from", "-", "--gpus", "1"], options].concat(), &machine, variables);
        text(&output.stdout) + &text(&output.stderr)
    };
    let order = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    let second = place(&[], &[("CUDA_VISIBLE_DEVICES", "1"), order]);
    assert!(second.contains("GPU1") && second.contains("CUDA_VISIBLE_DEVICES hides GPU0"), "{second}");
    let none = place(&[], &[("CUDA_VISIBLE_DEVICES", "")]);
    assert!(
        none.contains("only 0 of 2 are left to choose from; CUDA_VISIBLE_DEVICES hides GPU0-1"),
        "{none}"
    );
    let named = place(&["--only", "0"], &[("CUDA_VISIBLE_DEVICES", "1"), order]);
    assert!(named.contains("GPU0") && !named.contains("hides"), "{named}");
    // Another machine's GPUs are not those that the variable names.
    let preset = ["place", "--from", "preset:dgx-h100", "--gpus", "8"];
    let preset = run(&preset, "", &[("CUDA_VISIBLE_DEVICES", "1")]);
    assert_eq!(preset.status.code(), Some(0), "{}", text(&preset.stderr));
}
