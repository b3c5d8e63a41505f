//! `/proc/cpuinfo`: the facts of the first processor, on every architecture.

use super::tree::Tree;
use std::borrow::Cow;

/// The number of bytes to read, enough for the first processor. The kernel measures clocks while it writes the file, so
/// the rest would cost milliseconds.
const HEAD: usize = 8 << 10;

/// Fields that name the model, the best first: x86 and IA-64, POWER and SPARC, MIPS, Loongson, old ARM.
const NAMES: [&str; 5] = ["model name", "cpu", "cpu model", "Model Name", "Processor"];

/// Other fields that are read.
const FIELDS: [&str; 5] = ["CPU implementer", "CPU part", "vendor_id", "cpu family", "flags"];

/// The first processor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CpuInfo {
    pub(super) model: Option<String>,
    /// True if the CPU has the flag of CPUs that a hypervisor runs, where it has flags.
    pub(super) in_guest: Option<bool>,
    /// AMD's Bulldozer family calls two cores that share a module threads of one core; their numbers differ.
    pub(super) threads_are_cores: bool,
}

/// Reads the start of the file.
pub(super) fn read(tree: &Tree) -> CpuInfo {
    let bytes = tree.head("proc/cpuinfo", HEAD);
    let text = std::str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
    parse(&text)
}

fn parse(text: &str) -> CpuInfo {
    let (mut names, mut fields) = ([None; NAMES.len()], [None; FIELDS.len()]);
    for line in text.lines() {
        // The lines that follow describe other processors.
        if line.is_empty() && names.iter().any(Option::is_some) {
            break;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let place = |known: &[&str]| known.iter().position(|name| *name == key);
        let found = match place(&NAMES) {
            Some(place) => Some(&mut names[place]),
            None => place(&FIELDS).map(|place| &mut fields[place]),
        };
        if let Some(found) = found.filter(|found| found.is_none() && !value.is_empty()) {
            *found = Some(value);
        }
    }
    let [implementer, part, vendor, family, flags] = fields;
    let number = |text: Option<&str>| u32::from_str_radix(text?.trim_start_matches("0x"), 16).ok();
    let name = names.into_iter().flatten().next().map(str::to_owned);
    CpuInfo {
        model: name.or_else(|| arm_model(number(implementer)?, number(part)?)),
        in_guest: flags.map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        threads_are_cores: vendor == Some("AuthenticAMD") && matches!(family, Some("21" | "22")),
    }
}

/// Returns the model of an ARM CPU, of which newer kernels give numbers only. Source: the Main ID registers in the
/// makers' reference manuals.
pub(super) fn arm_model(implementer: u32, part: u32) -> Option<String> {
    let name = match (implementer, part) {
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x41, 0xd8e) => "Neoverse-N3",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd4f) => "Neoverse-V2",
        (0x41, 0xd84) => "Neoverse-V3",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd42) => "Cortex-A78AE",
        (0x41, 0xd85) => "Cortex-X925",
        (0x41, 0xd87) => "Cortex-A725",
        (0x43, 0x0af) => "ThunderX2-99xx",
        (0x46, 0x001) => "A64FX",
        (0x48, 0xd01) => "Kunpeng-920",
        (0x4e, 0x004) => "Carmel",
        (0x50, 0x000) => "X-Gene",
        (0xc0, 0xac3) => "Ampere-1",
        (0xc0, 0xac4) => "Ampere-1a",
        _ => return None,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_on_every_architecture() {
        for (text, expected) in [
            ("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nmodel name\t: Xeon\n", Some("Xeon")),
            ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", Some("POWER9, altivec supported")),
            ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n", Some("Neoverse-V2")),
            ("processor\t: 0\nmodel name\t: \n", None),
            ("", None),
        ] {
            assert_eq!(parse(text).model.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn fields_are_those_of_the_first_processor() {
        let text = "processor : 0\nvendor_id : AuthenticAMD\ncpu family : 21\nmodel name : A\nflags : fpu\n\n\
                    processor : 1\nmodel name : B\nflags : fpu hypervisor\n";
        let expected =
            CpuInfo { model: Some("A".to_owned()), in_guest: Some(false), threads_are_cores: true };
        assert_eq!(parse(text), expected);
        // Old ARM kernels describe the CPU after all processors.
        let behind = "processor : 0\n\nprocessor : 1\n\nCPU implementer : 0x41\nCPU part : 0xd0c\n";
        assert_eq!(parse(behind).model.as_deref(), Some("Neoverse-N1"));
    }
}
