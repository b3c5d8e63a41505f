//! Selectors of devices: expressions of the Common Expression Language over `device`, as the scheduler evaluates them.
//!
//! Own code, because the scheduler's surface is small and has its own rules: an unknown domain is an empty map, a missing
//! attribute is an error, versions compare by their parts and amounts by their worth. Depth, length and steps are bounded.
//!
//! Source: `k8s.io/dynamic-resource-allocation/cel`.

mod eval;
mod parse;

use super::slices::Device;
use parse::Expr;

/// The error of a selector.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Error {
    /// The scheduler refuses it too.
    Wrong(String),
    /// A limit of this reader, where the scheduler may well go on.
    Limit(String),
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

/// A selector that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector(Expr);

impl Selector {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text).map(Self)
    }

    /// Returns true for a device that meets the expression. An error stops the scheduling of a pod.
    pub(super) fn matches(&self, device: &Device) -> Result<bool, Error> {
        match eval::evaluate(&self.0, device)? {
            eval::Value::Bool(meets) => Ok(meets),
            other => Err(Error::Wrong(format!("it gives {}, not true or false", other.kind()))),
        }
    }

    /// The text, number or truth that it gives for a device, as a derived attribute.
    pub(super) fn attribute(&self, device: &Device) -> Result<super::slices::Attribute, Error> {
        use super::slices::Attribute;
        match eval::evaluate(&self.0, device)? {
            eval::Value::Bool(value) => Ok(Attribute::Bool(value)),
            eval::Value::Int(value) => Ok(Attribute::Int(value)),
            eval::Value::Text(value) => Ok(Attribute::Text(value)),
            eval::Value::Version(value) => Ok(Attribute::Version(value.text)),
            other => Err(Error::Wrong(format!("it gives {}, which is no attribute", other.kind()))),
        }
    }
}

#[cfg(test)]
mod tests;
