//! The outputs of tools in saved texts, cut at the command lines that people copy with them.

use crate::evidence::Evidence;
use nvtopo::source::SavedText;
use std::ops::Range;

/// An output of a tool.
pub(crate) struct Output<'a> {
    /// The words of the command, from the name of the tool on. Empty: no command line stands before.
    words: Vec<&'a str>,
    /// The name of the file.
    file: &'a str,
    /// The lines, without the command line.
    pub(crate) text: &'a str,
}

/// The tools whose command lines part a text.
const TOOLS: [&str; 17] = [
    "cat",
    "dcb",
    "ethtool",
    "ibdev2netdev",
    "ibstat",
    "ibstatus",
    "ibv_devinfo",
    "ifconfig",
    "ip",
    "lscpu",
    "lspci",
    "mlnx_qos",
    "numactl",
    "nvidia-smi",
    "rdma",
    "show_gids",
    "uptime",
];

impl Output<'_> {
    /// Returns the interface that the output is of: an argument of its command, or a part of its file's name.
    ///
    /// `known` are the names of the machine's interfaces. A name in a command counts all the same.
    pub(crate) fn interface(&self, known: &[String]) -> Option<String> {
        let is_known = |word: &&&str| known.iter().any(|name| name == **word);
        let mut arguments = self.words.iter().skip(1);
        if let Some(word) = arguments.find(is_known) {
            return Some((*word).to_owned());
        }
        let after = |option: &str| {
            let place = self.words.iter().position(|word| *word == option)?;
            self.words.get(place + 1).filter(|word| !word.starts_with('-'))
        };
        let named = ["-i", "--interface", "dev", "-S", "--statistics"].into_iter().find_map(after);
        if let Some(word) = named {
            return Some((*word).to_owned());
        }
        let file = self.file.rsplit('/').next().unwrap_or(self.file);
        let mut found: Vec<&String> = known.iter().filter(|name| names(file, name)).collect();
        found.sort_by_key(|name| std::cmp::Reverse(name.len()));
        found.first().map(|name| (*name).clone())
    }
}

/// Returns whether the name of a file has a name as one of its parts: `ethtool_-S_eth0.txt` has `eth0`.
fn names(file: &str, name: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !name.is_empty()
        && file.match_indices(name).any(|(at, _)| {
            !is_part(file[..at].chars().next_back()) && !is_part(file[at + name.len()..].chars().next())
        })
}

/// Returns the words of a command line such as `root@node:~# ethtool -S eth0`, from the tool on.
fn command(line: &str) -> Option<Vec<&str>> {
    let line = line.trim();
    if line.len() > MAX_COMMAND {
        return None;
    }
    // A script that shows the settings of all interfaces: `==== show configuration for device eth0 / mlx5_0 ====`.
    let told = line.strip_prefix("==").and_then(|line| line.split_once("configuration for device "));
    if let Some(device) = told.and_then(|(_, rest)| rest.split([' ', '=']).find(|word| !word.is_empty())) {
        return Some(vec!["mlnx_qos", "-i", device]);
    }
    // A shell that traces writes a plus before each command.
    let after_prompt =
        ["# ", "$ ", "> ", "+ "].iter().filter_map(|mark| line.find(mark).map(|at| at + 2)).min();
    [after_prompt.unwrap_or(0), 0].into_iter().find_map(|from| {
        let rest = line.get(from..)?.trim_start();
        let rest = rest.strip_prefix("sudo ").unwrap_or(rest);
        let tool = rest.split_whitespace().next()?;
        let is_tool = TOOLS.contains(&tool.rsplit('/').next().unwrap_or(tool));
        // Without a prompt the name of a tool alone may be a word of a text.
        (is_tool && (from > 0 || rest.len() > tool.len())).then(|| rest.split_whitespace().collect())
    })
}

/// The longest command line.
const MAX_COMMAND: usize = 400;

/// The place of an output in the saved texts.
pub(crate) struct Place {
    /// The number of the text.
    file: usize,
    /// The command line, empty where there is none.
    command: Range<usize>,
    text: Range<usize>,
}

/// Returns the outputs in all saved texts.
pub(crate) fn outputs<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = Output<'a>> {
    let saved: Vec<&'a SavedText> = evidence.texts().collect();
    let places = evidence.readings.outputs.get_or_init(|| cut(&saved));
    places.iter().map(move |place| {
        let SavedText { name, text, .. } = saved[place.file];
        let words = command(&text[place.command.clone()]).unwrap_or_default();
        Output { words, file: name, text: &text[place.text.clone()] }
    })
}

fn cut(saved: &[&SavedText]) -> Vec<Place> {
    let mut places = Vec::new();
    for (file, saved) in saved.iter().enumerate() {
        let mut last = Place { file, command: 0..0, text: 0..0 };
        let mut at = 0;
        for line in saved.text.split_inclusive('\n') {
            let next = at + line.len();
            if command(line).is_some() {
                places
                    .push(std::mem::replace(&mut last, Place { file, command: at..next, text: next..next }));
            }
            last.text.end = next;
            at = next;
        }
        places.push(last);
    }
    places.retain(|place| !saved[place.file].text[place.text.clone()].trim().is_empty());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_known_behind_prompts() {
        assert_eq!(command("root@node:~# ethtool -S eth0\n"), Some(vec!["ethtool", "-S", "eth0"]));
        assert_eq!(
            command("$ sudo /usr/bin/mlnx_qos -i eth0"),
            Some(vec!["/usr/bin/mlnx_qos", "-i", "eth0"])
        );
        let words = Some(vec!["mlnx_qos", "-i", "eth4", "--trust", "dscp"]);
        assert_eq!(command("+ mlnx_qos -i eth4 --trust dscp"), words);
        let words = Some(vec!["mlnx_qos", "-i", "eth0"]);
        assert_eq!(command("======== show configuration for device eth0 / mlx5_0========"), words);
        assert_eq!(command("======== show configuration for device eth0========"), words);
        assert_eq!(command("dcb pfc show dev eth0"), Some(vec!["dcb", "pfc", "show", "dev", "eth0"]));
        for line in ["", "link mlx5_0/1 state ACTIVE", "ip", "  rx_prio3_pause: 0", "é"] {
            assert_eq!(command(line), None, "{line}");
        }
    }

    #[test]
    fn names_of_files_have_whole_names_of_interfaces() {
        let known = ["eth1".to_owned(), "eth10".to_owned(), "ens1f0np0".to_owned()];
        let of =
            |words: &[&'static str], file| Output { words: words.to_vec(), file, text: "" }.interface(&known);
        assert_eq!(of(&[], "sos_commands/networking/ethtool_-S_eth10"), Some("eth10".to_owned()));
        assert_eq!(of(&[], "stats-ens1f0np0.txt"), Some("ens1f0np0".to_owned()));
        assert_eq!(of(&[], "beth1.txt"), None);
        assert_eq!(of(&["mlnx_qos", "-i", "eth7"], "x"), Some("eth7".to_owned()));
        assert_eq!(of(&["ethtool", "-S", "eth1"], "eth10"), Some("eth1".to_owned()));
    }
}
