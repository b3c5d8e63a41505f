//! The make of CPUs by the name of their model, for sources that tell names only.

use crate::model::{CpuMake, NodeKind, Topology};

/// Returns the make of a machine's CPUs: as a source states it, else by the name of their model.
pub(super) fn of(topology: &Topology) -> Option<CpuMake> {
    let stated = &*topology.machine().cpu;
    let by_name = || {
        let mut packages = topology.nodes().filter_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => package.model.as_deref(),
            _ => None,
        });
        packages.find_map(cpu)
    };
    let CpuMake { architecture, vendor: None, family: None, model: None } = stated else {
        return Some(stated.clone());
    };
    // Tools that tell the instruction set alone tell the model's name besides.
    let named = by_name().filter(|make| architecture.is_none() || make.architecture == *architecture);
    named.or_else(|| Some(stated.clone()).filter(|make| !make.is_unknown()))
}

/// Returns an instruction set as NCCL spells it, by the kernel's name (`uname -m`). `None`: the word is no such name.
pub(super) fn architecture(name: &str) -> Option<String> {
    let is_name = name.len() <= 32 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_name = is_name && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| {
        match name {
            "aarch64" => "arm64",
            "ppc64le" => "ppc64",
            name => name,
        }
        .to_owned()
    })
}

/// Returns the make of a CPU; `None` for a name of which NCCL would not know what to plan with.
///
/// Source: the numbers of families and models in the makers' processor references (CPUID leaf 1). NCCL adds 16 times the
/// extended family to 15, where it is AMD's: family 23 is 143.
pub(super) fn cpu(name: &str) -> Option<CpuMake> {
    let name = name.to_ascii_lowercase();
    let has = |word: &str| name.contains(word);
    let make = |architecture: &str, vendor: Option<&str>, numbers: Option<(u32, u32)>| CpuMake {
        architecture: Some(architecture.to_owned()),
        vendor: vendor.map(str::to_owned),
        family: numbers.map(|(family, _)| family),
        model: numbers.map(|(_, model)| model),
    };
    // Cloud providers have models of their own, such as EPYC 7V12.
    let amd = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::as_bytes)
        .find(|part| matches!(part, [first, _, _, last] if first.is_ascii_digit() && last.is_ascii_digit()));
    let number =
        name.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() == 4).unwrap_or_default().as_bytes();
    if has("amd") || has("epyc") {
        let numbers = match amd.unwrap_or_default() {
            [b'7', .., b'1'] => (143, 1),
            [b'7', .., b'2'] => (143, 49),
            [b'7', .., b'3'] => (175, 1),
            [b'9', .., b'5'] => (191, 2),
            _ => (175, 17),
        };
        return Some(make("x86_64", Some("AuthenticAMD"), Some(numbers)));
    }
    if has("power") {
        return Some(make("ppc64", None, None));
    }
    if has("neoverse") || has("grace") || has("arm") {
        return Some(make("arm64", None, None));
    }
    if !has("intel") && !has("xeon") {
        return None;
    }
    let is_scalable = ["platinum", "gold", "silver", "bronze"].into_iter().any(has);
    let model = match number {
        _ if has("cpu max") => 143,
        _ if has("xeon 6") || has("xeon(r) 6") => 173,
        [_, b'1' | b'2', ..] if is_scalable => 85,
        [_, b'3', ..] if is_scalable => 106,
        [_, b'4', ..] if is_scalable => 143,
        [_, b'5'..=b'9', ..] if is_scalable => 207,
        _ if has("v3") => 63,
        _ => 79,
    };
    Some(make("x86_64", Some("GenuineIntel"), Some((6, model))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_makes() {
        let of = |name: &str| cpu(name).map(|make| (make.architecture.unwrap(), make.model));
        let known = |architecture: &str, model: Option<u32>| Some((architecture.to_owned(), model));
        for (name, expected) in [
            ("AMD EPYC 7742 64-Core Processor", known("x86_64", Some(49))),
            ("AMD EPYC 7V12 64-Core Processor", known("x86_64", Some(49))),
            ("Intel(R) Xeon(R) Platinum 8480C", known("x86_64", Some(143))),
            ("INTEL(R) XEON(R) PLATINUM 8570", known("x86_64", Some(207))),
            ("Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz", known("x86_64", Some(85))),
            ("Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz", known("x86_64", Some(79))),
            ("POWER9, altivec supported", known("ppc64", None)),
            ("Neoverse-V2", known("arm64", None)),
            ("Loongson", None),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
