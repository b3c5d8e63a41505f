//! `CpuSet` and `NodeSet`: immutable sets of integers to Python, two distinct types like the core's.
//!
//! They behave as `frozenset` does where both can do something, and compare and hash like one. They are not
//! `frozenset`s, so that a set of nodes never passes for a set of CPUs.

use crate::error::{invalid_request, raise};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFrozenSet, PyIterator, PyList, PyString, PyType};

/// True where the value is a set by the rules of `collections.abc`.
fn is_set(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static SET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    value.is_instance(SET.import(value.py(), "collections.abc", "Set")?)
}

/// The numbers of an iterable, each one that a set can hold.
fn indices(value: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    value.try_iter()?.map(|item| index(&item?)).collect()
}

fn index(item: &Bound<'_, PyAny>) -> PyResult<u32> {
    let number = item.extract::<i128>()?;
    u32::try_from(number).ok().filter(|number| *number <= nvtopo::MAX_INDEX).ok_or_else(|| {
        let message =
            format!("{number} is no index of a CPU or node: they go from 0 to {}", nvtopo::MAX_INDEX);
        invalid_request(item.py(), &message)
    })
}

macro_rules! index_set {
    ($(#[$doc:meta])* $name:ident, other than $other:ident, taken as $argument:ident) => {
        $(#[$doc])*
        #[pyclass(frozen, module = "nvtopo")]
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) nvtopo::$name);

        /// The set as an argument: one, or whatever one can be made of.
        #[derive(Clone, Default, PartialEq)]
        pub(crate) struct $argument(pub(crate) nvtopo::$name);

        impl<'a, 'py> FromPyObject<'a, 'py> for $argument {
            type Error = PyErr;

            fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
                if let Ok(own) = value.cast::<$name>() {
                    return Ok(Self(own.get().0.clone()));
                }
                if let Ok(text) = value.cast::<PyString>() {
                    let set = text.to_string_lossy().parse().map_err(|error| raise(value.py(), &error))?;
                    return Ok(Self(set));
                }
                if value.is_instance_of::<$other>() || value.is_instance_of::<PyBytes>() {
                    let given = value.get_type().name()?;
                    return Err(PyTypeError::new_err(format!("{given} is no {}", stringify!($name))));
                }
                Ok(Self(indices(&value)?.into_iter().collect()))
            }
        }

        impl $name {
            /// The other side of an operator. `None`: not a set, one of the other type, or one that holds what
            /// this one cannot.
            fn operand(value: &Bound<'_, PyAny>) -> PyResult<Option<nvtopo::$name>> {
                if let Ok(own) = value.cast::<Self>() {
                    return Ok(Some(own.get().0.clone()));
                }
                if value.is_instance_of::<$other>() || !is_set(value)? {
                    return Ok(None);
                }
                Ok(indices(value).ok().map(|numbers| numbers.into_iter().collect()))
            }

            /// The result of an operator.
            fn operate<'py>(
                other: &Bound<'py, PyAny>,
                operation: impl FnOnce(&nvtopo::$name) -> nvtopo::$name,
            ) -> PyResult<Bound<'py, PyAny>> {
                let py = other.py();
                match Self::operand(other)? {
                    Some(other) => Ok(Self(operation(&other)).into_pyobject(py)?.into_any()),
                    None => Ok(py.NotImplemented().into_bound(py)),
                }
            }

            fn exclusive(&self, other: &nvtopo::$name) -> nvtopo::$name {
                self.0.difference(other).union(&other.difference(&self.0))
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (indices=$argument::default()), text_signature = "(indices=())")]
            fn new(indices: $argument) -> Self {
                Self(indices.0)
            }

            /// Reads the kernel's mask syntax, such as "00000000,000000ff", and plain hexadecimal numbers.
            ///
            /// Raises InvalidInputError for anything else.
            #[staticmethod]
            fn from_mask(py: Python<'_>, text: &str) -> PyResult<Self> {
                crate::call(py, || nvtopo::$name::from_mask(text)).map(Self)
            }

            /// The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first.
            fn to_mask(&self) -> String {
                self.0.to_mask()
            }

            /// Returns True where the sets share no index. Takes any iterable of indices.
            fn isdisjoint(&self, other: $argument) -> bool {
                self.0.is_disjoint(&other.0)
            }

            fn __contains__(&self, item: &Bound<'_, PyAny>) -> bool {
                item.extract::<u32>().is_ok_and(|index| self.0.contains(index))
            }

            fn __len__(&self) -> usize {
                self.0.len()
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
                PyList::new(py, self.0.iter().collect::<Vec<u32>>())?.try_iter()
            }

            fn __and__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.0.intersection(other))
            }

            fn __rand__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.0.intersection(other))
            }

            fn __or__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.0.union(other))
            }

            fn __ror__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.0.union(other))
            }

            fn __sub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.0.difference(other))
            }

            fn __rsub__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| other.difference(&self.0))
            }

            fn __xor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.exclusive(other))
            }

            fn __rxor__<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                Self::operate(other, |other| self.exclusive(other))
            }

            fn __richcmp__<'py>(
                &self,
                other: &Bound<'py, PyAny>,
                operator: CompareOp,
            ) -> PyResult<Bound<'py, PyAny>> {
                let py = other.py();
                let Some(other) = Self::operand(other)? else {
                    return Ok(py.NotImplemented().into_bound(py));
                };
                let answer = match operator {
                    CompareOp::Eq => self.0 == other,
                    CompareOp::Ne => self.0 != other,
                    CompareOp::Le => self.0.is_subset(&other),
                    CompareOp::Lt => self.0.is_subset(&other) && self.0 != other,
                    CompareOp::Ge => other.is_subset(&self.0),
                    CompareOp::Gt => other.is_subset(&self.0) && self.0 != other,
                };
                Ok(answer.into_pyobject(py)?.to_owned().into_any())
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                PyFrozenSet::new(py, self.0.iter())?.hash()
            }

            fn __str__(&self) -> String {
                self.0.to_string()
            }

            fn __repr__(&self) -> String {
                format!(concat!(stringify!($name), "('{}')"), self.0)
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, (String,)) {
                (py.get_type::<Self>(), (self.0.to_string(),))
            }
        }
    };
}

index_set! {
    /// An immutable set of logical CPUs by the kernel's numbers, 0 to 65535.
    ///
    /// Made of an iterable of integers, or of a text in the kernel's list syntax. A `collections.abc.Set`: it is
    /// compared, combined and hashed like a frozenset, and goes wherever CPUs are given as integers.
    ///
    /// Raises InvalidInputError for a text that is no list, InvalidRequestError for a number out of range.
    ///
    /// >>> from nvtopo import CpuSet
    /// >>> cpus = CpuSet("0-7,16-23")
    /// >>> len(cpus), 16 in cpus, str(cpus & {6, 7, 8})
    /// (16, True, '6-7')
    /// >>> cpus.to_mask()
    /// '00ff00ff'
    CpuSet, other than NodeSet, taken as CpuArgument
}

index_set! {
    /// An immutable set of NUMA nodes by the kernel's numbers, 0 to 65535.
    ///
    /// Like CpuSet, and never equal to one: a node is not a CPU.
    ///
    /// >>> from nvtopo import NodeSet
    /// >>> sorted(NodeSet("0,8") | {9})
    /// [0, 8, 9]
    NodeSet, other than CpuSet, taken as NodeArgument
}
