//! Archives that nobody should send: each is refused with the entry, or read without harm.

use super::made::Made;
use super::pack;
use nvtopo::source::{Redaction, Snapshot};
use nvtopo::{ErrorKind, Topology};
use proptest::prelude::*;
use std::io::Read;
use std::sync::OnceLock;
use tar::{EntryType, Header};

const HEAD: &str =
    r#"{"format":"nvtopo-snapshot","version":1,"nvtopo":"0.1.0","redacted":false,"own":true,"later":1}"#;

/// An archive of a machine with one CPU, and more.
fn with(more: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let cpu = "sys/devices/system/cpu/cpu0/topology/core_cpus";
    let own =
        [(EntryType::Regular, "nvtopo/snapshot.json", HEAD.as_bytes()), (EntryType::Regular, cpu, b"1")];
    pack(&[&own, more].concat())
}

#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let error = Topology::parse("machine.tar.gz", bytes).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    assert!(text.starts_with("machine.tar.gz") && text.contains(words), "no '{words}' in: {text}");
    assert!(text.len() < 1000, "{text}");
}

#[test]
fn a_small_archive_is_read_however_it_was_packed() {
    let topology = Topology::parse("x", &with(&[])).unwrap();
    assert_eq!(topology.cpus().to_string(), "0");
    let head = HEAD.as_bytes();
    let cpu = "././sys//devices/system/cpu/cpu0/topology/core_cpus";
    let packed = pack(&[
        (EntryType::Directory, "./", b""),
        (EntryType::Directory, "./sys/", b""),
        (EntryType::Directory, "./sys/", b""),
        (EntryType::Regular, cpu, b"1"),
        (EntryType::Regular, "nvtopo/of_a_later_version", b"x"),
        (EntryType::Regular, "./nvtopo/snapshot.json", head),
    ]);
    assert_eq!(Topology::parse("x", &packed).unwrap(), topology);
}

#[test]
fn paths_stay_inside() {
    for path in ["/etc/passwd", "sys/../../etc/passwd", "..", "sys/.."] {
        refused(&with(&[(EntryType::Regular, path, b"x")]), "leads out of the archive");
    }
    refused(&with(&[(EntryType::Regular, "sys/\u{fffd}", b"x")]).clone(), "not UTF-8");
    let long = format!("sys/{}", "x/".repeat(3000));
    refused(&with(&[(EntryType::Regular, &long, b"x")]), "longer than 4096");
    // Links may lead anywhere: nothing is there.
    let id = "0123456789abcdef0123456789abcdef";
    let topology = Topology::parse(
        "x",
        &with(&[
            (EntryType::Symlink, "sys/class/dmi/id/product_name", b"/etc/hostname"),
            (EntryType::Symlink, "proc/meminfo", b"../../../../../../../../proc/meminfo"),
            (EntryType::Symlink, "proc/self", b"self"),
            (EntryType::Regular, "etc/machine-id", id.as_bytes()),
        ]),
    )
    .unwrap();
    assert_eq!(topology.machine().product, None);
    assert_eq!(topology.origin(), &nvtopo::model::Origin::Unknown);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let file = |path| (EntryType::Regular, path, &b"x"[..]);
    refused(&with(&[file("sys/a"), file("sys/a")]), "entry 'sys/a': it is there twice");
    refused(&with(&[file("sys/a"), file("./sys/a")]), "it is there twice");
    refused(&with(&[file("sys/a"), file("sys/a/b")]), "below something that is no directory");
    refused(&with(&[(EntryType::Symlink, "sys/l", b"x"), file("sys/l/b")]), "no directory");
    refused(&with(&[file("nvtopo/snapshot.json")]), "nvtopo/snapshot.json': it is there twice");
    refused(&with(&[(EntryType::Link, "sys/l", b"sys/a")]), "entry 'sys/l': it is neither a file");
    refused(&with(&[(EntryType::Fifo, "sys/l", b"")]), "neither a file");
    refused(&with(&[(EntryType::Char, "sys/l", b"")]), "neither a file");
    refused(&with(&[(EntryType::Symlink, "sys/l", b"")]), "target");
    refused(&with(&[file("nvtopo/nvml.json")]), "entry 'nvtopo/nvml.json': expected");
}

#[test]
fn other_archives_and_versions_say_so() {
    let head = |text: &str| pack(&[(EntryType::Regular, "nvtopo/snapshot.json", text.as_bytes())]);
    let version = HEAD.replace("\"version\":1", "\"version\":2");
    refused(&head(&version), "version 2 is not one that this nvtopo reads");
    refused(&head(&HEAD.replace("\"version\":1", "\"version\":0")), "version 0");
    refused(&head(&HEAD.replace("nvtopo-snapshot", "x")), "its format is 'x'");
    refused(&head("{"), "entry 'nvtopo/snapshot.json': EOF");
    refused(&head(HEAD), "names no CPU");
    refused(&pack(&[(EntryType::Regular, "sys/a", b"x")]), "names no CPU");
    refused(&compressed(b"a text"), "not a format that nvtopo knows");
    refused(&compressed(&vec![0; 1 << 20]), "not a recorded machine");
    let error = Snapshot::read(&pack(&[(EntryType::Regular, "sys/a", b"x")])).unwrap_err();
    assert!(error.message().contains("without nvtopo/snapshot.json"), "{error}");
    refused(&[0x1f, 0x8b, 8], "not an archive");
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let large = vec![0; 65 << 20];
    refused(&with(&[(EntryType::Regular, "sys/a", &large)]), "more than 64 MiB");
    // Also without any entry.
    refused(&compressed(&large), "more than 64 MiB");
    // A header that promises more than there is.
    let mut header = Header::new_gnu();
    header.set_path("sys/a").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    let mut unpacked = header.as_bytes().to_vec();
    unpacked.resize(4096, 0);
    refused(&compressed(&unpacked), "damaged");
    let names: Vec<String> = (0..100_001).map(|number| format!("sys/{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (EntryType::Directory, &**name, &b""[..])).collect();
    refused(&with(&many), "more than 100000 entries");
    let deep: Vec<String> = (0..200).map(|number| format!("{number}/{}", "x/".repeat(1500))).collect();
    let deep: Vec<_> = deep.iter().map(|name| (EntryType::Directory, &**name, &b""[..])).collect();
    refused(&with(&deep), "more than 200000 files");
}

#[test]
fn every_cut_and_every_flipped_bit_is_an_error_or_a_machine() {
    let made = Made::machine();
    let whole = Snapshot::of_recorded(made.path(), Redaction::None).unwrap().to_bytes().unwrap();
    for end in (0..whole.len()).step_by(211) {
        assert!(Topology::parse("x", &whole[..end]).is_err(), "cut after {end}");
    }
    for place in (10..whole.len()).step_by(101) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        assert!(Topology::parse("x", &damaged).is_err(), "damaged at {place}");
    }
}

/// The archive of a machine, not compressed.
fn unpacked() -> &'static [u8] {
    static UNPACKED: OnceLock<Vec<u8>> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let made = Made::machine();
        let bytes = Snapshot::of_recorded(made.path(), Redaction::None).unwrap().to_bytes().unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
        unpacked
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage inside the compression, where no checksum finds it.
    #[test]
    fn damaged_contents_are_read_or_refused(
        damage in prop::collection::vec((0_usize..1_000_000, any::<u8>()), 1..20),
        from in 0_usize..1_000_000,
        length in 0_usize..4096,
    ) {
        let mut unpacked = unpacked().to_vec();
        for (place, byte) in damage {
            let place = place % unpacked.len();
            unpacked[place] = byte;
        }
        let from = from % unpacked.len();
        unpacked.drain(from..unpacked.len().min(from + length));
        let _ = Topology::parse("x", &compressed(&unpacked));
    }
}

#[test]
fn holes_count_as_what_they_say() {
    let data = |name: &str| {
        std::fs::read(format!("{}/../tests/data/hostile/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    refused(&data("F1-sparse-bomb.tar.gz"), "nvtopo/snapshot.json': it has more than 8 MiB");
    // The same in a file of the machine, and in many of them.
    let sparse = |path: &str, size: u64| {
        let mut header = Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_mode(0o444);
        header.set_size(0);
        header.set_entry_type(EntryType::GNUSparse);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(size);
        let end = format!("{size:011o}");
        gnu.sparse[0].offset[..11].copy_from_slice(end.as_bytes());
        gnu.sparse[0].numbytes[..11].copy_from_slice(b"00000000000");
        header.set_cksum();
        header
    };
    for (size, kind) in [(1 << 30, "neither a file"), (7, "neither a file")] {
        let mut archive =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        archive.append(&sparse("sys/x", size), std::io::empty()).unwrap();
        refused(&archive.into_inner().unwrap().finish().unwrap(), kind);
    }
    // A document may have holes, up to its limit.
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    archive.append(&sparse("nvtopo/snapshot.json", 7 << 20), std::io::empty()).unwrap();
    refused(&archive.into_inner().unwrap().finish().unwrap(), "expected value");
}

/// One member of a gzip file.
fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn members_and_what_follows_are_read_or_told() {
    let whole = with(&[]);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut plain).unwrap();
    let topology = Topology::parse("x", &whole).unwrap();
    for cut in [1, 511, 512, 1024, plain.len() - 1] {
        let split = [member(&plain[..cut]), member(b""), member(&plain[cut..])].concat();
        assert_eq!(Topology::parse("x", &split).unwrap(), topology, "cut at {cut}");
        // Zeros are padding, as on tapes.
        assert_eq!(Topology::parse("x", &[&split[..], &[0; 700]].concat()).unwrap(), topology);
        refused(&[&split[..], b"x"].concat(), "1 bytes behind the compressed data are not of gzip");
        refused(&[&split[..], &member(b"lost")].concat(), "something follows the end of the archive");
        refused(&[&split[..], &[0x1f, 0x8b, 9, 0]].concat(), "the archive is damaged there or after");
    }
    let path = format!("{}/../tests/data/hostile/c-concat-split.tar.gz", env!("CARGO_MANIFEST_DIR"));
    let snapshot = Snapshot::read(&std::fs::read(path).unwrap()).unwrap();
    let again = super::entries(&snapshot.to_bytes().unwrap());
    let core = "sys/devices/system/cpu/cpu0/topology/core_cpus";
    assert!(again.iter().any(|entry| entry.path == core && entry.content == b"1"));
}
