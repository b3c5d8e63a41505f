//! Every option as a variable: `--cpus-per-gpu 8` is `NVTOPO_CPUS_PER_GPU=8`.

use clap::{Arg, ArgAction, Command, value_parser};

/// Gives each option of each command its variable. One that is added to a command has one without being named here.
pub(crate) fn with_variables(command: Command) -> Command {
    // A subcommand may know more formats, and clap reads the variables for the command before it too: which formats there
    // are is then checked when one is used.
    let command = command.mut_arg("format", |format| format.value_parser(value_parser!(String)));
    with_variables_each(command)
}

fn with_variables_each(command: Command) -> Command {
    command.mut_args(with_variable).mut_subcommands(with_variables_each)
}

fn with_variable(arg: Arg) -> Arg {
    let Some(variable) = variable(&arg) else { return arg };
    // A switch is set or left out by words, and no others.
    let arg = match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(switch),
        _ => arg,
    };
    arg.env(variable)
}

/// Reads the variable of a switch.
fn switch(text: &str) -> nvtopo::Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(nvtopo::Error::wrong_use(
            format!("'{text}' neither sets nor leaves out the option"),
            "give 1, true, yes or on, or 0, false, no, off or nothing",
        )),
    }
}

/// The name of an option's variable; `None` for what is no option, or ends the command at once.
pub(crate) fn variable(arg: &Arg) -> Option<String> {
    let takes_part = !matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    let long = arg.get_long().filter(|_| takes_part)?;
    Some(format!("NVTOPO_{}", long.replace('-', "_").to_uppercase()))
}
