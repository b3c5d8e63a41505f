//! `Explanation`: a placement, held against others.

use crate::call;
use crate::pickle::{Field, Reduced, answered_otherwise, fields, next, reduce};
use crate::placement::{Placement, Score, hash};
use crate::terms::Terms;
use nvtopo::Solver;
use nvtopo::render::json;
use nvtopo::solve::Quantity;
use nvtopo_draw::{Style, by_name};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::sync::Arc;

/// A placement beside the next best set and first fit. Made by Topology.explain. Unpickling computes it again, as that of a Placement.
///
/// >>> import nvtopo
/// >>> why = nvtopo.preset("dgx-1-v100").explain(gpus=2)
/// >>> why.first_fit.gpus, str(why.first_fit.loss)
/// ([0, 1], 'ring: 25 GB/s instead of 50 GB/s')
#[pyclass(frozen, eq, module = "nvtopo")]
pub(crate) struct Explanation {
    answer: nvtopo::solve::Explanation,
    /// The arguments of the call.
    terms: Arc<Terms>,
}

impl PartialEq for Explanation {
    fn eq(&self, other: &Self) -> bool {
        self.answer == other.answer
    }
}

#[pymethods]
impl Explanation {
    #[getter]
    /// The GPUs for the job.
    fn placement(&self) -> Placement {
        Placement::of(self.answer.placement.clone(), Arc::clone(&self.terms))
    }

    #[getter]
    /// The best set besides, under the same constraints. None: there is no other.
    fn next(&self) -> Option<Alternative> {
        self.answer.next.as_ref().map(Alternative::of)
    }

    #[getter]
    /// The free GPUs with the lowest indices, as a scheduler that only counts GPUs takes them. None: they are the chosen ones,
    /// or others were included.
    fn first_fit(&self) -> Option<Alternative> {
        self.answer.first_fit.as_ref().map(Alternative::of)
    }

    /// The explanation as JSON for programs.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(json::explanation(&self.answer)))
    }

    /// The explanation as text for people.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.explanation(&self.answer, Style::default())))
    }

    fn __hash__(&self) -> u64 {
        hash(&self.answer.placement.gpu_indices())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Explanation", self)
    }

    fn __repr__(&self) -> String {
        format!("<Explanation of {}>", self.answer.placement)
    }
}

impl Explanation {
    /// Answers a request to a machine without jobs.
    pub(crate) fn find(py: Python<'_>, solver: &Solver, terms: Terms) -> PyResult<Self> {
        let answer = call(py, || solver.explain(&terms.request_on(solver.topology())))?;
        Ok(Self { answer, terms: Arc::new(terms) })
    }
}

impl Field for Explanation {
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let others = vec![self.next(), self.first_fit()];
        let fields = [self.placement().give(py)?, others.give(py)?];
        Ok(PyTuple::new(py, fields)?.into_any())
    }

    fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut fields = fields(value, 2)?.into_iter();
        let Placement { answer, terms, .. } = next(&mut fields)?;
        let expected: Vec<Option<Alternative>> = next(&mut fields)?;
        let again = Self::find(value.py(), &Solver::new(answer.topology()), (*terms).clone());
        let same = |again: &Self| {
            again.answer.placement == answer && vec![again.next(), again.first_fit()] == expected
        };
        again.ok().filter(same).ok_or_else(|| answered_otherwise("explanation"))
    }
}

/// A set of GPUs that was not chosen.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Alternative {
    /// The indices of its GPUs.
    gpus: Vec<u32>,
    /// One value for each objective, most important first.
    score: Vec<Score>,
    /// True where it meets the requirements, and the preference that the chosen set meets.
    meets: bool,
    /// The first objective by which it differs from what was chosen. None: both are as good, and the lowest indices
    /// decided.
    loss: Option<Loss>,
}

crate::pickle::plain!(Alternative { gpus, score, loss, meets });

#[pymethods]
impl Alternative {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Alternative", self)
    }

    fn __repr__(&self) -> String {
        let names: Vec<String> = self.gpus.iter().map(|index| format!("GPU{index}")).collect();
        format!("<Alternative {}>", names.join(","))
    }
}

impl Alternative {
    fn of(other: &nvtopo::solve::Alternative) -> Self {
        Self {
            gpus: other.gpu_indices.clone(),
            score: other.scores.iter().map(Score::of).collect(),
            meets: other.meets,
            loss: other.loss.map(|loss| Loss {
                objective: loss.objective,
                own: loss.own,
                best: loss.chosen,
                unit: loss.unit,
                text: loss.to_string(),
            }),
        }
    }
}

/// The objective by which an alternative is worse, and by how much. `str()` says it in words.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Loss {
    #[pyo3(get)]
    /// The objective's name.
    objective: &'static str,
    own: Option<Quantity>,
    best: Option<Quantity>,
    #[pyo3(get)]
    /// The unit, as in Score.
    unit: &'static str,
    text: String,
}

crate::pickle::plain!(Loss { objective, own, best, unit, text });

#[pymethods]
impl Loss {
    #[getter]
    /// The value of the alternative, in the unit. None: something that it rests on is unknown.
    fn value(&self) -> Option<f64> {
        self.own.map(Quantity::number)
    }

    #[getter]
    /// The value of the chosen set, in the unit. Equal where only the nearness of the paths differs.
    fn chosen(&self) -> Option<f64> {
        self.best.map(Quantity::number)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Loss", self)
    }

    fn __repr__(&self) -> String {
        format!("<Loss {}>", self.text)
    }
}
