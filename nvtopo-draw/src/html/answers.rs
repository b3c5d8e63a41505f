//! The answers that the page holds: of every set where the GPUs are few, of the best sets where they are more. The library gives
//! all of them while the page is written.

use crate::words;
use nvtopo::model::GroupShape;
use nvtopo::{Placement, Request, Solver, Topology};
use serde_json::{Map, Value, json};

/// The most GPUs of which every set is answered.
const ALL_SETS: usize = 8;
/// The most GPUs of which the best set of every size is answered, and the sizes of others. NVSwitch machines are quick to
/// answer, whatever their size.
const ALL_SIZES: usize = 16;
const SIZES: [usize; 8] = [1, 2, 3, 4, 6, 8, 16, 32];
/// The most GPUs whose rings are told.
const MOST_IN_RING: usize = 16;

/// The answers of one machine.
pub(super) struct Answers {
    /// By the positions of the set's GPUs, with commas.
    pub(super) sets: Map<String, Value>,
    /// The best set of each size.
    pub(super) best: Vec<Value>,
    /// The sets that are answered, in words.
    pub(super) scope: String,
}

/// Asks for all answers.
pub(super) fn answers(topology: &Topology) -> Answers {
    let count = topology.gpus().len();
    let solver = Solver::new(topology);
    let switched = topology.nvlink_groups().iter().any(|group| group.shape == GroupShape::Switched);
    let sizes: Vec<usize> = match count {
        0..=ALL_SIZES => (1..=count).collect(),
        _ if switched => (1..=count.min(128)).collect(),
        _ => SIZES.into_iter().filter(|size| *size <= count).collect(),
    };
    let best: Vec<Value> = sizes
        .iter()
        .filter_map(|size| solver.solve(&Request::gpus(*size)).ok())
        .map(|placement| {
            let mut answer = answer(topology, &placement);
            answer.insert("best".to_owned(), json!(true));
            Value::Object(answer)
        })
        .collect();
    if count > ALL_SETS {
        let scope = "This page holds what nvtopo answers for the best sets below. Of other sets it tells what is known of \
                     each GPU and of its pairs.";
        return Answers { sets: Map::new(), best, scope: scope.to_owned() };
    }
    let mut sets = Map::new();
    for set in 1..1_usize << count {
        let gpus: Vec<usize> = (0..count).filter(|gpu| set >> gpu & 1 == 1).collect();
        let others: Vec<usize> = (0..count).filter(|gpu| set >> gpu & 1 == 0).collect();
        let key = key(&gpus);
        let is_best = best.iter().any(|best| best["key"] == key.as_str());
        let mut answer = match solver.solve(&request(topology, &gpus, gpus.len())) {
            Ok(placement) => self::answer(topology, &placement),
            Err(error) => Map::from_iter([("error".to_owned(), json!(words::short(error.to_string())))]),
        };
        let left = [2, 4].into_iter().filter(|size| *size <= others.len());
        let left: Vec<Value> = left
            .filter_map(|size| {
                let placement = solver.solve(&request(topology, &others, size)).ok()?;
                let mut best: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
                best.sort_unstable();
                let rate = topology.rings(&best).map(|rings| rings.bandwidth.to_string());
                Some(json!([best, rate]))
            })
            .collect();
        answer.insert("left".to_owned(), json!(left));
        answer.insert("best".to_owned(), json!(is_best));
        sets.insert(key, Value::Object(answer));
    }
    let scope = "This page holds what nvtopo answers for every set of them.".to_owned();
    Answers { sets, best, scope }
}

/// Asks for a number of GPUs among some.
fn request(topology: &Topology, gpus: &[usize], count: usize) -> Request {
    let indices = topology.gpus().enumerate().filter(|(position, _)| gpus.contains(position));
    Request::gpus(count).only(indices.map(|(_, gpu)| gpu.index))
}

fn key(gpus: &[usize]) -> String {
    gpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn answer(topology: &Topology, placement: &Placement) -> Map<String, Value> {
    let mut gpus: Vec<usize> = placement.gpus().iter().map(|gpu| gpu.position).collect();
    gpus.sort_unstable();
    let rings = (2..=MOST_IN_RING).contains(&gpus.len()).then(|| topology.rings(&gpus)).flatten();
    let told = rings.as_ref().map_or_else(Vec::new, |rings| {
        rings.rings.iter().map(|ring| json!([ring.order, ring.bandwidth.to_string()])).collect()
    });
    let belongs = placement.gpus().iter().map(|gpu| {
        json!([gpu.position, gpu.cpus.to_string(), gpu.mems.to_string(), gpu.nic.clone().map(words::short)])
    });
    Map::from_iter([
        ("key".to_owned(), json!(key(&gpus))),
        ("rate".to_owned(), json!(rings.map(|rings| rings.bandwidth.to_string()))),
        ("rings".to_owned(), json!(told)),
        ("gpus".to_owned(), json!(belongs.collect::<Vec<_>>())),
    ])
}
