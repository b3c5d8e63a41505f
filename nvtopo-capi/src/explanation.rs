//! `nvtopo_explanation`: why these GPUs, and what would have been chosen instead.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{c_document, c_text, element, given, or_null, owned};
use crate::placement::{ScoreTexts, nvtopo_placement, nvtopo_score};
use crate::request::nvtopo_request;
use crate::status::{answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::render::json;
use nvtopo::solve::{Alternative, Explanation};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A placement beside what it was chosen before. It never changes, and any number of threads may use it at once.
pub struct nvtopo_explanation {
    placement: nvtopo_placement,
    next: Option<nvtopo_alternative>,
    first_fit: Option<nvtopo_alternative>,
    explanation: Explanation,
    json: OnceBox<CString>,
}

/// A set of GPUs that was not chosen. It belongs to its explanation.
pub struct nvtopo_alternative {
    alternative: Alternative,
    scores: ScoreTexts,
    loss: Option<CString>,
}

/// Chooses the best GPUs for a request, as `nvtopo_topology_place` does, and finds what would have been chosen instead.
///
///     const nvtopo_alternative *next = NULL;
///     const char *loss = NULL;
///     if (nvtopo_topology_explain(topology, request, &explanation) == NVTOPO_STATUS_OK
///         && nvtopo_explanation_next(explanation, &next) == NVTOPO_STATUS_OK && next != NULL
///         && nvtopo_alternative_loss(next, &loss) == NVTOPO_STATUS_OK && loss != NULL)
///         printf("the next best set has %s\n", loss);
///
/// Fails as that does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_explain(
    topology: Option<&nvtopo_topology>,
    request: Option<&nvtopo_request>,
    explanation: Option<&mut MaybeUninit<*mut nvtopo_explanation>>,
) -> nvtopo_status {
    answer(explanation, "explanation", || {
        let topology = given(topology, "topology")?;
        let request = given(request, "request")?.seeing(&topology.topology);
        let explained = topology.solver.explain(&request)?;
        Ok(owned(nvtopo_explanation {
            placement: explained.placement.clone().into(),
            next: explained.next.clone().map(nvtopo_alternative::of),
            first_fit: explained.first_fit.clone().map(nvtopo_alternative::of),
            explanation: explained,
            json: OnceBox::new(),
        }))
    })
}

/// Frees an explanation, and with it its placement and alternatives. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_explanation_free(explanation: Option<Box<nvtopo_explanation>>) {
    free(explanation);
}

/// The GPUs for the job. The placement belongs to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_explanation_placement(
    explanation: Option<&nvtopo_explanation>,
    placement: Option<&mut MaybeUninit<*const nvtopo_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || Ok(&raw const given(explanation, "explanation")?.placement))
}

/// The placement and what would have been chosen instead, as JSON. The text belongs to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_explanation_to_json(
    explanation: Option<&nvtopo_explanation>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let own = given(explanation, "explanation")?;
        let make = || Box::new(c_document(json::explanation(&own.explanation)));
        Ok(own.json.get_or_init(make).as_ptr())
    })
}

/// The best set besides, under the same constraints; NULL where there is no other. It belongs to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_explanation_next(
    explanation: Option<&nvtopo_explanation>,
    alternative: Option<&mut MaybeUninit<*const nvtopo_alternative>>,
) -> nvtopo_status {
    answer(alternative, "alternative", || Ok(pointer(given(explanation, "explanation")?.next.as_ref())))
}

/// The free GPUs with the lowest numbers, whether or not they meet the constraints; NULL where they are what was chosen, or the
/// request includes others. It belongs to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_explanation_first_fit(
    explanation: Option<&nvtopo_explanation>,
    alternative: Option<&mut MaybeUninit<*const nvtopo_alternative>>,
) -> nvtopo_status {
    answer(alternative, "alternative", || Ok(pointer(given(explanation, "explanation")?.first_fit.as_ref())))
}

/// Counts the GPUs of an alternative: as many as were asked for.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_alternative_gpu_count(
    alternative: Option<&nvtopo_alternative>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(alternative, "alternative")?.alternative.gpu_indices.len()))
}

/// The index of GPU number `i`, from 0 on, of an alternative: the one that nvidia-smi shows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_alternative_gpu(
    alternative: Option<&nvtopo_alternative>,
    i: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || {
        Ok(*element(&given(alternative, "alternative")?.alternative.gpu_indices, i, "GPU")?)
    })
}

/// Counts the objectives that an alternative was compared by.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_alternative_score_count(
    alternative: Option<&nvtopo_alternative>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(alternative, "alternative")?.alternative.scores.len()))
}

/// The value of an alternative by objective number `i`, from 0 on, most important first. The texts belong to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_alternative_score(
    alternative: Option<&nvtopo_alternative>,
    i: usize,
    score: Option<&mut MaybeUninit<nvtopo_score>>,
) -> nvtopo_status {
    answer(score, "score", || {
        let own = given(alternative, "alternative")?;
        own.scores.score(&own.alternative.scores, i)
    })
}

/// By what an alternative is worse than the chosen GPUs, such as "ring: 25 GB/s instead of 50 GB/s"; NULL where it is as good,
/// and the lowest numbers decided. The text belongs to the explanation.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_alternative_loss(
    alternative: Option<&nvtopo_alternative>,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(or_null(given(alternative, "alternative")?.loss.as_ref())))
}

impl nvtopo_alternative {
    fn of(alternative: Alternative) -> Self {
        let scores = ScoreTexts::of(&alternative.scores);
        Self { scores, loss: alternative.loss.map(c_text), alternative }
    }
}

fn pointer(alternative: Option<&nvtopo_alternative>) -> *const nvtopo_alternative {
    alternative.map_or(std::ptr::null(), std::ptr::from_ref)
}
