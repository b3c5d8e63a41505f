//! `best_set`: the best GPUs by a bare matrix of numbers, for schedulers that have no topology.

use crate::arguments::{Count, Rows, Word};
use crate::call;
use crate::error::invalid_request;
use crate::pickle::{Reduced, reduce};
use nvtopo::solve::{NumberMatrix, PairMatrix, PairObjective};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use std::hash::{Hash, Hasher};

/// The best set of GPUs by a matrix. Made by best_set.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(PartialEq)]
pub(crate) struct BestSet {
    #[pyo3(get)]
    /// The rows of the chosen GPUs, increasing.
    gpus: Vec<usize>,
    #[pyo3(get)]
    /// The worst pair of the set or the sum of its pairs, in the unit of the matrix. One GPU has no pair and is worth 0.
    /// None: a pair of the set is unknown.
    value: Option<f64>,
    #[pyo3(get)]
    /// No set is worth more, unknown pairs taken as 0.
    bound: f64,
    #[pyo3(get)]
    /// True where no set is worth more, and none that is worth as much has lower GPUs: always, where there are 16 GPUs or fewer.
    /// Sums are of numbers to one part in 4 billion of the greatest.
    proven: bool,
}

impl Eq for BestSet {}

// Its numbers are never NaN, and never -0.
impl Hash for BestSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let value = self.value.map(f64::to_bits);
        (&self.gpus, value, self.bound.to_bits(), self.proven).hash(state);
    }
}

crate::pickle::plain!(BestSet { gpus, value, bound, proven });

#[pymethods]
impl BestSet {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "BestSet", self)
    }

    fn __repr__(&self) -> String {
        let value = self.value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        let proven = if self.proven { "proven".to_owned() } else { format!("bound {}", self.bound) };
        format!("<BestSet {:?}, value {value}, {proven}>", self.gpus)
    }
}

/// The best `count` GPUs by what each pair of them is worth, for schedulers that have numbers and no topology.
///
/// `matrix` is any buffer of n rows and n columns (numpy.ndarray, BandwidthMatrix, memoryview, ...) of up to 128 GPUs, in
/// which more is better. The diagonal is not looked at. Where the two directions of a pair differ, the lower number counts.
/// NaN is unknown: such a pair is compared as if it were worth 0. GPUs are named by their rows, from 0.
///
/// free: the GPUs that may be chosen; None: all. include: those that must be chosen. objective: "min-pair", the worst pair
/// of the set, or "pair-sum", the sum of its pairs. The lowest GPUs of several best sets are chosen.
///
/// Raises UnsatisfiableError where not so many GPUs are free, InvalidRequestError for a contradiction or a matrix that is
/// not square or holds a negative number, and UnsupportedError for more than 128 GPUs.
///
/// >>> import nvtopo
/// >>> rates = memoryview(bytes([0, 9, 5, 1,  9, 0, 5, 1,  5, 5, 0, 1,  1, 1, 1, 0])).cast("B", (4, 4))
/// >>> nvtopo.best_set(rates, 3, objective="pair-sum")
/// <BestSet [0, 1, 2], value 19, proven>
/// >>> nvtopo.best_set(rates, 2, free=[1, 2, 3], include=[3]).gpus
/// [1, 3]
#[pyfunction]
#[pyo3(signature = (matrix, count, *, free=None, include=Rows::default(), objective=Word(PairObjective::MinPair)))]
#[pyo3(text_signature = "(matrix, count, *, free=None, include=(), objective='min-pair')")]
pub(crate) fn best_set(
    matrix: &Bound<'_, PyAny>,
    count: Count,
    free: Option<Rows>,
    include: Rows,
    objective: Word<PairObjective>,
) -> PyResult<BestSet> {
    let py = matrix.py();
    let (gpus, rows) = read(matrix)?;
    let (free, Rows(include)) = (free.map(|free| free.0), include);
    call(py, || {
        let matrix = NumberMatrix::from_rows(gpus, &rows)?;
        let free = free.map_or(Ok(u128::MAX), |free| matrix.set(&free))?;
        let best = matrix.best_set(objective.0, free, matrix.set(&include)?, count.0)?;
        let gpus = (0..gpus).filter(|gpu| best.set >> gpu & 1 == 1).collect();
        Ok(BestSet { gpus, value: best.value, bound: best.bound, proven: best.proven })
    })
}

/// The number of rows, and the numbers row by row.
fn read(matrix: &Bound<'_, PyAny>) -> PyResult<(usize, Vec<f64>)> {
    let py = matrix.py();
    let view = PyMemoryView::from(matrix)?;
    let shape: Vec<usize> = view.getattr("shape")?.extract()?;
    let &[gpus, columns] = shape.as_slice() else {
        let message = format!("the matrix has {} dimensions, not 2", shape.len());
        return Err(invalid_request(py, &message));
    };
    if gpus != columns {
        return Err(invalid_request(py, &format!("the matrix has {gpus} rows and {columns} columns")));
    }
    // Before so many numbers become objects.
    call(py, || PairMatrix::check_size(gpus))?;
    let format: String = view.getattr("format")?.extract()?;
    let numbers = view.call_method0("tolist").and_then(|rows| rows.extract::<Vec<Vec<f64>>>());
    let rows = numbers.map_err(|error| {
        let other =
            error.is_instance_of::<PyNotImplementedError>(py) || error.is_instance_of::<PyTypeError>(py);
        let message = format!("numbers of the format '{format}' cannot be read: give them as float64");
        if other { invalid_request(py, &message) } else { error }
    })?;
    Ok((gpus, rows.concat()))
}
