//! Every option of every command: it changes something or is refused, and its variable does the same.
#![cfg(target_os = "linux")]

#[path = "options/audit.rs"]
mod audit;
#[path = "options/drill.rs"]
mod drill;
#[path = "options/fleet.rs"]
mod fleet;
#[path = "options/kubernetes.rs"]
mod kubernetes;
mod support;
#[path = "options/validate.rs"]
mod validate;

use audit::{audit_trial, report_trial};
use drill::drill_trial;
use fleet::{baseline_trial, fleet_trial};
use kubernetes::k8s_trial;
use std::path::PathBuf;
use std::process::Output;
use support::{machine, run_after, text};
use validate::{compare_trial, validate_trial};

/// The trial of an option. The command is run with it, without it, and with its variable.
#[derive(Default)]
struct Trial {
    /// Before the command, such as taskset.
    before: Vec<String>,
    /// Behind the subcommand in all runs.
    base: Vec<String>,
    /// The value, for an option that has one.
    value: Option<String>,
    /// At the end of all runs: what exec and run start.
    rest: Vec<String>,
    input: String,
}

/// Links that report other rates than their generation's, and what makes a note.
const REPORTED: &str = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"nvml","nvlink_known":true,"nodes":[
    {"machine":{}},{"gpu":{"parent":0,"index":0}},{"gpu":{"parent":0,"index":1}}],"links":[{"between":[1,2],
    "kind":"nvlink","lanes":1,"rate":{"mb_per_s":25000,"basis":"nominal"},"reported_mb_per_s":26562}],
    "notes":[{"kind":"unknown","text":"something"}]}}"#;

/// Options that have nothing to change in some commands. `--color` and `--quiet` are taken by all, as people type them.
const NOTHING_TO_CHANGE: &[(&str, &str)] = &[
    // These print no colours.
    ("audit", "color"),
    ("baseline", "color"),
    ("drill", "color"),
    ("fleet", "color"),
    ("report", "color"),
    ("validate", "color"),
    ("compare", "color"),
    ("completions", "color"),
    ("convert", "color"),
    ("draw", "color"),
    ("exec", "color"),
    ("run", "color"),
    ("snapshot", "color"),
    // There are no remarks on these.
    ("audit", "quiet"),
    ("baseline", "quiet"),
    ("drill", "quiet"),
    ("fleet", "quiet"),
    ("report", "quiet"),
    ("draw", "quiet"),
    ("presets", "quiet"),
    ("ranks", "quiet"),
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A file with a trace of jobs, of which one asks for nothing.
fn trace() -> String {
    let file = scratch("options-trace.csv");
    std::fs::write(&file, "arrival,service,num_gpu\n0,2,2\n1,2,8\n2,1,3\n2,1,2\n3,4,0\n").unwrap();
    file
}

/// This machine with two GPUs added, as JSON that is taken for live, and a command that narrows the CPUs to one of several.
fn live_with_gpus() -> Option<(String, Vec<String>)> {
    let shown = support::json(&support::nvtopo(&["show", "--format", "json"]));
    let mut document = shown;
    let nodes = document["topology"]["nodes"].as_array_mut()?;
    let parent = nodes.iter().position(|node| node.get("numa_node").is_some())?;
    for index in 0..2 {
        nodes.push(serde_json::json!({ "gpu": { "parent": parent, "index": index } }));
    }
    let cpus = nvtopo::apply::current_cpus().ok()?;
    let first = cpus.iter().next().filter(|_| cpus.len() > 1)?;
    let document = serde_json::json!({
        "format": document["format"], "version": document["version"], "topology": document["topology"],
    });
    Some((document.to_string(), vec!["taskset".to_owned(), "-c".to_owned(), first.to_string()]))
}

/// The trial of an option of a command; `None` where there is none yet.
#[allow(clippy::too_many_lines, reason = "a table of all options")]
fn trial(command: &str, option: &str) -> Option<Trial> {
    if let Some(command) = command.strip_prefix("k8s ") {
        return k8s_trial(command, option);
    }
    match command {
        "audit" => return audit_trial(option),
        "report" => return report_trial(option),
        "baseline" => return baseline_trial(option),
        "drill" => return drill_trial(option),
        "fleet" => return fleet_trial(option),
        "validate" => return validate_trial(option),
        "compare" => return compare_trial(option),
        _ => {}
    }
    let mut trial = Trial::default();
    let value = |text: &str| Some(text.to_owned());
    let binds = matches!(command, "exec" | "run");
    match command {
        "exec" | "run" => {
            trial.input = machine().0;
            trial.base = words("--from - --trust-topology --dry-run");
            trial.rest = words("true");
            if command == "run" {
                trial.base.extend(words("--nproc-per-node 2"));
            }
        }
        "place" => trial.base = words("--from preset:dgx-1-v100 --gpus 2"),
        "ranks" => trial.base = words("--from preset:dgx-1-v100 --tp 2 --dp 2 --traffic tp=9GB,dp=1GB"),
        "cpus" => trial.base = words("--from preset:dgx-h100"),
        "plan" => trial.base = words("--from preset:dgx-h100 --ranks 2"),
        "simulate" => trial.base = words("--from preset:dgx-1-v100 --jobs 60"),
        "snapshot" => trial.base = words("-o -"),
        "convert" => trial.base = words("--from preset:dgx-1-v100 --to json"),
        "diff" => trial.base = words("preset:dgx-1-v100 preset:dgx-2"),
        "draw" => trial.base = words("--from preset:dgx-1-v100 -o - --gpus 2"),
        "" | "show" => trial.base = words("--from preset:dgx-1-v100"),
        _ => {}
    }
    let without = |base: &mut Vec<String>, option: &str, words: usize| {
        if let Some(at) = base.iter().position(|word| word == option) {
            base.drain(at..at + words);
        }
    };
    match option {
        "from" if command == "snapshot" => trial.value = value("/nowhere"),
        "from" if binds => {
            // A preset cannot be trusted either.
            trial.base = words("--dry-run --nproc-per-node 2");
            if command == "exec" {
                trial.base.truncate(1);
            }
            trial.value = value("preset:gh200");
        }
        "from" => {
            without(&mut trial.base, "--from", 2);
            trial.value = value("preset:gh200");
        }
        "reported" => {
            without(&mut trial.base, "--from", 2);
            trial.base.extend(words("--from -"));
            trial.input = if binds { machine().0 } else { REPORTED.to_owned() };
            if command == "ranks" {
                trial.base = words("--from - --tp 2 --traffic tp=9GB");
            }
        }
        "format" if command == "plan" => trial.value = value("taskset"),
        "format" if command == "place" => trial.value = value("ids"),
        "format" => trial.value = value("json"),
        "install" => trial.value = Some(scratch("installed")),
        "free" | "structure" => {}
        "json" | "explain" | "redact" | "report" | "label" | "dry-run" | "trust-topology" => {
            match option {
                "report" | "label" | "dry-run" => {
                    without(&mut trial.base, "--dry-run", 1);
                    // The lines of several ranks come in any order.
                    if command == "run" {
                        without(&mut trial.base, "--nproc-per-node", 2);
                        trial.base.extend(words("--nproc-per-node 1"));
                    }
                }
                "trust-topology" => without(&mut trial.base, "--trust-topology", 1),
                _ => {}
            }
            if option != "trust-topology" && binds {
                trial.rest = words("echo done");
            }
        }
        "quiet" => match command {
            "" | "show" | "place" => {
                without(&mut trial.base, "--from", 2);
                trial.base.extend(words("--from -"));
                trial.input = machine().0;
            }
            // Only one of the two machines has addresses.
            "diff" => {
                trial.base = words("preset:dgx-1-v100 -");
                trial.input = machine().0;
            }
            "convert" => {
                trial.base = words("--from - --to json");
                trial.input = machine().0;
            }
            "cpus" | "plan" => {
                trial.base = words("--from -");
                trial.input = machine().0;
            }
            "simulate" => trial.base = [words("--from preset:dgx-1-v100 --trace"), vec![trace()]].concat(),
            "completions" => trial.base = vec!["--install".to_owned(), scratch("installed")],
            _ => {}
        },
        "color" => trial.value = value("always"),
        "plot" => trial.value = value("-"),
        "to" => {
            without(&mut trial.base, "--to", 2);
            trial.value = value("json");
        }
        "node" if command == "convert" => {
            trial.base = words("--from preset:dgx-1-v100 --to slurm.conf");
            trial.value = value("n1");
        }
        "devices" => {
            trial.base = words("--from preset:dgx-a100 --to nccl-xml");
            trial.value = value("GPU0,mlx5_0");
        }
        "as" => trial.value = value("html"),
        "theme" => trial.value = value("dark"),
        "scale" => {
            trial.base.extend(words("--as png"));
            trial.value = value("1");
        }
        "output" if command == "draw" => {
            without(&mut trial.base, "-o", 2);
            trial.base.extend(words("--as svg"));
            trial.value = Some(scratch("drawn"));
        }
        "output" if command == "convert" => trial.value = Some(scratch("converted")),
        "output" => {
            trial.base = words("--redact");
            trial.value = value("-");
        }
        "gpus" => {
            without(&mut trial.base, "--gpus", 2);
            trial.value = value("1");
        }
        "mig" => {
            trial.base = words("--from preset:dgx-1-v100");
            trial.value = value("3g.40gb");
        }
        "only" | "include" => trial.value = value(if binds { "1" } else { "4-7" }),
        "exclude" => trial.value = value("gpu0"),
        "objective" => {
            if command == "ranks" {
                trial.base = words("--from preset:dgx-1-v100 --only 0,1,4 --tp 2 --traffic tp=9GB");
            }
            trial.value = value(if command == "simulate" { "remainder" } else { "numa-span" });
        }
        "require" => trial.value = value("at-least:1000"),
        "prefer" => trial.value = value("numa-node"),
        "free-memory" => trial.value = value("20GiB"),
        "allowed-sets" => {
            let table = scratch("allowed-sets");
            std::fs::write(&table, if binds { "1\n" } else { "7\n6,7\n4-6\n4-7\n" }).unwrap();
            trial.value = Some(table);
        }
        "mix" => {
            if command == "ranks" {
                trial.base = words("--from preset:dgx-1-v100 --exclude 0 --tp 2 --traffic tp=9GB");
            }
            trial.value = value("1:1");
        }
        "cpus-per-gpu" => trial.value = value(if command == "place" { "3" } else { "1000" }),
        "memory-per-gpu" => trial.value = value("1T"),
        "hugepages-per-gpu" if command == "draw" => trial.value = value("2M"),
        "hugepages-per-gpu" => trial.value = value("2M:16"),
        "gpus-per-nic" if command == "place" => {
            trial.base.extend(words("--only 0,1"));
            trial.value = value("1");
        }
        "gpus-per-nic" => trial.value = value("0"),
        "policy" if command == "simulate" => trial.value = value("first-fit"),
        "policy" => {
            trial.value = value("node");
            if binds {
                trial.input = live_with_gpus()?.0;
                trial.before = words("env LOCAL_RANK=0 LOCAL_WORLD_SIZE=2");
            }
        }
        "tolerance" if command == "place" => {
            let measured = data_file("solver/dgx-2-measured-p2p.txt");
            trial.base = words("--from preset:dgx-2 --gpus 2 --from");
            trial.base.push(measured);
            trial.value = value("0%");
        }
        "tolerance" => trial.value = value("all"),
        "smt" => {
            trial.value = value("one");
            if binds {
                // Machines without hardware threads have nothing to leave idle.
                trial.value = value("two");
            }
        }
        // The machines of this test have no isolated CPUs, and all their cores are alike.
        "isolated" => trial.value = value("sometimes"),
        "cores" if binds || command == "draw" => trial.value = value("slow"),
        "cores" => trial.value = value("fast"),
        "scope" => {
            let (document, before) = live_with_gpus()?;
            (trial.input, trial.before) = (document, before);
            without(&mut trial.base, "--from", 2);
            trial.base.extend(words("--from -"));
            trial.value = value("cpuset");
        }
        "reserve" => {
            let first = nvtopo::apply::current_cpus().unwrap().iter().next().unwrap();
            trial.value = value(&if binds { first.to_string() } else { "0-1".to_owned() });
        }
        // One of the two GPUs that a process without a rank sees; more than two ranks of a job can have.
        "gpus-per-rank" => trial.value = value(if command == "exec" { "1" } else { "2" }),
        "distribution" if command == "plan" => {
            trial.base.extend(words("--gpus-per-rank 2"));
            trial.value = value("cyclic");
        }
        "distribution" => trial.value = value("sideways"),
        "cores-per-rank" => trial.value = value(if binds { "1000" } else { "2" }),
        "reserve-nic-cores" if binds => trial.value = value("many"),
        "reserve-nic-cores" => trial.value = value("1"),
        "memory" if command == "plan" => {
            trial.base.extend(words("--format docker"));
            trial.value = value("bind");
        }
        "memory" => trial.value = value("bind"),
        "export" => trial.value = value("gpus"),
        "require-binding" => {
            trial.input = String::from(
                r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,"nodes":[{"machine":{}}]}}"#,
            );
        }
        "local-rank" | "ranks" | "nproc-per-node" => {
            without(&mut trial.base, "--ranks", 2);
            without(&mut trial.base, "--nproc-per-node", 2);
            trial.value = value("1");
        }
        "grace" => {
            without(&mut trial.base, "--dry-run", 1);
            trial.value = value("1");
            trial.base.extend(words("--gpus 1"));
            trial.rest =
                ["sh", "-c", "trap '' TERM; [ $RANK = 0 ] && sleep 0.4 && exit 3; sleep 12 & wait; wait"]
                    .map(str::to_owned)
                    .to_vec();
        }
        "tp" | "cp" | "ep" | "dp" | "pp" => {
            without(&mut trial.base, &format!("--{option}"), 2);
            trial.value = value("4");
        }
        "order" => trial.value = value("data,model"),
        "model" => {
            trial.base = words("--from preset:dgx-1-v100 --tp 2 --dp 2");
            trial.value = value("layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B");
        }
        "traffic" => {
            without(&mut trial.base, "--traffic", 2);
            trial.value = value("tp=9GB,dp=2GB");
        }
        "load" => trial.value = value("0.5"),
        "jobs" => trial.value = value("30"),
        "sizes" => trial.value = value("2:1"),
        "seed" => trial.value = value("2"),
        "trace" => {
            without(&mut trial.base, "--jobs", 2);
            trial.value = Some(trace());
        }
        _ => return None,
    }
    if option == "jobs" {
        without(&mut trial.base, "--jobs", 2);
    }
    Some(trial)
}

fn data_file(name: &str) -> String {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "tests", "data", name].iter().collect();
    file.display().to_string()
}

fn scratch(name: &str) -> String {
    let file: PathBuf = [env!("CARGO_TARGET_TMPDIR"), name].iter().collect();
    file.display().to_string()
}

/// The commands below one, by their words.
fn leaves<'a>(path: &str, command: &'a clap::Command) -> Vec<(String, &'a clap::Command)> {
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    let mut all: Vec<_> =
        below.flat_map(|below| leaves(format!("{path} {}", below.get_name()).trim(), below)).collect();
    // Claims are printed, and below checked.
    if all.is_empty() || path.is_empty() || path == "k8s claims" {
        all.push((path.to_owned(), command));
    }
    all
}

#[test]
fn every_option_changes_something_or_is_refused_and_can_be_a_variable() {
    let mut wrong = Vec::new();
    let command = nvtopo_cli::command();
    let mut tried = 0;
    for (name, command) in leaves("", &command) {
        let name = name.as_str();
        for arg in command.get_arguments() {
            let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let variable = variable.to_str().unwrap().to_owned();
            assert_eq!(variable, format!("NVTOPO_{}", long.replace('-', "_").to_uppercase()));
            let plain = name.starts_with("k8s ") && matches!(long, "color" | "quiet");
            if plain || NOTHING_TO_CHANGE.contains(&(name, long)) {
                continue;
            }
            match trial(name, long) {
                Some(trial) => {
                    tried += 1;
                    wrong.extend(try_it(name, long, &variable, &trial));
                }
                // One CPU cannot be narrowed.
                None if matches!(long, "scope" | "policy") => {}
                None => wrong.push(format!("{name} --{long}: say in this file how to try it")),
            }
        }
    }
    assert!(tried > 100, "{tried} options were tried");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn try_it(command: &str, long: &str, variable: &str, trial: &Trial) -> Option<String> {
    let run = |option: &[String], variables: &[(&str, &str)]| {
        let subcommand = words(command);
        let arguments = [&subcommand, &trial.base, option, &trial.rest].into_iter().flatten();
        let arguments: Vec<&str> = arguments.map(String::as_str).collect();
        let before: Vec<&str> = trial.before.iter().map(String::as_str).collect();
        let place = [("MASTER_ADDR", "here"), ("MASTER_PORT", "1"), ("OMP_NUM_THREADS", "1")];
        seen(command, &run_after(&before, &arguments, &trial.input, &[&place[..], variables].concat()))
    };
    let option: Vec<String> = [format!("--{long}")].into_iter().chain(trial.value.clone()).collect();
    let (without, with) = (run(&[], &[]), run(&option, &[]));
    let by_variable = run(&[], &[(variable, trial.value.as_deref().unwrap_or("1"))]);
    if without == with {
        return Some(format!("{command} --{long} changes nothing: {with:?}"));
    }
    // A refusal names the option as it was given.
    let told = |text: &str| text.replace(variable, &format!("--{long}"));
    let refused = |(code, _, said): &(Option<i32>, Vec<u8>, String)| *code == Some(2) && !said.is_empty();
    let same = with == by_variable
        || refused(&with) && refused(&by_variable) && {
            let start = |said: &str| told(said).split(" (").next().unwrap_or_default().to_owned();
            start(&with.2) == start(&by_variable.2)
        };
    (!same).then(|| format!("{command} --{long} and {variable} differ: {with:?} and {by_variable:?}"))
}

/// The exit code, and what was printed.
fn seen(command: &str, output: &Output) -> (Option<i32>, Vec<u8>, String) {
    // A snapshot of the running machine is another each time.
    let stdout =
        if command == "snapshot" { vec![u8::from(!output.stdout.is_empty())] } else { output.stdout.clone() };
    (output.status.code(), stdout, text(&output.stderr))
}

#[test]
fn what_a_process_without_choice_cannot_use_is_refused_and_named() {
    let (matrix, cpus) = machine();
    let base = ["exec", "--from", "-", "--trust-topology", "--dry-run"];
    let dry = |options: &[&str], variables: &[(&str, &str)]| {
        run_after(&[], &[&base[..], options, &["--", "true"]].concat(), &matrix, variables)
    };
    // The visible GPUs are selected from, and the command is told.
    let narrowed = text(&dry(&["--exclude", "0"], &[]).stdout);
    assert!(narrowed.contains(&format!("cpus: {}\n", cpus[1])), "{narrowed}");
    assert!(narrowed.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID\nCUDA_VISIBLE_DEVICES=1\n"), "{narrowed}");
    let both = text(
        &dry(&[], &[("NVTOPO_ONLY", "GPU0-gpu1"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")]).stdout,
    );
    assert!(both.contains(&format!("cpus: {}\n", cpus[1])) && both.contains("DEVICES=0,1\n"), "{both}");
    for (options, variables, said) in [
        (&["--include", "1"][..], &[][..], "--include is of no use without --gpus"),
        (&[], &[("NVTOPO_CPUS_PER_GPU", "1")], "NVTOPO_CPUS_PER_GPU is of no use without --gpus"),
        (
            &["--gpus", "1", "--policy", "node", "--cpus-per-gpu", "1"],
            &[],
            "--policy is of no use beside --cpus-per-gpu",
        ),
        (&[], &[("NVTOPO_CPUS_PER_GPU", "many")], "NVTOPO_CPUS_PER_GPU"),
        (&["--only", "1"], &[("CUDA_VISIBLE_DEVICES", "0")], "GPU1 is not visible"),
        (&["--only", "9"], &[], "there is no GPU9"),
    ] {
        let refused = dry(options, variables);
        assert_eq!(refused.status.code(), Some(2), "{options:?} {variables:?}");
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }
    assert_eq!(dry(&["--exclude", "0-1"], &[]).status.code(), Some(1));
}

#[test]
fn json_has_a_short_word_and_the_command_line_counts_first() {
    let show = |options: &[&str], variables: &[(&str, &str)]| {
        let base = ["show", "--from", "preset:gh200"];
        run_after(&[], &[&base[..], options].concat(), "", variables)
    };
    let json = show(&["--format", "json"], &[]).stdout;
    let plain = show(&[], &[]).stdout;
    assert_eq!(show(&["--json"], &[]).stdout, json);
    assert_eq!(show(&["--json"], &[("NVTOPO_FORMAT", "text")]).stdout, json);
    assert_eq!(show(&["--format", "text"], &[("NVTOPO_JSON", "1")]).stdout, plain);
    assert_eq!(show(&[], &[("NVTOPO_JSON", "0")]).stdout, plain);
    assert_eq!(show(&["--json", "--format", "text"], &[]).status.code(), Some(2));
}

#[test]
fn switches_take_words_and_refuse_others() {
    let dry = |value: &str| {
        let base = ["exec", "--from", "preset:gh200", "--trust-topology", "--export", "gpus", "--", "false"];
        run_after(&[], &base, "", &[("NVTOPO_DRY_RUN", value)]).status.code()
    };
    for yes in ["1", "true", "Yes", "on"] {
        assert_eq!(dry(yes), Some(0), "{yes}");
    }
    for refused in ["maybe", "2", "y"] {
        assert_eq!(dry(refused), Some(2), "{refused}");
    }
    let show = |value: &str| {
        run_after(&[], &["show", "--from", "preset:gh200"], "", &[("NVTOPO_JSON", value)]).stdout
    };
    let plain = support::nvtopo(&["show", "--from", "preset:gh200"]).stdout;
    for no in ["", "0", "false", "no", "OFF"] {
        assert_eq!(show(no), plain, "{no}");
    }
    let maybe = run_after(&[], &["exec", "--", "true"], "", &[("NVTOPO_REQUIRE_BINDING", "maybe")]);
    assert!(text(&maybe.stderr).contains("set by the variable NVTOPO_REQUIRE_BINDING"), "{maybe:?}");
}

#[test]
fn a_variable_for_another_command_is_named_where_it_is_refused() {
    let dgx = "preset:dgx-1-v100";
    for (arguments, variable, value, known) in [
        (&["simulate", "--from", dgx, "--jobs", "20"][..], "NVTOPO_POLICY", "node", "first-fit"),
        (&["exec", "--dry-run", "--", "true"], "NVTOPO_POLICY", "first-fit", "core-complex"),
        (&["plan", "--from", dgx], "NVTOPO_MEMORY", "bind", "launcher's format"),
        (&["exec", "--dry-run", "--", "true"], "NVTOPO_MEMORY", "hard", "interleave, none"),
        (&["show", "--from", dgx], "NVTOPO_FORMAT", "srun", "text, json"),
        (&["--from", dgx], "NVTOPO_FORMAT", "srun", "text, json"),
        (&["plan", "--from", dgx], "NVTOPO_FORMAT", "uuids", "rankfile-ompi5"),
        (&["place", "--gpus", "2", "--from", dgx], "NVTOPO_FORMAT", "srun", "uuids"),
    ] {
        let refused = run_after(&[], arguments, "", &[(variable, value)]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains(&format!("is set by the variable {variable}")) && said.contains(known),
            "{said}"
        );
    }
}

#[test]
fn what_the_machine_cannot_give_is_no_wrong_usage() {
    let machine = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,"nodes":[{"machine":{}}]}}"#;
    for options in [
        &["place", "--mig", "1g"][..],
        &["place", "--gpus", "1", "--format", "uuids"],
        &["plan", "--format", "srun"],
        &["plan", "--format", "docker"],
    ] {
        let output = run_after(&[], &[options, &["--from", "-"]].concat(), machine, &[]);
        assert_eq!(output.status.code(), Some(1), "{options:?}: {}", text(&output.stderr));
    }
}
