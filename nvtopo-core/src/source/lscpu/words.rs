//! Names of the summary's fields in German and Chinese, as `lscpu` prints them where the language is not English.
//!
//! Only those are here that are read. In any language, `LC_ALL=C lscpu` prints the English names.

use super::super::plain::number;

/// The names: English, German, Chinese. Empty: German has the English one.
const NAMES: [[&str; 3]; 10] = [
    ["On-line CPU(s) list", "Liste der Online-CPU(s)", "在线 CPU 列表"],
    ["Off-line CPU(s) list", "Liste der Offline-CPU(s)", "离线 CPU 列表"],
    ["Thread(s) per core", "Thread(s) pro Kern", "每个核的线程数"],
    ["Core(s) per socket", "Kern(e) pro Socket", "每个座的核数"],
    ["Socket(s)", "Sockel", "座"],
    ["NUMA node(s)", "NUMA-Knoten", "NUMA 节点"],
    ["Model name", "Modellname", "型号名称"],
    ["Architecture", "Architektur", "架构"],
    ["Vendor ID", "Anbieterkennung", "厂商 ID"],
    ["CPU(s)", "", "CPU"],
];

/// Returns the English name of a field, or the name itself where it is none of these.
pub(super) fn english<'a>(name: &'a str, value: &str) -> &'a str {
    // Other tools name the product so.
    if name.is_empty() || name == "CPU" && number(value).is_none() {
        return name;
    }
    NAMES.iter().find(|names| names[1..].contains(&name)).map_or(name, |names| names[0])
}
