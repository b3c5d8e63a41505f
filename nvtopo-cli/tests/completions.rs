//! Completions and manual pages, held against the options.

use std::path::Path;
use std::process::{Command, Output};

fn nvtopo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopo"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NVTOPO_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = nvtopo(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The commands with their words, and those below them.
fn all(words: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    let mut found = vec![(words.to_owned(), command.clone())];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        found.extend(all(&format!("{words} {}", below.get_name()), below));
    }
    found
}

fn options(command: &clap::Command) -> impl Iterator<Item = String> + '_ {
    let shown = command.get_arguments().filter(|option| !option.is_hide_set());
    shown.filter_map(clap::Arg::get_long).map(str::to_owned)
}

#[test]
fn the_installed_files_know_every_command_and_option() {
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completions");
    let _ = std::fs::remove_dir_all(&prefix);
    let install = nvtopo(&["completions", "--install", prefix.to_str().unwrap()]);
    assert!(install.status.success(), "{}", String::from_utf8_lossy(&install.stderr));
    let read = |file: &str| std::fs::read_to_string(prefix.join(file)).unwrap();
    let scripts = [
        ("bash", read("share/bash-completion/completions/nvtopo")),
        ("zsh", read("share/zsh/site-functions/_nvtopo")),
        ("fish", read("share/fish/vendor_completions.d/nvtopo.fish")),
    ];
    for (shell, script) in &scripts {
        assert_eq!(&printed(&["completions", shell]), script);
    }
    let (mut pages, mut checked) = (0, 0);
    for (words, command) in all("nvtopo", &nvtopo_cli::command()) {
        let page = read(&format!("share/man/man1/{}.1", words.replace(' ', "-"))).replace("\\-", "-");
        pages += 1;
        for option in options(&command) {
            assert!(page.contains(&format!("--{option}")), "the page of {words} lacks --{option}");
            // What is three commands deep, fish completes by its words only: its scripts go no deeper.
            let deep = words.split(' ').count() > 3;
            for (shell, script) in scripts.iter().filter(|(shell, _)| !deep || *shell != "fish") {
                let told = if *shell == "fish" { format!("-l {option}") } else { format!("--{option}") };
                assert!(script.contains(&told), "{shell} does not complete --{option} of {words}");
            }
            checked += 1;
        }
        let last = words.rsplit(' ').next().unwrap();
        assert!(scripts.iter().all(|(_, script)| script.contains(last)), "{words}");
    }
    assert!(pages > 15 && checked > 150, "{pages} pages, {checked} options");
    // No page is there of what is no command.
    assert_eq!(std::fs::read_dir(prefix.join("share/man/man1")).unwrap().count(), pages);
    // Again, over what is there.
    assert!(nvtopo(&["completions", "--install", prefix.to_str().unwrap()]).status.success());
}

/// The words that bash offers behind these; the last is being typed.
fn bash_offers(words: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nvtopo.bash");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    let last = words.len() - 1;
    let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let offer = format!(
        ". '{}'; COMP_WORDS=({typed}); COMP_CWORD={last}; _nvtopo nvtopo '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
        script.display(),
        words[last],
        words[last - 1]
    );
    let output = Command::new("bash").args(["--norc", "-c", &offer]).output().ok()?;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn bash_completes_commands_options_and_values() {
    let Some(commands) = bash_offers(&["nvtopo", "pl"]) else {
        eprintln!("skipped: there is no bash");
        return;
    };
    assert_eq!(commands, "place plan");
    assert_eq!(bash_offers(&["nvtopo", "place", "--gp"]).unwrap(), "--gpus --gpus-per-nic");
    assert!(bash_offers(&["nvtopo", "k8s", "kubelet", "l"]).unwrap().contains("lint"));
    let formats = bash_offers(&["nvtopo", "plan", "--format", "rank"]).unwrap();
    assert!(formats.contains("rankfile-ompi4") && formats.contains("rankfile-ompi5"), "{formats}");
}

#[test]
fn what_cannot_be_printed_or_installed_is_refused() {
    let refused = |arguments: &[&str], words: &str| {
        let output = nvtopo(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    };
    refused(&["completions"], "SHELL");
    refused(&["completions", "tcsh"], "fish");
    refused(&["completions", "bash", "--install", "/tmp"], "--install");
    refused(&["completions", "--install", "/dev/null/prefix"], "/dev/null/prefix");
}
