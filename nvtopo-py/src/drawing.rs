//! Pictures of a topology.

use crate::arguments::Count;
use crate::call;
use crate::placement::Placement;
use nvtopo::{Request, Solver};
use nvtopo_draw::{Picture, PictureFormat, Theme};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The GPUs to highlight.
#[derive(FromPyObject)]
pub(crate) enum Highlighted<'py> {
    Placement(PyRef<'py, Placement>),
    Best(Count),
}

/// Draws the solver's machine: a text, or bytes where the format is none.
pub(crate) fn draw<'py>(
    py: Python<'py>,
    solver: &Solver,
    format: &str,
    gpus: Option<Highlighted<'py>>,
    theme: &str,
    scale: f32,
) -> PyResult<Bound<'py, PyAny>> {
    let (chosen, count) = match gpus {
        Some(Highlighted::Placement(placement)) => (Some(placement.answer.clone()), None),
        Some(Highlighted::Best(count)) => (None, Some(count.0)),
        None => (None, None),
    };
    let drawn = call(py, || {
        let format = PictureFormat::by_name(format)?;
        let theme = Theme::by_name(theme)?;
        let best = count.map(|count| solver.solve(&Request::gpus(count))).transpose()?;
        let mut picture = Picture::new(solver.topology()).with_theme(theme).with_scale(scale);
        if let Some(placement) = best.as_ref().or(chosen.as_ref()) {
            picture = picture.with_placement(placement);
        }
        Ok(match format {
            PictureFormat::Png => Err(picture.png()?),
            _ => Ok(String::from_utf8_lossy(&picture.draw(format)?).into_owned()),
        })
    })?;
    Ok(match drawn {
        Ok(text) => PyString::new(py, &text).into_any(),
        Err(bytes) => PyBytes::new(py, &bytes).into_any(),
    })
}
