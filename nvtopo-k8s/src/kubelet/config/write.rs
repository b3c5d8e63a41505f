//! A configuration as YAML with a comment above each line, and as a value.

use super::{Entry, KubeletConfig, Setting};
use crate::Version;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The widest line of a comment.
const WIDTH: usize = 100;

impl KubeletConfig {
    /// The configuration as a value, without comments.
    pub fn value(&self) -> Value {
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!("kubelet.config.k8s.io/v1beta1"));
        object.insert("kind".to_owned(), json!("KubeletConfiguration"));
        object.extend(self.entries.iter().map(|entry| (entry.name.to_owned(), entry.value.value())));
        Value::Object(object)
    }

    /// The configuration as YAML: above each line why it is so, at the end what is left out.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let mut say = |sentence: &str| comment(&mut text, 0, sentence);
        say(&format!("The kubelet's configuration for {}.", nvtopo::printable(&self.machine)));
        say(&format!("It holds for Kubernetes {}.", told(&self.versions)));
        say("To apply: drain the node, stop the kubelet, merge this into its configuration file, remove \
             /var/lib/kubelet/cpu_manager_state and memory_manager_state (with the state of other settings it does not start), \
             and start it.");
        for line in self.command_line.comments() {
            say(&line);
        }
        text.push_str("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n");
        for entry in &self.entries {
            write(&mut text, 0, entry);
        }
        if !self.left_out.is_empty() {
            text.push_str("# Left out:\n");
        }
        for (name, why) in &self.left_out {
            comment(&mut text, 0, &format!("- {name}: {why}"));
        }
        text
    }
}

impl Setting {
    fn value(&self) -> Value {
        match self {
            Self::One(value) => value.clone(),
            Self::Map(entries) => entries
                .iter()
                .map(|entry| (entry.name.to_owned(), entry.value.value()))
                .collect::<Map<_, _>>()
                .into(),
            Self::List(items) => items.clone().into(),
        }
    }
}

fn write(text: &mut String, indent: usize, entry: &Entry) {
    comment(text, indent, &entry.why);
    let space = " ".repeat(indent);
    match &entry.value {
        Setting::Map(entries) => {
            let _ = writeln!(text, "{space}{}:", entry.name);
            for inner in entries {
                write(text, indent + 2, inner);
            }
        }
        Setting::One(value) => {
            let _ = writeln!(text, "{space}{}: {}", entry.name, scalar(value));
        }
        Setting::List(items) => {
            let _ = writeln!(text, "{space}{}:", entry.name);
            for item in items {
                let yaml = yaml(item);
                for (number, line) in yaml.lines().enumerate() {
                    let start = if number == 0 { "- " } else { "  " };
                    let _ = writeln!(text, "{space}{start}{line}");
                }
            }
        }
    }
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

fn scalar(value: &Value) -> String {
    yaml(value).trim_end().to_owned()
}

/// A sentence as lines of comment.
fn comment(text: &mut String, indent: usize, sentence: &str) {
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            let _ = writeln!(text, "{}#{line}", " ".repeat(indent));
            line.clear();
        }
    };
    for word in sentence.split_whitespace() {
        if indent + line.len() + word.len() + 2 > WIDTH {
            flush(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    flush(&mut line);
}

/// Versions for people: `1.33 to 1.37`.
fn told(versions: &[Version]) -> String {
    let mut runs: Vec<(Version, Version)> = Vec::new();
    for version in versions {
        match runs.last_mut() {
            Some((_, last)) if last.number() + 1 == version.number() => *last = *version,
            _ => runs.push((*version, *version)),
        }
    }
    let words: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    words.join(", ")
}
