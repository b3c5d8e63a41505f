//! `nvtopo_placement`: the chosen GPUs, what belongs to each, and how good that is.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::handle::{c_document, c_known, c_text, c_texts, element, given, or_null};
use crate::status::{Failure, answer, free, nvtopo_status};
use crate::topology::nvtopo_path;
use nvtopo::render::json;
use nvtopo::solve::Quantity;
use nvtopo::{PlacedGpu, Placement, Score};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The GPUs for a job, in the order to use: local rank 0 takes the first. It never changes, and any number of threads
/// may use it at once.
pub struct nvtopo_placement {
    pub(crate) placement: Placement,
    /// Made when the first is asked for: many callers want the indices only.
    texts: OnceBox<Texts>,
    json: OnceBox<CString>,
}

/// The texts and sets of a placement, as C gets them.
struct Texts {
    gpus: Vec<Chosen>,
    scores: ScoreTexts,
    preference: Option<CString>,
    unmet: Vec<CString>,
    environment: Vec<(CString, CString)>,
    remarks: Vec<CString>,
    why: CString,
}

/// The objectives and units of scores.
pub(crate) struct ScoreTexts(Vec<(CString, CString)>);

/// The texts and sets of one chosen GPU, as C gets them.
struct Chosen {
    cpus: nvtopo_cpuset,
    mems: Option<CString>,
    nics: Vec<CString>,
    nic: Option<CString>,
}

/// The value of the chosen GPUs by one objective.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_score {
    /// The objective's name.
    pub objective: *const c_char,
    /// The unit: "GB/s" (1e9 bytes per second, one direction), "NUMA nodes", or "share" (a part of 1).
    pub unit: *const c_char,
    /// The value in its unit; NaN where `known` is false.
    pub value: f64,
    /// True where all that the value rests on is known.
    pub known: bool,
    /// True where it is known how much better a set could be.
    pub bounded: bool,
    /// No set is better than this, in the same unit. It means nothing where `bounded` is false.
    pub bound: f64,
}

/// An environment variable.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_variable {
    /// Its name.
    pub name: *const c_char,
    /// Its value.
    pub value: *const c_char,
}

/// Frees a placement. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_free(placement: Option<Box<nvtopo_placement>>) {
    free(placement);
}

/// Counts the GPUs that were chosen: as many as were asked for.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_gpu_count(
    placement: Option<&nvtopo_placement>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(placement, "placement")?.placement.gpus().len()))
}

/// The index of the chosen GPU number `i`, from 0 on: the one that nvidia-smi shows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_gpu(
    placement: Option<&nvtopo_placement>,
    i: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || Ok(placed(placement, i)?.index))
}

/// The position of the chosen GPU number `i` among the devices of the topology.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_device(
    placement: Option<&nvtopo_placement>,
    i: usize,
    device: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(device, "device", || Ok(placed(placement, i)?.position))
}

/// The CPUs of the chosen GPU number `i`: its own share, wherever there are enough. The set belongs to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_cpus(
    placement: Option<&nvtopo_placement>,
    i: usize,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || Ok(&raw const chosen(placement, i)?.cpus))
}

/// The NUMA nodes that the chosen GPU number `i` takes memory from, as the kernel's list, such as "0" or "0-1"; NULL
/// when they are not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_mems(
    placement: Option<&nvtopo_placement>,
    i: usize,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(or_null(chosen(placement, i)?.mems.as_ref())))
}

/// The memory in bytes that is set aside for the chosen GPU number `i` on the NUMA node `node`, by the kernel's number: none where none
/// was asked for, nor where a remark says that nobody knows what its nodes have.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_memory(
    placement: Option<&nvtopo_placement>,
    i: usize,
    node: u32,
    bytes: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(bytes, "bytes", || {
        let memory = placed(placement, i)?.memory.iter().flatten();
        Ok(memory.filter(|given| given.node == node).map(|given| given.bytes).fold(0, u64::saturating_add))
    })
}

/// Counts the huge pages of a size in bytes that are set aside for the chosen GPU number `i` on the NUMA node `node`, by the
/// kernel's number: none where none were asked for, nor where a remark says that nobody knows what its nodes have.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_huge_pages(
    placement: Option<&nvtopo_placement>,
    i: usize,
    node: u32,
    page_size: u64,
    count: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(count, "count", || {
        let pages = placed(placement, i)?.huge_pages.iter().flatten();
        Ok(pages.filter(|given| given.node == node && given.size == page_size).map(|given| given.count).sum())
    })
}

/// Counts the NICs that are nearest to the chosen GPU number `i`; 0 when none is known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_nic_count(
    placement: Option<&nvtopo_placement>,
    i: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(chosen(placement, i)?.nics.len()))
}

/// The name of NIC number `nic`, from 0 on, among those nearest to the chosen GPU number `i`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_nic(
    placement: Option<&nvtopo_placement>,
    i: usize,
    nic: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || Ok(element(&chosen(placement, i)?.nics, nic, "NIC")?.as_ptr()))
}

/// The class of the path from the chosen GPU number `i` to its nearest NICs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_nic_path(
    placement: Option<&nvtopo_placement>,
    i: usize,
    path: Option<&mut MaybeUninit<nvtopo_path>>,
) -> nvtopo_status {
    answer(path, "path", || Ok(placed(placement, i)?.nic_path.into()))
}

/// The name of the NIC that the chosen GPU number `i` should use, so that none serves more GPUs than its share;
/// NULL where no NIC is known. The text belongs to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_own_nic(
    placement: Option<&nvtopo_placement>,
    i: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || Ok(or_null(chosen(placement, i)?.nic.as_ref())))
}

/// The first of what the request prefers that can be met, such as "nvlink-group"; NULL where nothing was preferred or
/// nothing can be met. The text belongs to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_preference(
    placement: Option<&nvtopo_placement>,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(or_null(texts(placement)?.preference.as_ref())))
}

/// Counts the preferences of the request before that one which cannot be met.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_unmet_count(
    placement: Option<&nvtopo_placement>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(texts(placement)?.unmet.len()))
}

/// A preference that cannot be met, by its number, from 0 on, and the reason. The text belongs to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_unmet(
    placement: Option<&nvtopo_placement>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&texts(placement)?.unmet, i, "preference")?.as_ptr()))
}

/// Counts the objectives that the sets of GPUs were compared by.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_score_count(
    placement: Option<&nvtopo_placement>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(placement, "placement")?.placement.scores().len()))
}

/// The value by objective number `i`, from 0 on, most important first. The texts belong to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_score(
    placement: Option<&nvtopo_placement>,
    i: usize,
    score: Option<&mut MaybeUninit<nvtopo_score>>,
) -> nvtopo_status {
    answer(score, "score", || {
        let placement = given(placement, "placement")?;
        placement.texts().scores.score(placement.placement.scores(), i)
    })
}

/// True where it is proven that no set of GPUs is better.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_is_optimal(
    placement: Option<&nvtopo_placement>,
    is_optimal: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(is_optimal, "is_optimal", || Ok(given(placement, "placement")?.placement.is_optimal()))
}

/// One sentence of why these GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_why(
    placement: Option<&nvtopo_placement>,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(texts(placement)?.why.as_ptr()))
}

/// Counts the remarks: what a person should know about the CPUs and memory given.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_remark_count(
    placement: Option<&nvtopo_placement>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(texts(placement)?.remarks.len()))
}

/// A remark by its number, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_remark(
    placement: Option<&nvtopo_placement>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&texts(placement)?.remarks, i, "remark")?.as_ptr()))
}

/// The placement as JSON, as `nvtopo place --format json` prints it. The text belongs to the placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_to_json(
    placement: Option<&nvtopo_placement>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let placement = given(placement, "placement")?;
        let make = || Box::new(c_document(json::placement(&placement.placement)));
        Ok(placement.json.get_or_init(make).as_ptr())
    })
}

/// Counts the environment variables that show a process just the chosen GPUs, in their order.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_variable_count(
    placement: Option<&nvtopo_placement>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(texts(placement)?.environment.len()))
}

/// Variable number `i`, from 0 on, such as `CUDA_VISIBLE_DEVICES`. Its name and value belong to the placement. Set them
/// all before the process calls CUDA for the first time.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_placement_variable(
    placement: Option<&nvtopo_placement>,
    i: usize,
    variable: Option<&mut MaybeUninit<nvtopo_variable>>,
) -> nvtopo_status {
    answer(variable, "variable", || {
        let (name, value) = element(&texts(placement)?.environment, i, "variable")?;
        Ok(nvtopo_variable { name: name.as_ptr(), value: value.as_ptr() })
    })
}

impl From<Placement> for nvtopo_placement {
    fn from(placement: Placement) -> Self {
        Self { placement, texts: OnceBox::new(), json: OnceBox::new() }
    }
}

impl nvtopo_placement {
    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Box::new(Texts::of(&self.placement)))
    }
}

impl Texts {
    fn of(placement: &Placement) -> Self {
        let environment = placement.cuda_environment();
        Self {
            gpus: placement.gpus().iter().map(Chosen::of).collect(),
            scores: ScoreTexts::of(placement.scores()),
            preference: placement.preference().map(c_text),
            unmet: c_texts(placement.unmet()),
            environment: environment.iter().map(|(name, value)| (c_text(name), c_text(value))).collect(),
            remarks: c_texts(placement.remarks()),
            why: c_text(placement.why()),
        }
    }
}

impl ScoreTexts {
    pub(crate) fn of(scores: &[Score]) -> Self {
        Self(scores.iter().map(|score| (c_text(score.objective), c_text(score.unit))).collect())
    }

    /// A score by its number.
    pub(crate) fn score(&self, scores: &[Score], i: usize) -> Result<nvtopo_score, Failure> {
        let (score, (objective, unit)) = (element(scores, i, "score")?, element(&self.0, i, "score")?);
        Ok(nvtopo_score {
            objective: objective.as_ptr(),
            unit: unit.as_ptr(),
            value: score.value.map_or(f64::NAN, Quantity::number),
            known: score.value.is_some(),
            bounded: score.bound.is_some(),
            bound: score.bound.map_or(0.0, Quantity::number),
        })
    }
}

impl Chosen {
    fn of(gpu: &PlacedGpu) -> Self {
        let nic = gpu.nic.as_ref().map(c_text);
        Self { cpus: gpu.cpus.clone().into(), mems: c_known(&gpu.mems), nics: c_texts(&gpu.nics), nic }
    }
}

fn texts(placement: Option<&nvtopo_placement>) -> Result<&Texts, Failure> {
    Ok(given(placement, "placement")?.texts())
}

fn chosen(placement: Option<&nvtopo_placement>, i: usize) -> Result<&Chosen, Failure> {
    element(&texts(placement)?.gpus, i, "chosen GPU")
}

fn placed(placement: Option<&nvtopo_placement>, i: usize) -> Result<&PlacedGpu, Failure> {
    element(given(placement, "placement")?.placement.gpus(), i, "chosen GPU")
}
