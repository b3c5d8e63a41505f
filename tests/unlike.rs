//! Machines whose devices are not alike: GPUs of several models, ports of several kinds, and identities that two share.

use nvtopo::model::NoteKind;
use nvtopo::solve::Constraint;
use nvtopo::solve::check::{Claim, check};
use nvtopo::source::Locator;
use nvtopo::{CudaOrder, ErrorKind, Placement, Request, Topology};
use nvtopo_draw::{Style, by_name};

/// The machine, and the name of the folder in its archive.
fn machine(name: &str) -> Topology {
    let folder = crate::sysfs::unpacked(&format!("../unlike/{name}.tar.bz2")).join(name);
    Topology::open(&[Locator::Path(folder)]).unwrap()
}

fn solved(topology: &Topology, request: &Request) -> Placement {
    let placement = request.solve(topology).unwrap();
    check(topology, request, &Claim::from(&placement)).unwrap().unwrap();
    placement
}

#[test]
fn gpus_of_several_models_are_told_and_can_be_kept_apart() {
    let hetero = machine("hetero");
    assert_eq!(solved(&hetero, &Request::gpus(2)).gpu_indices(), [0, 2]);
    let mixed = solved(&hetero, &Request::gpus(2).include([0, 1]));
    let told = "the GPUs are of several models: GPU0 (NVIDIA GeForce GTX 1080 Ti), GPU1 (NVIDIA GeForce RTX 3090); the constraint \
                same-model keeps to one";
    assert_eq!(mixed.remarks(), [told]);
    let one_model = Request::gpus(2).require([Constraint::SameModel]);
    let alike = solved(&hetero, &one_model);
    assert_eq!((alike.gpu_indices(), alike.remarks().len()), (vec![0, 2], 0));
    assert_eq!(solved(&hetero, &one_model.exclude([0])).gpu_indices(), [1, 3]);
    let error = Request::gpus(3).require([Constraint::SameModel]).solve(&hetero).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("are of one model"), "{error}");
    // Nobody can tell in which order CUDA counts them, unless it counts along the bus.
    assert_eq!(hetero.cuda_order(CudaOrder::FastestFirst), None);
    assert_eq!(hetero.cuda_order(CudaOrder::PciBusId), Some(vec![0, 1, 2, 3]));
    // A model that nobody tells is not another one, and none that is known to be the same.
    let mut document: serde_json::Value = serde_json::from_str(&hetero.to_json()).unwrap();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        if node["gpu"]["index"] == 1 || node["gpu"]["index"] == 3 {
            node["gpu"].as_object_mut().unwrap().remove("model");
        }
    }
    let partly = Topology::parse("partly", document.to_string().as_bytes()).unwrap();
    assert_eq!(solved(&partly, &Request::gpus(2)).remarks(), [""; 0]);
    assert_eq!(solved(&partly, &Request::gpus(2).require([Constraint::SameModel])).gpu_indices(), [0, 2]);
}

#[test]
fn a_display_gpu_is_told_and_can_be_left_out() {
    let station = machine("station");
    let two = solved(&station, &Request::gpus(2));
    assert_eq!(two.gpu_indices(), [0, 1]);
    let left_out = "GPU3: a display GPU, and chosen only where named";
    assert_eq!(two.remarks(), [left_out]);
    assert_eq!(Request::gpus(5).solve(&station).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    let near = solved(&station, &Request::gpus(2).include([3]));
    assert_eq!(near.gpu_indices(), [3, 4]);
    let told =
        "several models: GPU3 (NVIDIA DGX Display), GPU4 (NVIDIA A100-SXM4-80GB); the constraint same-model";
    assert!(near.remarks()[0].contains(told), "{:?}", near.remarks());
    let four = solved(&station, &Request::gpus(4).prefer([Constraint::SameModel]));
    assert_eq!(four.gpu_indices(), [0, 1, 2, 4]);
    assert_eq!(
        (four.preference(), four.remarks()),
        (Some(Constraint::SameModel), &[left_out.to_owned()][..])
    );
    let all = solved(&station, &Request::gpus(5).include([3]).prefer([Constraint::SameModel]));
    assert_eq!((all.preference(), all.unmet().len()), (None, 1));
    let told = "the GPUs are of several models: GPU0-2,4 (NVIDIA A100-SXM4-80GB), GPU3 (NVIDIA DGX Display)";
    assert_eq!(all.remarks(), [told]);
    // What a person should act on stands before how the answer is known.
    let text = by_name("text").unwrap().placement(&near, Style::default());
    let line = |word: &str| text.lines().position(|line| line.contains(word)).unwrap();
    assert!(line("several models") < line("optimal: "), "{text}");
    assert!(text.lines().last().unwrap().starts_with("optimal: "), "{text}");
}

#[test]
fn a_tray_uses_its_compute_ports_and_doubts_a_uuid_that_all_gpus_have() {
    let tray = machine("gb200");
    let all = solved(&tray, &Request::gpus(4));
    let nics: Vec<&str> = all.gpus().iter().filter_map(|gpu| gpu.nic.as_deref()).collect();
    assert_eq!(nics, ["mlx5_0", "mlx5_1", "mlx5_4", "mlx5_5"]);
    let cpus: Vec<String> = all.gpus().iter().map(|gpu| gpu.cpus.to_string()).collect();
    assert_eq!(cpus, ["0-35", "36-71", "72-107", "108-143"]);
    let told: Vec<String> = tray.notes().iter().map(ToString::to_string).collect();
    for gpu in 1..4 {
        let note = format!(
            "conflict: GPU0 and GPU{gpu} both have the UUID GPU-00000000-0000-0000-0000-000000000001; it is that of GPU0 here"
        );
        assert!(told.contains(&note), "{told:?}");
    }
    // A name that several have names none.
    assert_eq!(all.cuda_environment()[1].1, "0,1,2,3");
    assert_eq!(solved(&tray, &Request::gpus(1).only([2])).cuda_environment()[1].1, "2");
    // Conflicts come first, where notes are shown.
    let shown = by_name("text").unwrap().topology(&tray, Style::default());
    let notes: Vec<&str> = shown.lines().filter(|line| line.starts_with("note")).collect();
    assert!(notes[0].contains("conflict") && notes.last().unwrap().contains("unknown"), "{notes:?}");
    assert_eq!(tray.notes()[0].kind(), NoteKind::Unknown);
}
