//! Random matrices, and random damage to recorded ones.

use super::{notes, parse, recorded, word};
use nvtopo::model::NoteKind;
use nvtopo::{CpuSet, NodeSet, Topology};
use proptest::prelude::*;

/// A random matrix: what it says, and how it is written.
#[derive(Clone, Debug)]
struct Drawn {
    names: Vec<String>,
    /// Below the diagonal, row by row.
    words: Vec<String>,
    cpus: Vec<u32>,
    columns: usize,
    separator: String,
    prefix: String,
    ending: String,
}

impl Drawn {
    fn word(&self, a: usize, b: usize) -> &str {
        let (low, high) = (a.min(b), a.max(b));
        if low == high { "X" } else { &self.words[high * (high - 1) / 2 + low] }
    }

    fn cells(&self, row: usize) -> Vec<String> {
        let gpu = self.names[row].starts_with("GPU");
        let cpus = self.cpus[row];
        let beside = [format!("{cpus}-{}", cpus + 7), (cpus / 8).to_string(), "N/A".to_owned()];
        let own = (0..self.names.len()).map(|other| self.word(row, other).to_owned());
        own.chain(beside.into_iter().take(if gpu { self.columns } else { 0 })).collect()
    }

    fn text(&self) -> String {
        let headings = ["CPU Affinity", "NUMA Affinity", "GPU NUMA ID"];
        let mut header = vec![String::new()];
        header.extend(self.names.iter().cloned());
        header.extend(headings[..self.columns].iter().map(|&heading| heading.to_owned()));
        let rows = (0..self.names.len())
            .map(|row| [vec![self.names[row].clone()], self.cells(row)].concat().join(&self.separator));
        let lines = std::iter::once(header.join(&self.separator)).chain(rows);
        lines.flat_map(|line| [self.prefix.clone(), line, self.ending.clone()]).collect()
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let far = prop::sample::select(vec!["SYS", "SOC"]);
    let sizes = (1usize..7, 0usize..5, far, prop::sample::select(vec!["NIC", "mlx5_", "bnxt_re", "dpu"]));
    let style = (
        prop::sample::select(vec!["\t", " ", "   ", " \t"]),
        prop::sample::select(vec!["", "# ", "   * ", "// ", "> ", "\t"]),
        prop::sample::select(vec!["\n", "\r\n", "  \n"]),
        0usize..4,
    );
    (sizes, style).prop_flat_map(|((gpus, nics, far, nic), (separator, prefix, ending, columns))| {
        let names = (0..gpus).map(|index| format!("GPU{index}"));
        let names: Vec<String> = names.chain((0..nics).map(|index| format!("{nic}{index}"))).collect();
        let devices = gpus + nics;
        let cells = (1..devices).flat_map(move |high| (0..high).map(move |_| high < gpus));
        let words: Vec<BoxedStrategy<String>> = cells
            .map(|gpus| {
                let host =
                    prop::sample::select(vec!["PIX", "PXB", "PHB", "NODE", far]).prop_map(str::to_owned);
                if gpus {
                    prop_oneof![host, (1u16..19).prop_map(|links| format!("NV{links}"))].boxed()
                } else {
                    host.boxed()
                }
            })
            .collect();
        (Just(names), words, prop::collection::vec(0u32..500, devices)).prop_map(
            move |(names, words, cpus)| {
                let (separator, prefix, ending) =
                    (separator.to_owned(), prefix.to_owned(), ending.to_owned());
                Drawn { names, words, cpus, columns, separator, prefix, ending }
            },
        )
    })
}

fn corpus() -> &'static [Vec<u8>] {
    static TEXTS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(|| recorded().iter().map(|path| std::fs::read(path).unwrap()).collect())
}

/// The recorded texts without damage; not the largest, to save time.
fn whole() -> &'static [Vec<u8>] {
    static TEXTS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    let sound = |text: &&Vec<u8>| {
        let topology = Topology::parse("whole", text).unwrap();
        text.len() < 3000 && notes(&topology, NoteKind::Damage).is_empty()
    };
    TEXTS.get_or_init(|| corpus().iter().filter(sound).cloned().collect())
}

/// No word that `part` gives is another than `whole` gives; the same for affinities.
fn assert_part_of(part: &Topology, whole: &Topology) {
    for a in 0..part.devices().len() {
        for b in 0..part.devices().len() {
            let (one, other) = (part.device_name(a), part.device_name(b));
            // Which device of several is put below a container may differ, and with it what is concluded.
            if let (Some(found), Some(expected)) = (word(part, &one, &other), word(whole, &one, &other)) {
                assert_eq!(found, expected, "{one} {other}");
            }
        }
    }
    for gpu in part.gpus() {
        let same = whole.gpus().find(|whole| whole.index == gpu.index).unwrap();
        assert!(gpu.cpus.known().is_none() || gpu.cpus == same.cpus, "{:?} {:?}", gpu.cpus, same.cpus);
        assert!(gpu.nodes.known().is_none() || gpu.nodes == same.nodes, "{:?} {:?}", gpu.nodes, same.nodes);
    }
}

/// Small texts at every byte, others up to 6 kB at every few; behind the matrix nothing is left to cut.
#[test]
fn no_cut_makes_a_text_say_something_else() {
    let mut cuts = 0;
    for text in corpus().iter().filter(|text| text.len() <= 6 << 10) {
        let whole = Topology::parse("whole", text).unwrap();
        let end = text.windows(6).position(|part| part == b"Legend").unwrap_or(text.len());
        let step = if text.len() <= 700 { 1 } else { (text.len() / 150) | 1 };
        for at in (0..=end).step_by(step) {
            let mut cut = text[..at].to_vec();
            if at % 2 == 1 {
                cut.push(b'\n');
            }
            if let Ok(part) = Topology::parse("cut", &cut) {
                assert_part_of(&part, &whole);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 3000, "{cuts}");
}

#[test]
fn every_cut_within_what_stands_beside_the_matrix_is_seen() {
    let (mut wrong, mut cuts) = (Vec::new(), 0);
    for (index, text) in corpus().iter().enumerate().filter(|(_, text)| text.len() <= 6 << 10) {
        let whole = Topology::parse("whole", text).unwrap();
        let text = String::from_utf8_lossy(text).into_owned();
        let mut start = 0;
        let mut rows = 0;
        for line in text.split_inclusive('\n') {
            let from = line.rfind(|c: char| c.is_ascii_uppercase()).unwrap_or(line.len());
            let places = from..=line.trim_end().len();
            rows += usize::from(line.contains("GPU") && !line.contains("CPU"));
            // The first and the second row, which have none or one to compare with, and the fourth of all sorts.
            if line.contains("GPU") && !line.contains("CPU") && matches!(rows, 1 | 2 | 4) {
                for at in places.filter(|at| line.is_char_boundary(*at)) {
                    for ending in ["", "\n"] {
                        let cut = format!("{}{}{ending}", &text[..start], &line[..at]);
                        cuts += 1;
                        let Ok(part) = Topology::parse("cut", cut.as_bytes()) else { continue };
                        for gpu in part.gpus() {
                            let same = whole.gpus().find(|whole| whole.index == gpu.index).unwrap();
                            let known = gpu.nodes.known().is_none() || gpu.nodes == same.nodes;
                            if !known || gpu.cpus.known().is_some() && gpu.cpus != same.cpus {
                                wrong.push(format!("{index} {at}: {gpu:?}"));
                            }
                        }
                    }
                }
            }
            start += line.len();
        }
    }
    assert!(cuts > 2000, "{cuts}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_random_matrix_reads_back_the_same(drawn in drawn()) {
        let topology = parse(&drawn.text());
        for (a, one) in drawn.names.iter().enumerate() {
            for (b, other) in drawn.names.iter().enumerate() {
                let soc = drawn.words.iter().any(|word| word == "SOC");
                let expected = if soc { drawn.word(a, b).replace("SYS", "SOC") } else { drawn.word(a, b).to_owned() };
                prop_assert_eq!(word(&topology, one, other), Some(expected), "{}", drawn.text());
            }
        }
        for (gpu, cpus) in topology.gpus().zip(&drawn.cpus) {
            let expected = (drawn.columns > 0).then(|| format!("{cpus}-{}", cpus + 7));
            prop_assert_eq!(gpu.cpus.known().map(CpuSet::to_string), expected);
            let expected = (drawn.columns > 1).then(|| (cpus / 8).to_string());
            prop_assert_eq!(gpu.nodes.known().map(NodeSet::to_string), expected);
        }
    }

    #[test]
    fn a_cut_text_says_nothing_else_than_the_whole(file in 0usize..1000, at in 0.0..1.0f64, lines in any::<bool>(), end in any::<bool>()) {
        let text = &corpus()[file % corpus().len()];
        let whole = Topology::parse("whole", text).unwrap();
        let mut cut = text[..(text.len() as f64 * at) as usize].to_vec();
        if lines {
            cut.truncate(cut.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        }
        if end {
            cut.push(b'\n');
        }
        if let Ok(part) = Topology::parse("cut", &cut) {
            assert_part_of(&part, &whole);
        }
    }

    #[test]
    fn no_damage_makes_it_panic(file in 0usize..1000, edits in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 1..6)) {
        let mut text = corpus()[file % corpus().len()].clone();
        for (kind, at, byte) in edits {
            let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let line = at % lines.len();
            match kind % 5 {
                0 => { lines.remove(line); }
                1 => lines.insert(line, lines[line].clone()),
                2 => lines.insert(line, vec![byte; at % 40]),
                _ => {}
            }
            text = lines.join(&b'\n');
            if text.is_empty() { break }
            let at = at % text.len();
            match kind % 5 {
                3 => text[at] = byte,
                4 => { text.remove(at); }
                _ => {}
            }
        }
        let _ = Topology::parse("damaged", &text);
    }

    #[test]
    fn a_wrong_byte_never_changes_what_a_whole_matrix_says(file in 0usize..1000, at in 0.0..1.0f64, byte in prop::sample::select(b"NVSYPIXGHBOD0123456789 \t\n\0,-".to_vec())) {
        let texts = whole();
        let text = &texts[file % texts.len()];
        let end = text.windows(6).position(|part| part == b"Legend").unwrap_or(text.len());
        let mut wrong = text.clone();
        wrong[(end as f64 * at) as usize] = byte;
        if let Ok(read) = Topology::parse("wrong", &wrong) {
            let whole = Topology::parse("whole", text).unwrap();
            for a in 0..read.devices().len() {
                for b in 0..read.devices().len() {
                    let (one, other) = (read.device_name(a), read.device_name(b));
                    if let (Some(found), Some(expected)) = (word(&read, &one, &other), word(&whole, &one, &other)) {
                        prop_assert_eq!(found, expected, "{} {}\n{}", one, other, String::from_utf8_lossy(&wrong));
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tokens in prop::collection::vec(prop::sample::select(vec!["GPU0", "GPU1", "NIC0", "X", "NV1", "SYS", "\t", "\n", " ", "|", "0-3", "CPU Affinity", "N/A", "\u{1b}[", "=", "GPU", "-"]), 0..60)) {
        let _ = Topology::parse("bytes", &bytes);
        let _ = Topology::parse("tokens", tokens.concat().as_bytes());
    }
}
