//! The cells of rows and the devices of columns: the rules that rare texts meet.

use super::{PLAIN, assert_plain, error, notes, parse, word};
use nvtopo::model::{NoteKind, Stated};

#[test]
fn a_row_that_is_short_in_the_middle_of_a_text_is_an_error() {
    // The same row at the end of the text is a cut one.
    for row in ["GPU1\tNV4\t X ", "GPU1\tNV4", "GPU1"] {
        let text = PLAIN.replace("GPU1\tNV4\t X \tSYS\t16-31\t1\t\tN/A", row);
        if row != "GPU1" {
            assert!(error(&text).message().contains("and the matrix 3 columns"), "{row}: {}", error(&text));
        }
        let cut = text.split_once("NIC0\tPIX").unwrap().0.trim_end();
        let topology = parse(cut);
        assert_eq!(word(&topology, "GPU0", "GPU1").as_deref(), Some("NV4"), "{row}");
        assert_eq!(topology.gpus().nth(1).unwrap().cpus, Stated::Unstated, "{row}");
    }
}

#[test]
fn a_list_that_ends_in_a_comma_takes_no_na_behind_it() {
    let text = PLAIN.replace("0-15\t0\t\tN/A", "0-3,\tN/A\t\tN/A");
    let gpu = parse(&text).gpus().next().unwrap().clone();
    assert_eq!((gpu.nodes, gpu.memory_node), (Stated::NotAvailable, Stated::NotAvailable));
    let joined = PLAIN.replace("0-15\t", "0-3, 4-15\t");
    assert_plain(joined.as_bytes());
}

#[test]
fn a_name_with_a_leading_zero_is_no_gpu() {
    let text = PLAIN.replace("GPU1", "GPU01");
    let topology = parse(&text);
    assert_eq!((topology.gpus().len(), topology.nics().len()), (1, 2));
}

#[test]
fn a_device_behind_the_affinities_is_one() {
    let text = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\tNIC0
GPU0\t X \tNV4\t0-15\t0\tPIX
GPU1\tNV4\t X \t16-31\t1\tSYS
NIC0\tPIX\tSYS\t\t\t X
";
    let topology = parse(text);
    assert_eq!((topology.gpus().len(), topology.nics().len()), (2, 1));
    assert_eq!(word(&topology, "GPU0", "NIC0").as_deref(), Some("PIX"));
    let gpu = topology.gpus().nth(1).unwrap();
    assert_eq!(gpu.cpus.known().unwrap().to_string(), "16-31");
    assert_eq!(gpu.nodes.known().unwrap().to_string(), "1");
}

#[test]
fn cells_beyond_the_header_are_left_out_with_a_note() {
    let text = PLAIN.replace("1\t\tN/A", "1\t\tN/A\t7");
    let damage = notes(&assert_plain(text.as_bytes()), NoteKind::Damage).join("; ");
    assert!(damage.contains("line 3 has more cells than the header: '7' is left out"), "{damage}");
    // Under a heading that is not known here, nothing is lost.
    let known = PLAIN.replace("GPU NUMA ID", "GPU NUMA ID\tPower Zone").replace("N/A\n", "N/A\t7\n");
    assert!(notes(&assert_plain(known.as_bytes()), NoteKind::Damage).is_empty());
}

#[test]
fn empty_cells_are_counted_and_placed() {
    let two = PLAIN.replace("GPU1\tNV4\t X \tSYS", "GPU1\t\t X \t");
    let damage = notes(&assert_plain(two.as_bytes()), NoteKind::Damage).join("; ");
    assert!(damage.contains("the row GPU1 in line 3 has 2 empty cells"), "{damage}");
}

#[test]
fn places_are_those_of_names_and_cells_that_ran_together() {
    let twice = error("GPU0GPU1GPU0\nGPU0 X NV1 NV1\n");
    assert_eq!((twice.line(), twice.column()), (Some(1), Some(9)), "{twice}");
    let other = error(&PLAIN.replace("NIC0\tPIX\tSYS\t X ", "NIC0\tPIXNODE\t X "));
    assert_eq!((other.line(), other.column()), (Some(4), Some(9)), "{other}");
}

#[test]
fn of_several_columns_before_the_devices_the_last_names_the_rows() {
    let text = "| host | name | GPU0 | GPU1 | CPU Affinity |
|---|---|---|---|---|
| a | GPU0 | X | NV4 | 0-15 |
| a | GPU1 | NV4 | X | 16-31 |
";
    let topology = parse(text);
    assert_eq!(word(&topology, "GPU0", "GPU1").as_deref(), Some("NV4"));
    let left = notes(&topology, NoteKind::Unknown).join("; ");
    assert!(left.contains("1 column of the matrix left out") && left.contains("'host'"), "{left}");
}

#[test]
fn the_last_cell_of_a_row_with_a_hole_is_under_the_last_heading() {
    // The list is so long that places on the screen tell nothing, and two tabs stand before the last cell.
    let list = "0-3,8-11,16-19,24-27,32-35";
    let text = PLAIN.replace("GPU0\t X \tNV4\tPIX\t0-15", &format!("GPU0\t X \t\tPIX\t{list}"));
    let topology = parse(&text);
    let gpu = topology.gpus().next().unwrap();
    assert_eq!(gpu.cpus.known().unwrap().to_string(), list);
    assert_eq!(gpu.nodes.known().unwrap().to_string(), "0");
    assert_eq!(gpu.memory_node, Stated::NotAvailable);
    assert_eq!(word(&topology, "GPU0", "NIC0").as_deref(), Some("PIX"));
    // One cell more is under no heading, and takes the place of none.
    let more = text.replacen("N/A\n", "N/A\t7\n", 1);
    assert!(error(&more).message().contains("GPU0"), "{}", error(&more));
}

#[test]
fn a_long_list_moves_what_follows_it_by_a_stop() {
    let text = PLAIN.replace("PIX\t0-15\t0\t\tN/A", "PIX\t0-7,16-23\t0");
    let shown: String = text.lines().map(|line| super::expand(line) + "\n").collect();
    let gpu = parse(&shown).gpus().next().unwrap().clone();
    assert_eq!(gpu.cpus.known().unwrap().to_string(), "0-7,16-23");
    assert_eq!(gpu.nodes.known().unwrap().to_string(), "0");
    assert!(gpu.memory_node.known().is_none(), "{gpu:?}");
}

#[test]
fn cells_beside_the_matrix_are_under_the_heading_at_or_before_them() {
    let gpu = |row: &str| {
        let text = format!(
            "        GPU0    GPU1    CPU Affinity    NUMA Affinity   GPU NUMA ID  Zone\n{row}\nGPU1     SYS     X      16-31           1               N/A          7\n"
        );
        parse(&text).gpus().next().unwrap().clone()
    };
    let whole = gpu("GPU0     X      SYS     0-15            0               N/A          7");
    assert_eq!(
        (whole.cpus.known().unwrap().to_string().as_str(), whole.memory_node),
        ("0-15", Stated::NotAvailable)
    );
    // At the place of a heading, and behind it.
    for row in [
        "GPU0     X      SYS                     0               N/A",
        "GPU0     X      SYS                      0              N/A",
    ] {
        let own = gpu(row);
        assert_eq!(own.nodes.known().map(ToString::to_string).as_deref(), Some("0"), "{row}: {own:?}");
        assert_eq!((own.cpus.known(), own.memory_node), (None, Stated::NotAvailable), "{row}");
    }
    // More than there are headings from there on are in order.
    let beyond = gpu("GPU0     X      SYS                                     1            2    3");
    assert_eq!(beyond.cpus.known().map(ToString::to_string).as_deref(), Some("1"), "{beyond:?}");
}

#[test]
fn a_cell_three_stops_from_the_matrix_is_a_numa_affinity() {
    let gpu = |cells: &str| {
        let topology = parse(&PLAIN.replace("PIX\t0-15\t0\t\tN/A", &format!("PIX\t{cells}")));
        topology.gpus().next().unwrap().clone()
    };
    for cells in ["0-15\t\t0", "\t\t0"] {
        let own = gpu(cells);
        assert_eq!(own.nodes.known().map(ToString::to_string).as_deref(), Some("0"), "{cells:?}: {own:?}");
        assert_eq!(own.memory_node.known(), None, "{cells:?}");
        assert_eq!(own.cpus.known().is_some(), cells.starts_with('0'), "{cells:?}");
    }
}

#[test]
fn two_cells_under_one_heading_stay_in_order() {
    // Four and six tab stops from the matrix: both would be under the last heading.
    let topology = parse(&PLAIN.replace("PIX\t0-15\t0\t\tN/A", "PIX\t\t\t\t0-15\t\t0"));
    let gpu = topology.gpus().next().unwrap();
    assert_eq!(gpu.cpus.known().unwrap().to_string(), "0-15");
    assert_eq!(gpu.nodes.known().unwrap().to_string(), "0");
}

#[test]
fn empty_fields_of_nics_say_nothing() {
    let text = "| | GPU0 | GPU1 | NIC0 | CPU Affinity | NUMA Affinity | GPU NUMA ID |
|---|---|---|---|---|---|---|
| GPU0 | X | NV4 | PIX | 0-15 | 0 | N/A |
| GPU1 | NV4 | X | SYS | 16-31 | 1 | N/A |
| NIC0 | PIX | SYS | X | | | |
";
    let topology = assert_plain(text.as_bytes());
    let without = parse(&text.replace("| X | | | |", "| X |"));
    assert_eq!((topology.notes(), topology.to_json()), (without.notes(), without.to_json()));
}

#[test]
fn a_sentence_that_begins_with_a_gpu_is_no_header() {
    for words in ["was", "X-linked", "(idle)"] {
        assert_plain(format!("GPU0 {words} reset yesterday\n{PLAIN}").as_bytes());
        assert_plain(format!("{PLAIN}GPU1 {words} reset yesterday\n").as_bytes());
        // Nor is it one of a matrix that lacks its own.
        let topology = parse(&format!("GPU0 {words} reset yesterday\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n"));
        assert_eq!((topology.gpus().len(), topology.nics().len()), (2, 0), "{words}");
        assert_eq!(word(&topology, "GPU0", "GPU1").as_deref(), Some("NV4"), "{words}");
    }
}
