//! Arguments that several calls take: counts, GPUs, words, and all that a request for GPUs may say.

use crate::cpuset::CpuArgument;
use crate::error::{invalid_request, raise};
use nvtopo::solve::{Constraint, SizeMix};
use nvtopo::{Bytes, CpuSet, GpuRef};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A count or a rank: an integer from 0 up.
#[derive(Clone, Copy)]
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

/// Several GPUs: an iterable, but not a text, whose letters nobody means.
#[derive(Default)]
pub(crate) struct GpuArguments(pub(crate) Vec<GpuRef>);

impl<'a, 'py> FromPyObject<'a, 'py> for GpuArguments {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let gpu = |item: Bound<'py, PyAny>| Ok(item.extract::<GpuArgument>()?.0);
        items(&value)?.into_iter().map(gpu).collect::<PyResult<_>>().map(Self)
    }
}

/// Several names.
#[derive(Default)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl<'a, 'py> FromPyObject<'a, 'py> for Names {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let name = |item: Bound<'py, PyAny>| item.extract::<String>();
        items(&value)?.into_iter().map(name).collect::<PyResult<_>>().map(Self)
    }
}

/// What must hold between GPUs, by its words.
#[derive(Default)]
pub(crate) struct Constraints(pub(crate) Vec<Constraint>);

impl<'a, 'py> FromPyObject<'a, 'py> for Constraints {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let words = Names::extract(value)?.0;
        let constraint = |word: &String| word.parse().map_err(|error| raise(value.py(), &error));
        words.iter().map(constraint).collect::<PyResult<_>>().map(Self)
    }
}

/// How often jobs of each size come, as a mapping from sizes to weights.
pub(crate) struct Mix(pub(crate) SizeMix);

impl<'a, 'py> FromPyObject<'a, 'py> for Mix {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let weights: BTreeMap<usize, f64> = value.extract()?;
        SizeMix::new(weights).map(Self).map_err(|error| raise(value.py(), &error))
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
pub(crate) struct HugePages(pub(crate) BTreeMap<BytesArgument, usize>);

impl<'a, 'py> FromPyObject<'a, 'py> for HugePages {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let pages: BTreeMap<BytesArgument, Count> = value.extract()?;
        Ok(Self(pages.into_iter().map(|(size, count)| (size, count.0)).collect()))
    }
}

/// What a job needs beside each of its GPUs.
pub(crate) struct Needs {
    pub(crate) cpus: Option<Count>,
    pub(crate) memory: Option<BytesArgument>,
    pub(crate) pages: Option<HugePages>,
    pub(crate) per_nic: Option<Count>,
}

/// What a word stands for.
pub(crate) fn word<T: FromStr<Err = nvtopo::Error>>(py: Python<'_>, text: &str) -> PyResult<T> {
    text.parse().map_err(|error| raise(py, &error))
}

/// What a request says besides the number of GPUs.
pub(crate) struct Terms {
    pub(crate) only: Option<GpuArguments>,
    pub(crate) exclude: GpuArguments,
    pub(crate) include: GpuArguments,
    pub(crate) objectives: Option<Names>,
    pub(crate) require: Constraints,
    pub(crate) prefer: Constraints,
    pub(crate) mix: Option<Mix>,
    pub(crate) reserve_cpus: Option<CpuArgument>,
    pub(crate) allowed_cpus: Option<CpuSet>,
    pub(crate) needs: Needs,
}

impl Terms {
    /// The request for so many GPUs.
    pub(crate) fn request(self, gpus: Count) -> nvtopo::Request {
        let mut request = nvtopo::Request::gpus(gpus.0).exclude(self.exclude.0).include(self.include.0);
        request = request.require(self.require.0).prefer(self.prefer.0);
        if let Some(mix) = self.mix {
            request = request.mix(mix.0);
        }
        if let Some(only) = self.only {
            request = request.only(only.0);
        }
        if let Some(objectives) = self.objectives {
            request = request.objectives(objectives.0);
        }
        if let Some(cpus) = self.reserve_cpus {
            request = request.reserved_cpus(cpus.0);
        }
        if let Some(cpus) = self.allowed_cpus {
            request = request.allowed_cpus(cpus);
        }
        if let Some(cpus) = self.needs.cpus {
            request = request.cpus_per_gpu(cpus.0);
        }
        if let Some(memory) = self.needs.memory {
            request = request.memory_per_gpu(memory.0.0);
        }
        if let Some(gpus) = self.needs.per_nic {
            request = request.gpus_per_nic(gpus.0);
        }
        for (size, count) in self.needs.pages.into_iter().flat_map(|pages| pages.0) {
            request = request.hugepages_per_gpu(size.0.0, count as u64);
        }
        request
    }
}

fn items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        let given = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("expected a list, not {given}: give ['…'] for one")));
    }
    value.try_iter()?.collect()
}
