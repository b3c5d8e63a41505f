//! The variables that matter here, as Python sees them. They are read here and handed to the core, which reads none.

use nvtopo::apply::HAZARD_VARIABLES;
use nvtopo::solve::{VISIBILITY_VARIABLES, rank_variables};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// The variables of `os.environ`, or of whatever mapping is given for it.
pub(crate) struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Environment {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        read(&value)
    }
}

/// The variables of this process.
pub(crate) fn environment(py: Python<'_>) -> PyResult<Environment> {
    read(&py.import("os")?.getattr("environ")?)
}

fn read(mapping: &Bound<'_, PyAny>) -> PyResult<Environment> {
    let mut variables = BTreeMap::new();
    let names = rank_variables().chain(VISIBILITY_VARIABLES).chain(HAZARD_VARIABLES);
    for name in names.chain(["OMP_NUM_THREADS"]) {
        let value: Option<OsString> = mapping.call_method1("get", (name,))?.extract()?;
        variables.extend(value.map(|value| (name, value.to_string_lossy().into_owned())));
    }
    Ok(Environment(variables))
}
