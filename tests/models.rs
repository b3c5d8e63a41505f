//! GPUs of several models, displays among them, and sets that a table allows.

use nvtopo::solve::check::{Claim, check};
use nvtopo::solve::{Allocator, AllowedSets, Constraint, Quantity};
use nvtopo::{Chooser, ErrorKind, GpuRef, Placement, Request, Topology};
use serde_json::Value;

const A100: &str = "NVIDIA A100-SXM4-80GB";
const SMALL: &str = "NVIDIA A100-SXM4-40GB";
const H100: &str = "NVIDIA H100 80GB HBM3";

/// A preset with some facts of its GPUs changed, each by its index.
fn changed(preset: &str, change: impl Fn(u64, &mut serde_json::Map<String, Value>)) -> Topology {
    let topology = Topology::preset(preset).unwrap();
    let mut document: Value = serde_json::from_str(&topology.to_json()).unwrap();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        if let Some(gpu) = node.get_mut("gpu").and_then(Value::as_object_mut) {
            change(gpu["index"].as_u64().unwrap(), gpu);
        }
    }
    Topology::parse(preset, document.to_string().as_bytes()).unwrap()
}

/// A preset whose GPUs have these models; "" is unknown.
fn of_models(preset: &str, models: &[&str]) -> Topology {
    changed(preset, |index, gpu| match models[index as usize % models.len()] {
        "" => _ = gpu.remove("model"),
        model => _ = gpu.insert("model".to_owned(), model.into()),
    })
}

fn solved(topology: &Topology, request: &Request) -> Placement {
    let placement = request.solve(topology).unwrap();
    check(topology, request, &Claim::from(&placement)).unwrap().unwrap();
    placement
}

fn chosen(topology: &Topology, request: &Request) -> Vec<u32> {
    solved(topology, request).gpu_indices()
}

fn error(topology: &Topology, request: &Request) -> nvtopo::Error {
    request.solve(topology).unwrap_err()
}

#[expect(clippy::option_option, reason = "unknown is not the same as not compared")]
fn span(placement: &Placement) -> Option<Option<Quantity>> {
    placement.scores().iter().find(|score| score.objective == "model-span").map(|score| score.value)
}

#[test]
fn a_set_of_one_model_comes_before_more_bandwidth() {
    // GPU0 and GPU3 have two NVLinks to each other, and are of two models.
    let mixed = of_models("dgx-1-v100", &[A100, H100, A100, H100, A100, H100, A100, H100]);
    for count in 1..=8 {
        let placement = solved(&mixed, &Request::gpus(count));
        let models = if count <= 4 { 1 } else { 2 };
        assert_eq!(placement.scores()[0].objective, "model-span");
        assert_eq!(span(&placement), Some(Some(Quantity::Models(models))), "{count}");
        let told = placement.remarks().iter().any(|remark| remark.contains("several models"));
        assert_eq!(told, models > 1, "{count}: {:?}", placement.remarks());
        let free = Chooser::new(&mixed).unwrap().choose(0xff, count).unwrap();
        let bits = placement.gpu_indices().iter().fold(0, |set, gpu| set | 1 << gpu);
        assert_eq!(free, bits, "{count}");
    }
    // What is named first counts first.
    let named = solved(&mixed, &Request::gpus(2).objectives(["ring"]));
    assert_eq!((named.gpu_indices(), named.scores()[1].objective), (vec![0, 4], "model-span"));
    // GPU0 and GPU3 exchange more than GPU0 and any of its model.
    let pair = of_models("dgx-1-v100", &[A100, H100, H100, A100, H100, A100, A100, A100]);
    let among = Request::gpus(2).only([0, 1, 3, 5, 7]);
    assert_eq!(chosen(&pair, &among), [0, 3]);
    let apart = of_models("dgx-1-v100", &[A100, H100, H100, H100, H100, A100, A100, A100]);
    assert_ne!(chosen(&apart, &among), [0, 3]);
    assert_eq!(chosen(&apart, &among.objectives(["ring"])), [0, 3]);
    // What must be in decides what else is of its model.
    assert_eq!(chosen(&mixed, &Request::gpus(3).include([5])).iter().filter(|gpu| *gpu % 2 == 1).count(), 3);
}

#[test]
fn nothing_changes_where_all_are_of_one_model_or_none_is_known() {
    for (preset, model) in [("dgx-1-v100", ""), ("dgx-h100", H100), ("dgx-2", ""), ("gb200-nvl72-tray", H100)]
    {
        let (plain, named) = (Topology::preset(preset).unwrap(), of_models(preset, &[model]));
        for count in [1, 2, 3, 4] {
            let (a, b) = (Request::gpus(count).solve(&plain), Request::gpus(count).solve(&named));
            let (Ok(a), Ok(b)) = (a, b) else { continue };
            assert_eq!((a.gpu_indices(), a.scores()), (b.gpu_indices(), b.scores()), "{preset} {count}");
            assert_eq!(span(&a), None);
            // Named, it is told all the same.
            let asked = Request::gpus(count).objectives(["model-span"]);
            let told = solved(&plain, &asked);
            assert_eq!((told.gpu_indices(), told.is_optimal()), (a.gpu_indices(), true));
            assert_eq!(span(&told), Some(Some(Quantity::Models(1))));
        }
    }
}

#[test]
fn unknown_models_come_last_and_are_never_counted_as_known() {
    let partly = of_models("dgx-a100", &["", A100, A100, "", A100, A100, A100, ""]);
    assert_eq!(chosen(&partly, &Request::gpus(5)), [1, 2, 4, 5, 6]);
    let one = solved(&partly, &Request::gpus(1));
    assert_eq!((one.gpu_indices(), span(&one)), (vec![1], Some(Some(Quantity::Models(1)))));
    let six = solved(&partly, &Request::gpus(6));
    assert_eq!((six.gpu_indices(), span(&six)), (vec![0, 1, 2, 4, 5, 6], Some(None)));
    let error = error(&partly, &Request::gpus(6).require([Constraint::SameModel]));
    assert!(error.to_string().contains("the model of GPU0,3,7 is unknown"), "{error}");
}

#[test]
fn large_mixed_machines_are_answered_with_proof() {
    let models: Vec<&str> = (0..16).map(|gpu| if gpu % 3 == 0 { A100 } else { H100 }).collect();
    let dgx2 = of_models("dgx-2", &models);
    for count in [1, 2, 6, 7, 10, 11, 16] {
        let placement = solved(&dgx2, &Request::gpus(count));
        let most = if count <= 10 { 1 } else { 2 };
        assert_eq!(
            (span(&placement), placement.is_optimal()),
            (Some(Some(Quantity::Models(most))), true),
            "{count}"
        );
    }
}

#[test]
fn constraints_of_several_kinds_hold_together_on_large_machines() {
    let rack = Topology::preset("dgx-2").unwrap();
    let both = [Constraint::SameNumaNode, "at-least:100".parse().unwrap()];
    let four = solved(&rack, &Request::gpus(4).require(both));
    assert!(four.scores().iter().any(|score| score.value == Some(Quantity::NumaNodes(1))));
    assert_eq!(error(&rack, &Request::gpus(9).require(both)).kind(), ErrorKind::Unsatisfiable);
}

#[test]
fn gpus_are_named_by_model() {
    let mixed = of_models("dgx-a100", &[A100, A100, A100, A100, SMALL, SMALL, SMALL, "NVIDIA L40"]);
    let only = |text: &str| Request::gpus(1).only([text.parse::<GpuRef>().unwrap()]);
    let all = |text: &str| text.parse::<GpuRef>().unwrap().resolve_all(&mixed);
    assert_eq!(all("model:A100").unwrap(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(all("Model: 40gb a100").unwrap(), [4, 5, 6]);
    assert_eq!(all("model:NVIDIA A100-SXM4-80GB").unwrap(), [0, 1, 2, 3]);
    assert_eq!(all("model:L40").unwrap(), [7]);
    for none in ["model:L4", "model:A10", "model:H100", "model:A100 H100"] {
        let error = all(none).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("GPU4-6 (NVIDIA A100-SXM4-40GB)"), "{error}");
    }
    assert!("model:".parse::<GpuRef>().is_err() && "model:--".parse::<GpuRef>().is_err());
    assert_eq!("model:A100".parse::<GpuRef>().unwrap().to_string(), "model:A100");
    assert_eq!(chosen(&mixed, &only("model:40GB")), [4]);
    let excluded = Request::gpus(1).exclude(["model:A100".parse::<GpuRef>().unwrap()]);
    assert_eq!(chosen(&mixed, &excluded), [7]);
    let few = only("model:L40").include([0]);
    assert_eq!(error(&mixed, &few).kind(), ErrorKind::InvalidRequest);
    let list = GpuRef::parse_list("0,model:L40").unwrap();
    assert_eq!(chosen(&mixed, &Request::gpus(2).only(list)), [0, 7]);
    assert!(mixed.device("model:A100").unwrap_err().to_string().contains("more than one GPU"));
    assert_eq!(mixed.device("model:L40").unwrap(), 7);
    let unknown = of_models("dgx-a100", &[""]);
    let told = "model:A100".parse::<GpuRef>().unwrap().resolve_all(&unknown).unwrap_err();
    assert!(told.to_string().contains("GPU0-7 (of unknown model)"), "{told}");
}

#[test]
fn a_model_names_no_divided_gpu() {
    let divided = changed("dgx-a100", |index, gpu| {
        if index == 0 {
            gpu.insert("mig".to_owned(), serde_json::json!({ "current": true, "pending": true }));
        }
        gpu.insert("model".to_owned(), A100.into());
    });
    let only = Request::gpus(1).only(["model:A100".parse::<GpuRef>().unwrap()]);
    assert_eq!(chosen(&divided, &only), [1]);
    assert_eq!(chosen(&divided, &Request::gpus(1).only([0])), [0]);
    assert_eq!(
        error(&divided, &Request::gpus(8).only(["model:A100".parse::<GpuRef>().unwrap()])).kind(),
        ErrorKind::Unsatisfiable
    );
}

#[test]
fn each_gpu_has_as_much_memory_as_is_required() {
    let memory = |index: u64| match index {
        0..=2 => Some(80_u64 << 30),
        3..=5 => Some(40 << 30),
        6 => Some(16 << 30),
        _ => None,
    };
    let mixed = changed("dgx-a100", |index, gpu| match memory(index) {
        Some(bytes) => _ = gpu.insert("memory_bytes".to_owned(), bytes.into()),
        None => _ = gpu.remove("memory_bytes"),
    });
    assert_eq!(mixed.gpus().filter(|gpu| gpu.memory.is_none()).count(), 1);
    let with = |count: usize, text: &str| Request::gpus(count).require([text.parse::<Constraint>().unwrap()]);
    assert_eq!(chosen(&mixed, &with(3, "gpu-memory:40.1GiB")), [0, 1, 2]);
    assert_eq!(chosen(&mixed, &with(6, "gpu-memory:40GiB")), [0, 1, 2, 3, 4, 5]);
    let told = error(&mixed, &with(7, "gpu-memory:40GiB"));
    assert_eq!(told.kind(), ErrorKind::Unsatisfiable);
    let told = told.to_string();
    assert!(told.contains("have at least 40 GiB of memory each; at most 6 can be had"), "{told}");
    assert!(told.contains("the memory of GPU7 is unknown"), "{told}");
    assert!(error(&mixed, &with(1, "gpu-memory:200GiB")).to_string().starts_with("none of the "));
    let preferred = Request::gpus(4).prefer(["gpu-memory:80GiB".parse::<Constraint>().unwrap()]);
    assert_eq!(solved(&mixed, &preferred).unmet().len(), 1);
}

#[test]
fn a_display_gpu_is_chosen_only_where_it_is_named() {
    let station = of_models("dgx-a100", &[A100, A100, A100, "NVIDIA DGX Display", A100, A100, A100, A100]);
    let seven = solved(&station, &Request::gpus(7));
    assert_eq!(seven.gpu_indices(), [0, 1, 2, 4, 5, 6, 7]);
    assert_eq!(seven.remarks(), ["GPU3: a display GPU, and chosen only where named"]);
    let all = error(&station, &Request::gpus(8));
    assert!(all.to_string().contains("GPU3: a display GPU"), "{all}");
    assert_eq!(chosen(&station, &Request::gpus(1).only([3])), [3]);
    assert_eq!(chosen(&station, &Request::gpus(1).only(["model:display".parse::<GpuRef>().unwrap()])), [3]);
    assert_eq!(chosen(&station, &Request::gpus(8).include([3])).len(), 8);
    assert_eq!(Chooser::new(&station).unwrap().choose(0xff, 7), Some(0b1111_0111));
    assert_eq!(Chooser::new(&station).unwrap().choose(0xff, 8), None);
    assert_eq!(Allocator::new(&station).unwrap().free().len(), 7);
}

#[test]
fn only_allowed_sets_are_chosen() {
    let dgx = Topology::preset("dgx-1-v100").unwrap();
    let table = AllowedSets::new([
        vec![0, 1, 2, 3, 4, 5, 6, 7],
        vec![0, 1, 2, 3],
        vec![4, 5, 6, 7],
        vec![0, 4],
        vec![1, 2],
        vec![5],
    ]);
    let table = table.unwrap();
    let request = |count: usize| Request::gpus(count).allowed_sets(table.clone());
    assert_eq!(chosen(&dgx, &request(8)).len(), 8);
    assert_eq!(chosen(&dgx, &request(4)), [0, 1, 2, 3]);
    assert_eq!(chosen(&dgx, &request(4).exclude([3])), [4, 5, 6, 7]);
    assert_eq!(chosen(&dgx, &request(2)), [1, 2]);
    assert_eq!(chosen(&dgx, &request(2).exclude([1])), [0, 4]);
    assert_eq!(chosen(&dgx, &request(2).include([2])), [1, 2]);
    assert_eq!(chosen(&dgx, &request(1)), [5]);
    assert!(solved(&dgx, &request(2)).is_optimal());
    let told = |request: &Request| error(&dgx, request).to_string();
    assert!(told(&request(3)).starts_with("no allowed set has 3 GPUs; the nearest have 2 and 4"));
    assert!(
        told(&request(2).exclude([0, 1])).contains("of which all can be chosen; the nearest have 1 and 4")
    );
    let numa = request(2).require([Constraint::SameNumaNode]);
    assert_eq!(chosen(&dgx, &numa), [1, 2]);
    let none = told(&numa.exclude([1]));
    assert!(
        none.contains("the allowed set of 2 GPUs is not of GPUs that are beside one NUMA node"),
        "{none}"
    );
    assert!(
        told(&Request::gpus(2).allowed_sets(AllowedSets::new([[0, 9]]).unwrap()))
            .contains("there is no GPU9")
    );
    // The next best is one of them too.
    let why = request(4).explain(&dgx).unwrap();
    assert_eq!(why.next.unwrap().gpu_indices, [4, 5, 6, 7]);
    assert!(request(8).explain(&dgx).unwrap().next.is_none());
    // Several jobs.
    let mut machine = Allocator::new(&dgx).unwrap();
    let batch = machine.place_all(&[request(4), request(4)]).unwrap();
    assert_eq!(batch.jobs.len(), 2);
    assert_eq!(Allocator::new(&dgx).unwrap().room_for(&request(2)).unwrap(), (2, true));
    assert_eq!(Allocator::new(&dgx).unwrap().room_for(&request(3)).unwrap().0, 0);
}

#[test]
fn allowed_sets_of_faulty_and_of_large_machines() {
    let lost = changed("dgx-h100", |index, gpu| {
        if index == 1 {
            gpu.insert("unusable".to_owned(), "has fallen off the bus".into());
        }
    });
    let halves = AllowedSets::read("partitions", "0-3\n4-7\n").unwrap();
    assert_eq!(chosen(&lost, &Request::gpus(4).allowed_sets(halves)), [4, 5, 6, 7]);
    let dgx2 = Topology::preset("dgx-2").unwrap();
    let rows = AllowedSets::new((0..8_u32).map(|row| [row, 15 - row])).unwrap();
    assert_eq!(chosen(&dgx2, &Request::gpus(2).allowed_sets(rows.clone())), [0, 15]);
    let mut node = Allocator::new(&dgx2).unwrap();
    let requests = vec![Request::gpus(2).allowed_sets(rows); 8];
    assert_eq!(node.place_all(&requests).unwrap().jobs.len(), 8);
}

#[test]
fn only_free_gpus_are_chosen_where_that_is_asked_for() {
    // GPU0 unknown, GPU1 busy, GPU2 with a process, GPU3 used by nobody who is seen, the others idle.
    let usage = |index: u64| match index {
        0 => None,
        1 => Some((2, 60_u64)),
        2 => Some((1, 0)),
        3 => Some((0, 30)),
        _ => Some((0, 0)),
    };
    let machine = changed("dgx-a100", |index, gpu| {
        if let Some((processes, gib)) = usage(index) {
            gpu.insert("processes".to_owned(), processes.into());
            gpu.insert("memory_used_bytes".to_owned(), (gib << 30).into());
            gpu.insert("memory_free_bytes".to_owned(), ((80 - gib) << 30).into());
        }
    });
    let four = solved(&machine, &Request::gpus(4).free());
    assert_eq!(four.gpu_indices(), [4, 5, 6, 7]);
    assert_eq!(
        four.remarks(),
        [
            "GPU0 is not free: whether a process uses it is unknown",
            "GPU1 is not free: 2 processes use it",
            "GPU2 is not free: 1 process uses it",
            "GPU3 is not free: no process is seen, but 30 GiB of its memory are in use",
        ]
    );
    let few = error(&machine, &Request::gpus(5).free());
    assert_eq!(few.kind(), ErrorKind::Unsatisfiable);
    assert!(
        few.to_string().contains("4 not free: GPU0 (whether a process uses it is unknown), GPU1 (2 "),
        "{few}"
    );
    assert_eq!(chosen(&machine, &Request::gpus(5).free_memory(80 << 30)), [2, 4, 5, 6, 7]);
    let some = error(&machine, &Request::gpus(8).free_memory(40 << 30)).to_string();
    assert!(some.contains("GPU1 (20 GiB of its memory are unused, and 40 GiB are asked for)"), "{some}");
    assert!(some.contains("GPU0 (how much of its memory is unused is unknown)"), "{some}");
    let included = error(&machine, &Request::gpus(2).free().include([1])).to_string();
    assert!(included.contains("GPU1 is included, but is not free: 2 processes use it"), "{included}");
    assert_eq!(Request::gpus(8).solve(&machine).unwrap().remarks(), [""; 0]);
    // It is no part of what the machine is, and stays with it where it is written down.
    assert_eq!(machine, Topology::preset("dgx-a100").unwrap());
    let again = Topology::parse("again", machine.to_json().as_bytes()).unwrap();
    assert_eq!(again.gpus().nth(1).unwrap().usage.processes, Some(2));
}
