//! Arguments that several calls take: counts, GPUs, words, amounts, variables.

use crate::error::{invalid_request, raise};
use nvtopo::apply::HAZARD_VARIABLES;
use nvtopo::solve::{AllowedSets, Constraint, SizeMix, Tolerance, VISIBILITY_VARIABLES, rank_variables};
use nvtopo::{Bytes, GpuRef};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::str::FromStr;

/// A count or a rank: an integer from 0 up.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Count(pub(crate) usize);

impl<'a, 'py> FromPyObject<'a, 'py> for Count {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let number = value.extract::<i128>()?;
        usize::try_from(number)
            .map(Self)
            .map_err(|_| invalid_request(value.py(), &format!("{number} is no count: expected 0 or more")))
    }
}

/// A set in bits.
#[derive(Clone, Copy)]
pub(crate) struct Bits(pub(crate) u128);

impl<'a, 'py> FromPyObject<'a, 'py> for Bits {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        // Interpreters differ in what they raise for a negative number.
        value.extract().map(Self).map_err(|error| {
            let negative = error.is_instance_of::<PyValueError>(py);
            if negative { PyOverflowError::new_err(error.value(py).to_string()) } else { error }
        })
    }
}

/// A GPU by its index or one of its names.
pub(crate) struct GpuArgument(pub(crate) GpuRef);

impl<'a, 'py> FromPyObject<'a, 'py> for GpuArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = value.cast::<PyString>() {
            let parsed = name.to_string_lossy().parse();
            return parsed.map(Self).map_err(|error| raise(value.py(), &error));
        }
        let number = value.extract::<i128>()?;
        let index = u32::try_from(number)
            .map_err(|_| invalid_request(value.py(), &format!("{number} is no index of a GPU")))?;
        Ok(Self(GpuRef::Index(index)))
    }
}

/// Several GPUs: an iterable of indices, names and ranges such as "0-3", but not a text, whose letters nobody means.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct GpuArguments(pub(crate) Vec<GpuRef>);

impl<'a, 'py> FromPyObject<'a, 'py> for GpuArguments {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let mut gpus = Vec::new();
        for item in items(&value)? {
            match item.cast::<PyString>() {
                Ok(names) => gpus.extend(
                    GpuRef::parse_list(&names.to_string_lossy())
                        .map_err(|error| raise(value.py(), &error))?,
                ),
                Err(_) => gpus.push(item.extract::<GpuArgument>()?.0),
            }
        }
        Ok(Self(gpus))
    }
}

/// Sets of GPUs that may be used together.
#[derive(Clone, PartialEq)]
pub(crate) struct GpuSets {
    /// As they were given.
    pub(crate) sets: Vec<GpuArguments>,
    pub(crate) table: AllowedSets,
}

impl<'a, 'py> FromPyObject<'a, 'py> for GpuSets {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let set = |item: Bound<'py, PyAny>| item.extract::<GpuArguments>();
        let sets: Vec<GpuArguments> = items(&value)?.into_iter().map(set).collect::<PyResult<_>>()?;
        let table = AllowedSets::new(sets.iter().map(|gpus| gpus.0.clone()));
        let table = table.map_err(|error| raise(value.py(), &error))?;
        Ok(Self { sets, table })
    }
}

/// Rows of a matrix: an iterable of integers from 0 up.
#[derive(Clone, Default)]
pub(crate) struct Rows(pub(crate) Vec<usize>);

impl<'a, 'py> FromPyObject<'a, 'py> for Rows {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let row = |item: Bound<'py, PyAny>| item.extract::<Count>().map(|row| row.0);
        items(&value)?.into_iter().map(row).collect::<PyResult<_>>().map(Self)
    }
}

/// Several names.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'a, 'py> FromPyObject<'a, 'py> for Names {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let name = |item: Bound<'py, PyAny>| item.extract::<String>();
        items(&value)?.into_iter().map(name).collect::<PyResult<_>>().map(Self)
    }
}

/// One of a few names.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<'a, 'py, T: FromStr<Err = nvtopo::Error>> FromPyObject<'a, 'py> for Word<T> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        word(value.py(), &value.extract::<String>()?).map(Self)
    }
}

/// Constraints between GPUs, by their names.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Constraints(pub(crate) Vec<Constraint>);

impl<'a, 'py> FromPyObject<'a, 'py> for Constraints {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let words = Names::extract(value)?.0;
        let constraint = |word: &String| word.parse().map_err(|error| raise(value.py(), &error));
        words.iter().map(constraint).collect::<PyResult<_>>().map(Self)
    }
}

/// The frequencies of job sizes, as a mapping from sizes to weights.
#[derive(Clone, PartialEq)]
pub(crate) struct Mix {
    /// As they were given.
    pub(crate) weights: BTreeMap<usize, f64>,
    pub(crate) mix: SizeMix,
}

impl<'a, 'py> FromPyObject<'a, 'py> for Mix {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let weights: BTreeMap<usize, f64> = value.extract()?;
        let mix = SizeMix::new(weights.clone()).map_err(|error| raise(value.py(), &error))?;
        Ok(Self { weights, mix })
    }
}

/// The part by which measured rates may differ and still count as equal.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ToleranceArgument(pub(crate) Tolerance);

impl<'a, 'py> FromPyObject<'a, 'py> for ToleranceArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Tolerance::new(value.extract()?).map(Self).map_err(|error| raise(value.py(), &error))
    }
}

/// A number of bytes: an integer, or a text like "64GiB".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BytesArgument(pub(crate) Bytes);

impl<'a, 'py> FromPyObject<'a, 'py> for BytesArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            return word(value.py(), &text.to_string_lossy()).map(Self);
        }
        let number = value.extract::<i128>()?;
        u64::try_from(number)
            .map(|bytes| Self(Bytes(bytes)))
            .map_err(|_| invalid_request(value.py(), &format!("{number} is no number of bytes")))
    }
}

/// Huge pages, as a mapping from the size of one to how many.
#[derive(Clone, PartialEq)]
pub(crate) struct HugePages(pub(crate) BTreeMap<BytesArgument, usize>);

impl<'a, 'py> FromPyObject<'a, 'py> for HugePages {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let pages: BTreeMap<BytesArgument, Count> = value.extract()?;
        Ok(Self(pages.into_iter().map(|(size, count)| (size, count.0)).collect()))
    }
}

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
        variables_of(&value)
    }
}

/// Reads the variables of this process, as Python sees them. The core is given them, and reads none.
pub(crate) fn environment(py: Python<'_>) -> PyResult<Environment> {
    variables_of(&py.import("os")?.getattr("environ")?)
}

fn variables_of(mapping: &Bound<'_, PyAny>) -> PyResult<Environment> {
    let mut variables = BTreeMap::new();
    let names = rank_variables().chain(VISIBILITY_VARIABLES).chain(HAZARD_VARIABLES);
    for name in names.chain(["OMP_NUM_THREADS"]) {
        let value: Option<OsString> = mapping.call_method1("get", (name,))?.extract()?;
        variables.extend(value.map(|value| (name, value.to_string_lossy().into_owned())));
    }
    Ok(Environment(variables))
}

/// Reads the value that a word stands for.
pub(crate) fn word<T: FromStr<Err = nvtopo::Error>>(py: Python<'_>, text: &str) -> PyResult<T> {
    text.parse().map_err(|error| raise(py, &error))
}

fn items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        let given = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("expected a list, not {given}: give ['…'] for one")));
    }
    value.try_iter()?.collect()
}
