//! Elements to write, in the way that NCCL's own parser demands: one blank before each attribute, double quotes, no entities,
//! no tabs, and values below 255 bytes.

use std::fmt::{Display, Write};

/// The longest value of an attribute that NCCL reads.
pub(super) const MAX_VALUE: usize = 254;

/// An element.
#[derive(Clone, Debug)]
pub(super) struct Xml {
    pub(super) name: &'static str,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
}

impl Xml {
    /// Creates an element without attributes.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// Sets an attribute. NCCL knows no entities, so characters that need one are replaced.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Display) {
        let plain =
            |c: char| if matches!(c, '"' | '<' | '>' | '&' | '\'') || c.is_control() { '_' } else { c };
        let mut value: String = value.to_string().chars().map(plain).collect();
        while value.len() > MAX_VALUE {
            value.pop();
        }
        self.attributes.push((name.into(), value));
    }

    /// Sets an attribute, if there is a value.
    pub(super) fn maybe(&mut self, name: impl Into<String>, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Returns the value of an attribute.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Changes a number that is an attribute by adding to it.
    pub(super) fn add(&mut self, name: &str, more: u64) {
        if let Some((_, value)) = self.attributes.iter_mut().find(|(own, _)| own == name) {
            let sum = value.parse::<u64>().unwrap_or_default() + more;
            *value = sum.to_string();
        }
    }

    /// Returns the number of elements, with itself.
    pub(super) fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    /// Writes it with all below, two blanks deeper at each level.
    pub(super) fn write(&self, depth: usize, text: &mut String) {
        let _ = write!(text, "{:depth$}<{}", "", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(text, " {name}=\"{value}\"");
        }
        if self.children.is_empty() {
            text.push_str("/>\n");
            return;
        }
        text.push_str(">\n");
        for child in &self.children {
            child.write(depth + 2, text);
        }
        let _ = writeln!(text, "{:depth$}</{}>", "", self.name);
    }
}
