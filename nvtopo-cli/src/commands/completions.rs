//! `nvtopo completions`: what shells complete, and the manual pages, from the options themselves.

use crate::args::{CompletedShell, CompletionsArgs};
use crate::command;
use crate::output::remark;
use clap_complete::Shell;
use clap_mangen::Man;
use nvtopo::{Error, Result, save_file};
use std::path::Path;

/// Each shell with the file, below a prefix, in which it looks for the completions of a command.
const PLACES: [(CompletedShell, &str); 3] = [
    (CompletedShell::Bash, "share/bash-completion/completions/nvtopo"),
    (CompletedShell::Zsh, "share/zsh/site-functions/_nvtopo"),
    (CompletedShell::Fish, "share/fish/vendor_completions.d/nvtopo.fish"),
];

const PAGES: &str = "share/man/man1";

pub(crate) fn completions(args: &CompletionsArgs) -> Result<String> {
    match (args.shell, &args.install) {
        (Some(shell), _) => Ok(script(shell)),
        (None, Some(prefix)) => install(prefix).map(|()| String::new()),
        // The arguments require one of them.
        (None, None) => Ok(String::new()),
    }
}

/// The script by which a shell completes.
fn script(shell: CompletedShell) -> String {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "nvtopo", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn install(prefix: &Path) -> Result<()> {
    let mut files: Vec<(String, Vec<u8>)> =
        PLACES.iter().map(|(shell, file)| ((*file).to_owned(), script(*shell).into_bytes())).collect();
    let mut whole = command().disable_help_subcommand(true);
    whole.build();
    pages(&whole, &mut files)?;
    for (file, text) in &files {
        let path = prefix.join(file);
        let folder = path.parent().unwrap_or(prefix);
        std::fs::create_dir_all(folder).map_err(|error| Error::cannot_write(folder, error))?;
        save_file(&path, text)?;
    }
    let count = files.len() - PLACES.len();
    remark(&format!(
        "installed the completions of bash, zsh and fish, and {count} manual pages, below {}",
        prefix.display()
    ));
    Ok(())
}

/// The manual pages of a command and of those below it: `nvtopo-k8s-labels.1` is that of `nvtopo k8s labels`.
fn pages(command: &clap::Command, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let (mut page, file) = (Vec::new(), format!("{PAGES}/{name}.1"));
    Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Error::cannot_write(Path::new(&file), error))?;
    files.push((file, page));
    command.get_subcommands().try_for_each(|below| pages(below, files))
}
