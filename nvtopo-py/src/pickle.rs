//! Pickling. An object that is nothing but its fields is pickled as the name of its class and the plain values of the fields.
//! An answer is pickled as its topology, its arguments and the most important of its values: unpickling computes it again, and
//! fails if it differs.

use crate::cpuset::{CpuSet, NodeSet};
use nvtopo::Bandwidth;
use nvtopo::solve::Quantity;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyTupleMethods};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// A value that a field can have.
pub(crate) trait Field: Sized {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self>;
}

/// The answer of `__reduce__`.
pub(crate) type Reduced<'py> = (Bound<'py, PyAny>, (&'static str, Bound<'py, PyAny>));

/// Returns the answer of `__reduce__` for an object that is made again by `_remake`.
pub(crate) fn reduce<'py>(
    py: Python<'py>,
    class: &'static str,
    object: &impl Field,
) -> PyResult<Reduced<'py>> {
    Ok((py.import("nvtopo._nvtopo")?.getattr("_remake")?, (class, object.give(py)?)))
}

/// Makes a class one that is its fields: all of them, by name.
macro_rules! plain {
    ($class:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::pickle::Field for $class {
            fn give<'py>(&self, py: pyo3::Python<'py>) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                let fields = [$($crate::pickle::Field::give(&self.$field, py)?),+];
                Ok(pyo3::types::PyTuple::new(py, fields)?.into_any())
            }

            fn take(value: &pyo3::Bound<'_, pyo3::PyAny>) -> pyo3::PyResult<Self> {
                let mut fields = $crate::pickle::fields(value, [$(stringify!($field)),+].len())?.into_iter();
                $(let $field = $crate::pickle::next(&mut fields)?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
}
pub(crate) use plain;

/// Exactly so many fields.
pub(crate) fn fields<'py>(value: &Bound<'py, PyAny>, count: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let fields: Vec<_> = value.cast::<PyTuple>()?.iter().collect();
    if fields.len() == count { Ok(fields) } else { Err(other_version()) }
}

pub(crate) fn next<'py, F: Field>(fields: &mut impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<F> {
    F::take(&fields.next().ok_or_else(other_version)?)
}

/// The refusal of what this version did not write.
pub(crate) fn other_version() -> PyErr {
    PyValueError::new_err("this was pickled by another version of nvtopo")
}

/// The refusal of an answer that this version does not give.
pub(crate) fn answered_otherwise(what: &str) -> PyErr {
    PyValueError::new_err(format!(
        "this {what} was pickled by another version of nvtopo, and this version answers otherwise: compute it again"
    ))
}

macro_rules! plain_values {
    ($($value:ty),+) => {$(
        impl Field for $value {
            fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.clone().into_bound_py_any(py)
            }

            fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        }
    )+};
}

plain_values!(bool, u8, u16, u32, u64, usize, f64, String, (u32, Option<String>));
plain_values!((usize, Option<usize>));
plain_values!(BTreeMap<u32, u64>, BTreeMap<u32, BTreeMap<u64, u64>>);

/// Names are few; one that was never read before is leaked.
impl Field for &'static str {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let word: String = value.extract()?;
        let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = words.get(word.as_str()) {
            return Ok(known);
        }
        let word: &'static str = word.leak();
        words.insert(word);
        Ok(word)
    }
}

impl<F: Field> Field for Option<F> {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None().into_bound(py)), |value| value.give(py))
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if value.is_none() { Ok(None) } else { F::take(value).map(Some) }
    }
}

impl<F: Field> Field for Vec<F> {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let items: Vec<_> = self.iter().map(|item| item.give(py)).collect::<PyResult<_>>()?;
        Ok(PyTuple::new(py, items)?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.cast::<PyTuple>()?.iter().map(|item| F::take(&item)).collect()
    }
}

impl Field for Box<[f64]> {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.iter().copied())?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Vec::take(value).map(Vec::into_boxed_slice)
    }
}

impl Field for CpuSet {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.to_string().into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        crate::arguments::word(value.py(), &value.extract::<String>()?).map(Self)
    }
}

impl Field for NodeSet {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.to_string().into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        crate::arguments::word(value.py(), &value.extract::<String>()?).map(Self)
    }
}

impl Field for nvtopo::Topology {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::topology::Topology::of(self.clone()).into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(value.cast::<crate::topology::Topology>()?.get().0.clone())
    }
}

impl Field for Bandwidth {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_mb_per_s().into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        value.extract().map(Self::from_mb_per_s)
    }
}

impl Field for Quantity {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let number = match *self {
            Self::Bandwidth(bandwidth) => bandwidth.as_mb_per_s(),
            Self::NumaNodes(number) | Self::Models(number) | Self::Share(number) => number.into(),
            _ => return Err(PyValueError::new_err("a quantity of this kind cannot be pickled")),
        };
        (self.unit(), number).into_bound_py_any(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (unit, number): (String, u64) = value.extract()?;
        let small = u32::try_from(number).map_err(|_| other_version());
        match unit.as_str() {
            "GB/s" => Ok(Self::Bandwidth(Bandwidth::from_mb_per_s(number))),
            "NUMA nodes" => small.map(Self::NumaNodes),
            "models" => small.map(Self::Models),
            "share" => small.map(Self::Share),
            _ => Err(other_version()),
        }
    }
}

/// Makes an object again of what it was pickled to.
#[pyfunction]
#[pyo3(name = "_remake")]
pub(crate) fn remake<'py>(name: &str, fields: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match name {
        "Gpu" => made::<crate::gpus::Gpu>(fields),
        "GpuInstance" => made::<crate::gpus::GpuInstance>(fields),
        "Fabric" => made::<crate::gpus::Fabric>(fields),
        "NvLink" => made::<crate::gpus::NvLink>(fields),
        "PcieLink" => made::<crate::devices::PcieLink>(fields),
        "Nic" => made::<crate::devices::Nic>(fields),
        "NumaNode" => made::<crate::devices::NumaNode>(fields),
        "HugePages" => made::<crate::devices::HugePages>(fields),
        "P2p" => made::<crate::pairs::P2p>(fields),
        "Pair" => made::<crate::pairs::Pair>(fields),
        "BestSet" => made::<crate::best_set::BestSet>(fields),
        "BandwidthMatrix" => made::<crate::matrix::BandwidthMatrix>(fields),
        "Placement" => made::<crate::placement::Placement>(fields),
        "Explanation" => made::<crate::explanation::Explanation>(fields),
        "Plan" => made::<crate::plan::Plan>(fields),
        "Part" => made::<crate::plan::Part>(fields),
        "RankMap" => made::<crate::ranks::RankMap>(fields),
        "Request" => made::<crate::allocator::Request>(fields),
        "Job" => made::<crate::allocator::Job>(fields),
        "Batch" => made::<crate::allocator::Batch>(fields),
        "PlacedGpu" => made::<crate::placement::PlacedGpu>(fields),
        "Score" => made::<crate::placement::Score>(fields),
        "Alternative" => made::<crate::explanation::Alternative>(fields),
        "Loss" => made::<crate::explanation::Loss>(fields),
        "Share" => made::<crate::shares::Share>(fields),
        "Note" => made::<crate::note::Note>(fields),
        "Shares" => made::<crate::shares::Shares>(fields),
        "VisibleGpus" => made::<crate::visible::VisibleGpus>(fields),
        "InstancePlacement" => made::<crate::instance::InstancePlacement>(fields),
        "RankGroup" => made::<crate::ranks::RankGroup>(fields),
        "DimensionTime" => made::<crate::ranks::DimensionTime>(fields),
        "Change" => made::<crate::diff::Change>(fields),
        "Diff" => made::<crate::diff::Diff>(fields),
        "Written" => made::<crate::written::Written>(fields),
        "Bound" => made::<crate::bind_request::Bound>(fields),
        _ => Err(other_version()),
    }
}

fn made<'py, F>(fields: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>
where
    F: Field + IntoPyObject<'py>,
    PyErr: From<F::Error>,
{
    F::take(fields)?.into_bound_py_any(fields.py())
}
