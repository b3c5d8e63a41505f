//! `BandwidthMatrix`: what lies between all devices, as numbers that other libraries read where they lie.
//!
//! The buffer protocol is made of pointers, so all `unsafe` of this face is here.

use crate::pickle::{Field, Reduced, other_version, reduce};
use nvtopo::Topology;
use pyo3::exceptions::{PyBufferError, PyIndexError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// The format of a number for `struct`: a double as this machine has it.
const FORMAT: &CStr = c"d";

const NUMBER: ffi::Py_ssize_t = size_of::<f64>().cast_signed();

/// The bandwidths between all devices, one direction, in GB/s: a row for each of `Topology.devices`, and in it a
/// column for each. NaN where nothing is known, and from a device to itself.
///
/// It never changes, and `memoryview` and `numpy.asarray` take it without a copy, by the buffer protocol.
///
/// >>> import nvtopo
/// >>> rates = nvtopo.preset("dgx-1-v100").bandwidth_matrix()
/// >>> rates.shape, rates[0, 3], rates.tolist()[0][1]
/// ((12, 12), 50.0, 25.0)
/// >>> memoryview(rates)[0, 3]
/// 50.0
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct BandwidthMatrix {
    devices: usize,
    /// Row by row. What buffers point to: never changed, never moved.
    rates: Box<[f64]>,
    /// The numbers of rows and columns as buffers have them.
    lengths: [ffi::Py_ssize_t; 2],
    /// The bytes from one row to the next, and from one column to the next.
    strides: [ffi::Py_ssize_t; 2],
}

impl Field for BandwidthMatrix {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.rates.give(py)
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let rates = Box::<[f64]>::take(value)?;
        let devices = rates.len().isqrt();
        if devices * devices == rates.len() { Ok(Self::new(devices, rates)) } else { Err(other_version()) }
    }
}

#[pymethods]
impl BandwidthMatrix {
    #[getter]
    /// The numbers of rows and columns.
    fn shape(&self) -> (usize, usize) {
        (self.devices, self.devices)
    }

    /// The rows as lists of numbers.
    fn tolist(&self) -> Vec<Vec<f64>> {
        self.rates.chunks(self.devices.max(1)).map(<[f64]>::to_vec).collect()
    }

    /// The rate from one device to another, by their positions.
    fn __getitem__(&self, key: (usize, usize)) -> PyResult<f64> {
        let (row, column) = key;
        let inside = row < self.devices && column < self.devices;
        inside.then(|| self.rates[row * self.devices + column]).ok_or_else(|| {
            let message = format!("({row}, {column}) is outside of {0} rows and {0} columns", self.devices);
            PyIndexError::new_err(message)
        })
    }

    fn __len__(&self) -> usize {
        self.devices
    }

    /// Shows a reader the numbers. What the view points to is owned by the matrix, which the view keeps alive, so that
    /// nothing is to be done when it is given back.
    #[allow(unsafe_code, reason = "the buffer protocol hands out pointers")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        // SAFETY: Python gives a view that it owns and nobody else uses, and its fields need not be initialized to write
        // this one. The protocol wants it null where a request is refused.
        unsafe { (&raw mut (*view).obj).write(ptr::null_mut()) };
        let wants = |what: c_int| flags & what == what;
        if wants(ffi::PyBUF_WRITABLE) {
            return Err(PyBufferError::new_err("a BandwidthMatrix never changes: ask for a view to read"));
        }
        let matrix = slf.get();
        if wants(ffi::PyBUF_F_CONTIGUOUS) && matrix.devices > 1 {
            return Err(PyBufferError::new_err("a BandwidthMatrix lies row by row, not column by column"));
        }
        // The pointers are to fields of a frozen object, behind which nobody writes, though the protocol has them mutable.
        let (lengths, strides) = (matrix.lengths.as_ptr().cast_mut(), matrix.strides.as_ptr().cast_mut());
        let mut filled = ffi::Py_buffer {
            buf: matrix.rates.as_ptr().cast_mut().cast::<c_void>(),
            len: matrix.rates.len().cast_signed() * NUMBER,
            itemsize: NUMBER,
            readonly: 1,
            // Who does not ask for the shape gets bytes in a row.
            ndim: if wants(ffi::PyBUF_ND) { 2 } else { 1 },
            format: if wants(ffi::PyBUF_FORMAT) { FORMAT.as_ptr().cast_mut() } else { ptr::null_mut() },
            shape: if wants(ffi::PyBUF_ND) { lengths } else { ptr::null_mut() },
            strides: if wants(ffi::PyBUF_STRIDES) { strides } else { ptr::null_mut() },
            suboffsets: ptr::null_mut(),
            internal: ptr::null_mut(),
            obj: ptr::null_mut(),
        };
        // The reference that keeps the matrix alive; Python drops it when the view is given back.
        filled.obj = slf.into_any().into_ptr();
        // SAFETY: as above. What the view points to lives as long as the matrix, since a box's content and a Python object
        // are never moved, and the class is frozen.
        unsafe { view.write(filled) };
        Ok(())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "BandwidthMatrix", self)
    }

    fn __repr__(&self) -> String {
        format!("<BandwidthMatrix of {} devices>", self.devices)
    }
}

impl BandwidthMatrix {
    pub(crate) fn of(topology: &Topology) -> Self {
        let devices = topology.devices().len();
        let rate =
            |a: usize, b: usize| topology.pairs().pair(a, b).rate.map(|rate| rate.bandwidth.as_gb_per_s());
        let all = (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b)));
        Self::new(devices, all.map(|(a, b)| rate(a, b).unwrap_or(f64::NAN)).collect())
    }

    /// Of the rows one after another.
    fn new(devices: usize, rates: Box<[f64]>) -> Self {
        let columns = devices.cast_signed();
        Self { devices, rates, lengths: [columns; 2], strides: [columns * NUMBER, NUMBER] }
    }
}
