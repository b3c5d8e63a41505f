//! Output to a terminal or a file: no control characters, and no loss without a message.
#![cfg(target_os = "linux")]

mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{machine, nvtopo, run, text};

fn scratch(name: &str) -> PathBuf {
    let folder: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &format!("terminal-{name}")].iter().collect();
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// True where a terminal would do something else than show the text.
fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn is_plain(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let shown = String::from_utf8(stream.clone()).unwrap();
        assert!(!steers(&shown), "{shown:?}");
        // A table of 16 devices is no longer than this.
        assert!(output.status.success() || shown.lines().all(|line| line.len() < 2000), "{shown}");
    }
}

#[test]
fn names_of_a_recorded_machine_do_not_steer_the_terminal() {
    for file in ["../tests/data/escapes/product.tar.gz", "../tests/data/escapes/model.json"] {
        for more in [
            &["show"][..],
            &["show", "--json"],
            &["show", "--plot", "-"],
            &["cpus"],
            &["place", "--gpus", "1"],
        ] {
            is_plain(&nvtopo(&[more, &["--from", file]].concat()));
        }
    }
    let shown = text(&nvtopo(&["show", "--from", "../tests/data/escapes/model.json"]).stdout);
    assert!(shown.contains(r"V100\u{1b}]0;"), "what was there is told: {shown}");
}

#[test]
fn no_text_of_any_reader_steers_the_terminal() {
    // In each place of a document and of a text where words may stand, all kinds of what a terminal obeys.
    let bad = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}\u{2066}\u{85}";
    let escaped: Vec<String> = bad.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let escaped = escaped.concat();
    let document = format!(
        r#"{{"format":"nvtopo-topology","version":1,"topology":{{"source":"sysfs","origin":{{"preset":"{escaped}"}},
        "nvlink_known":true,"nodes":[{{"machine":{{"product":"{escaped}","hypervisor":"{escaped}","driver":"{escaped}"}}}},
        {{"package":{{"parent":0,"os_index":0,"model":"{escaped}"}}}},
        {{"gpu":{{"parent":0,"index":0,"model":"{escaped}","serial":"{escaped}","unusable":"{escaped}"}}}},
        {{"nic":{{"parent":0,"name":"a{escaped}","rdma_device":"{escaped}","net_devices":["{escaped}"],"model":"{escaped}"}}}},
        {{"nvme":{{"parent":0,"name":"{escaped}","model":"{escaped}"}}}}],
        "notes":[{{"kind":"damage","text":"{escaped}"}}]}}}}"#
    );
    for more in [&["show"][..], &["show", "--json"], &["show", "--plot", "-"], &["cpus"], &["plan"]] {
        let output = run(&[more, &["--from", "-"]].concat(), &document, &[]);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", text(&output.stderr));
        is_plain(&output);
    }
    let row = format!("\tGPU0\tGPU1\nGPU0\t X \tNV{bad}\nGPU1\tNV4\t X \n");
    let long = format!("\tGPU0\tGPU1\nGPU0\t X \tNV{}\nGPU1\tNV4\t X \n", "9".repeat(200_000));
    // Cut by its control characters, the row is damage, which a note tells.
    let cut = run(&["show", "--from", "-"], &row, &[]);
    assert!(text(&cut.stdout).contains("note · damage"), "{cut:?}");
    is_plain(&cut);
    let unknown = "\tGPU0\tGPU1\nGPU0\t X \tNV4\u{202e}x\nGPU1\tNV4\t X \n";
    for input in [unknown, bad, &format!("{{\"format\":\"{bad}\""), &long, &format!("<{bad}>")] {
        let refused = run(&["show", "--from", "-"], input, &[]);
        assert_eq!(refused.status.code(), Some(2));
        is_plain(&refused);
    }
}

#[test]
fn arguments_variables_and_file_names_do_not_steer_the_terminal() {
    let bad = "a\u{1b}[31mb\u{9b}2J\u{202e}\nc";
    for arguments in [
        &["show", "--from", bad][..],
        &["place", "--gpus", bad],
        &["place", "--gpus", "1", "--only", bad],
        &["place", "--gpus", "1", "--objective", bad, "--from", "preset:gh200"],
        &["show", bad],
        &[bad],
        &["show", "--plot", &format!("/nowhere/{bad}.svg"), "--from", "preset:gh200"],
        &["exec", bad],
        &["exec", "--dry-run", bad],
        &["simulate", "--trace", bad, "--from", "preset:gh200"],
    ] {
        is_plain(&nvtopo(arguments));
    }
    for (variable, value) in
        [("CUDA_VISIBLE_DEVICES", bad), ("OMP_PROC_BIND", bad), ("NVTOPO_FORMAT", bad), ("LOCAL_RANK", bad)]
    {
        is_plain(&run(
            &["exec", "--from", "-", "--trust-topology", "true"],
            &machine().0,
            &[(variable, value)],
        ));
    }
    let folder = scratch("names");
    std::fs::write(folder.join(bad), "\tGPU0\nGPU0\t?\n").unwrap();
    let refused = nvtopo(&["show", "--from", folder.join(bad).to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    is_plain(&refused);
}

/// The exit code and the complaint of a command whose standard output is a device that is full.
fn into_full(arguments: &[&str]) -> (Option<i32>, String) {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopo"));
    let output = command.args(arguments).stdin(Stdio::null()).stdout(full).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn an_answer_that_cannot_be_written_is_told() {
    for arguments in [
        &["show", "--from", "preset:dgx-1-v100"][..],
        &["show", "--from", "preset:dgx-1-v100", "--json"],
        &["show", "--from", "preset:dgx-1-v100", "--plot", "-"],
        &["place", "--from", "preset:dgx-1-v100", "--gpus", "2"],
        &["place", "--from", "preset:dgx-1-v100", "--gpus", "2", "--format", "ids"],
        &["plan", "--from", "preset:dgx-1-v100", "--format", "taskset"],
        &["cpus", "--from", "preset:dgx-1-v100"],
        &["ranks", "--from", "preset:dgx-1-v100", "--tp", "2", "--traffic", "tp=1GB"],
        &["simulate", "--from", "preset:gh200", "--jobs", "10"],
        &["exec", "--dry-run", "true"],
        &["convert", "--from", "preset:dgx-1-v100", "--to", "json"],
        &["snapshot", "--redact", "-o", "-"],
        &["snapshot", "--redact", "-o", "/dev/full"],
        &["presets"],
        &["completions", "bash"],
        &["--help"],
        &["place", "--help"],
        &["--version"],
    ] {
        let (code, said) = into_full(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains("cannot write ") && said.contains("No space left"), "{arguments:?}: {said}");
    }
    for arguments in [
        &["show", "--from", "preset:gh200", "--plot", "/dev/full"][..],
        &["simulate", "--from", "preset:gh200", "--jobs", "10", "--plot", "/dev/full"],
        &["snapshot", "--redact", "-o", "/dev/full"],
        &["convert", "--from", "preset:gh200", "--to", "json", "-o", "/dev/full"],
    ] {
        let output = nvtopo(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("cannot write /dev/full"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_full_disk_does_not_cost_the_old_file() {
    let nvtopo = env!("CARGO_BIN_EXE_nvtopo");
    for (name, write) in [
        ("plot", format!("{nvtopo} show --from preset:dgx-2 --plot disk/old")),
        ("simulate", format!("{nvtopo} simulate --from preset:dgx-1-v100 --jobs 10 --plot disk/old")),
        ("snapshot", format!("{nvtopo} snapshot --redact -o disk/old")),
    ] {
        let folder = scratch(name);
        std::fs::create_dir(folder.join("disk")).unwrap();
        // A disk of two pages, of which the old file has one and another file the rest.
        let script = format!(
            "mount -t tmpfs -o size=8k none disk && echo old >disk/old && {{ head -c 4096 /dev/zero >disk/rest || :; }} && \
             {write} >/dev/null; echo \"code $?\"; cat disk/old; ls -A disk | tr '\n' ' '"
        );
        let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(&folder).output();
        let Ok(output) = output.map(|output| (text(&output.stdout), text(&output.stderr))) else { return };
        if !output.0.contains("code") || output.1.contains("mount") || output.1.contains("unshare") {
            // Not everyone may mount.
            return;
        }
        assert_eq!(output.0.trim_end(), "code 2\nold\nold rest", "{name}: {}", output.1);
        assert!(output.1.contains("cannot write disk/old: No space left"), "{name}: {}", output.1);
    }
}

#[test]
fn pictures_go_to_files_named_as_such_and_to_standard_output() {
    let folder = scratch("pictures");
    let show = |plot: &str| nvtopo(&["show", "--from", "preset:gh200", "--plot", plot]);
    let played = |plot: &str| nvtopo(&["simulate", "--from", "preset:gh200", "--jobs", "10", "--plot", plot]);
    let drawn = |plot: &str| nvtopo(&["draw", "--from", "preset:gh200", "-o", plot]);
    for name in ["machine.gif", "MACHINE.PDF", "machine.jpeg"] {
        let file = folder.join(name);
        let path = file.display().to_string();
        for refused in [show(&path), played(&path), drawn(&path)] {
            assert_eq!(refused.status.code(), Some(2), "{name}");
            assert!(text(&refused.stderr).contains(".svg") && !file.exists(), "{}", text(&refused.stderr));
        }
    }
    assert_eq!(played(folder.join("machine.png").to_str().unwrap()).status.code(), Some(2));
    for (name, begin) in
        [("machine.png", &b"\x89PNG"[..]), ("MACHINE.HTML", b"<!doctype html>"), ("machine.svg", b"<svg")]
    {
        let file = folder.join(name);
        let path = file.display().to_string();
        for draw in [&show as &dyn Fn(&str) -> Output, &drawn] {
            let output = draw(&path);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
            assert!(std::fs::read(&file).unwrap().starts_with(begin), "{name}");
            std::fs::remove_file(&file).unwrap();
        }
    }
    let file = folder.join("machine");
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(show(file.to_str().unwrap()).status.code(), Some(0));
    let picture = std::fs::read(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(show("-").stdout, picture, "and nothing else");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    assert!(text(&played("-").stdout).starts_with("<svg"));
}

#[test]
fn what_would_be_chosen_is_drawn() {
    let draw = |more: &[&str]| nvtopo(&[&["draw", "--from", "preset:dgx-1-v100", "-o", "-"], more].concat());
    let chosen = text(&draw(&["--gpus", "2", "--exclude", "0"]).stdout);
    assert!(chosen.contains("Chosen: GPU2 GPU3") && chosen.contains("rank 1"));
    assert!(!text(&draw(&[]).stdout).contains("rank 0"));
    assert!(text(&draw(&["--as", "html"]).stdout).starts_with("<!doctype html>"));
    let png = draw(&["--as", "png", "--scale", "1", "--theme", "dark"]);
    assert!(png.status.success() && png.stdout.starts_with(b"\x89PNG"));
    for (wrong, code, said) in [
        (&["--exclude", "0"][..], 2, "without --gpus"),
        (&["--scale", "2"], 2, "--scale says how many pixels"),
        (&["--as", "png", "--scale", "0"], 2, "is no scale"),
        (&["--gpus", "9"], 1, "has 8"),
    ] {
        let refused = draw(wrong);
        assert_eq!(refused.status.code(), Some(code), "{wrong:?}: {}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains(said), "{wrong:?}: {}", text(&refused.stderr));
    }
}

#[test]
fn commands_that_are_missing_or_no_programs_are_told_as_shells_do() {
    let exec = |command: &str| nvtopo(&["exec", command]).status.code();
    assert_eq!(exec("/nowhere/at/all"), Some(127));
    assert_eq!(exec("no-such-command-here"), Some(127));
    assert_eq!(exec("/tmp"), Some(126));
    let file = scratch("exec").join("no-program");
    std::fs::write(&file, "echo").unwrap();
    assert_eq!(exec(file.to_str().unwrap()), Some(126));
}

#[test]
fn commands_stand_without_dashes_before_them() {
    let exec = |arguments: &[&str]| {
        let output = nvtopo(&[&["-q", "exec"], arguments].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let hi = |said: &str| (Some(0), said.to_owned(), String::new());
    assert_eq!(exec(&["echo", "hi", "--gpus", "--", "x"]), hi("hi --gpus -- x\n"));
    assert_eq!(exec(&["--", "echo", "hi"]), hi("hi\n"));
    assert_eq!(exec(&["--policy", "node", "echo", "-q"]), hi("-q\n"));
    // A wrong option is no command.
    assert_eq!(exec(&["--gpsu", "4", "true"]).0, Some(2));
    assert_eq!(exec(&[]).0, Some(2));
}

#[test]
fn the_chosen_gpus_alone_go_into_other_commands() {
    let place =
        |more: &[&str]| nvtopo(&[&["place", "--gpus", "2", "--from", "preset:dgx-1-v100"], more].concat());
    assert_eq!(text(&place(&["--format", "ids"]).stdout), "0,3\n");
    assert_eq!(
        text(&place(&["--format", "env"]).stdout),
        "CUDA_DEVICE_ORDER=PCI_BUS_ID\nCUDA_VISIBLE_DEVICES=0,3\n"
    );
    let unknown = place(&["--format", "uuids"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("the UUID of GPU0 is unknown"));
    for more in [&["--format", "ids", "--explain"][..], &["--format", "srun"]] {
        assert_eq!(place(more).status.code(), Some(2), "{more:?}");
    }
    let known = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"nvml","nvlink_known":true,"nodes":[
        {"machine":{}},{"gpu":{"parent":0,"index":0,"uuid":"GPU-5c3ee4a8-0000-0000-0000-000000000001"}}]}}"#;
    let by = |format: &str| {
        text(&run(&["place", "--gpus", "1", "--from", "-", "--format", format], known, &[]).stdout)
    };
    assert_eq!(by("uuids"), "GPU-5c3ee4a8-0000-0000-0000-000000000001\n");
    assert!(by("env").ends_with("CUDA_VISIBLE_DEVICES=GPU-5c3ee4a8-0000-0000-0000-000000000001\n"));
}

#[test]
fn wrong_usage_is_one_line_in_the_style_of_all_errors() {
    for (arguments, said) in [
        (
            &["shwo"][..],
            "unrecognized subcommand 'shwo' (a similar subcommand exists: 'show'; nvtopo --help tells more)",
        ),
        (&["place", "--gpus", "two"], "invalid value 'two' for '--gpus <N>'"),
        (&["place", "--gpu", "2"], "'--gpus'"),
        (&["place"], "--gpus <N> (nvtopo place --help tells more)"),
        (&["--from", "preset:gh200", "place", "--gpus", "1"], "--from stands before place"),
        (&["place", "--gpus", "1", "--only", "0-"], "'0-' names no device"),
        (&["place", "--gpus", "1", "--only", "3-1"], "ends before it begins"),
    ] {
        let refused = nvtopo(arguments);
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(told.starts_with("nvtopo: ") && told.lines().count() == 1 && told.contains(said), "{told}");
    }
    let by_variable = run(&["place", "--from", "preset:gh200"], "", &[("NVTOPO_GPUS", "two")]);
    assert!(
        text(&by_variable.stderr).contains("--gpus is set by the variable NVTOPO_GPUS"),
        "{by_variable:?}"
    );
    let colour =
        |words: &[&str]| text(&nvtopo(&[words, &["show", "--from", "preset:gh200"]].concat()).stdout);
    assert!(
        colour(&["--color", "always"]).contains('\x1b') && !colour(&["--color", "never"]).contains('\x1b')
    );
    assert!(Path::new("/dev/full").exists(), "the tests of full disks need it");
}
