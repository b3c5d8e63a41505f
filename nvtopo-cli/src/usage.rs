//! Wrong usage, told in the style of all other errors: one line, with what to do.

use crate::args::variable;
use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use std::ffi::OsString;

/// The complaint about wrong arguments, in one line.
pub(crate) fn complaint(error: &Error, command: &clap::Command, arguments: &[OsString]) -> String {
    let rendered = error.render().to_string();
    let mut parts: Vec<String> = Vec::new();
    let mut advice: Vec<String> = Vec::new();
    for line in rendered.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        match line.strip_prefix("tip: ") {
            Some(tip) => advice.push(tip.to_owned()),
            None => parts.push(line.strip_prefix("error: ").unwrap_or(line).to_owned()),
        }
    }
    let (name, subcommand) = asked(command, arguments);
    advice.extend(by_variables(error, subcommand, arguments));
    let message = parts.join(" ");
    // What the value's own reader advises is more than the help tells.
    if !message.ends_with(')') {
        advice.push(format!("{name} --help tells more"));
    }
    if advice.is_empty() { message } else { format!("{message} ({})", advice.join("; ")) }
}

/// The subcommand that the arguments name, as a person types it.
fn asked<'a>(command: &'a clap::Command, arguments: &[OsString]) -> (String, &'a clap::Command) {
    let mut found = ("nvtopo".to_owned(), command);
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        match found.1.find_subcommand(word) {
            Some(subcommand) => found = (format!("{} {}", found.0, subcommand.get_name()), subcommand),
            // What follows the first argument that is no command is of the command found.
            None if found.1.get_subcommands().next().is_none() => break,
            None => {}
        }
    }
    found
}

/// The variables that gave options of which an error speaks, by their names or values: a person who set one for another
/// command does not think of it.
pub(crate) fn from_variables(error: &nvtopo::Error, command: &clap::Command, matches: &ArgMatches) -> String {
    let text = error.to_string();
    let (command, matches) = match matches.subcommand() {
        Some((name, matches)) => (command.find_subcommand(name).unwrap_or(command), matches),
        None => (command, matches),
    };
    let set = |arg: &clap::Arg| {
        let (id, long) = (arg.get_id().as_str(), arg.get_long()?);
        let known = matches.try_contains_id(id).unwrap_or(false);
        if !known || matches.value_source(id) != Some(ValueSource::EnvVariable) {
            return None;
        }
        let name = variable(arg)?;
        let value = std::env::var_os(&name)?.to_string_lossy().into_owned();
        let meant = text.contains(&format!("--{long} ")) || text.contains(&format!("'{value}'"));
        meant.then(|| format!("--{long} is set by the variable {name}"))
    };
    let set: Vec<String> = command.get_arguments().filter_map(set).collect();
    if set.is_empty() { String::new() } else { format!(" ({})", set.join(", ")) }
}

/// The variables that gave the options which the error is about, where the command line does not.
fn by_variables(error: &Error, command: &clap::Command, arguments: &[OsString]) -> Option<String> {
    if error.kind() == ErrorKind::UnknownArgument {
        return None;
    }
    let words =
        [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().flat_map(|kind| match error.get(kind) {
            Some(ContextValue::String(word)) => vec![word.clone()],
            Some(ContextValue::Strings(words)) => words.clone(),
            _ => Vec::new(),
        });
    let typed = |long: &str| {
        let is_it =
            |word: &str| word.strip_prefix("--").is_some_and(|word| word.split('=').next() == Some(long));
        arguments.iter().filter_map(|word| word.to_str()).any(is_it)
    };
    let mut set = Vec::new();
    for word in words {
        let Some(long) = word.strip_prefix("--").and_then(|word| word.split([' ', '=']).next()) else {
            continue;
        };
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long));
        let Some(name) = arg.and_then(variable).filter(|_| !typed(long)) else { continue };
        if std::env::var_os(&name).is_some() {
            set.push(format!("--{long} is set by the variable {name}"));
        }
    }
    (!set.is_empty()).then(|| set.join(", "))
}
