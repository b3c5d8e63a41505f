//! The layout of a guest as libvirt's domain XML: CPUs, memory, PCI controllers and passed devices, and nothing else.
//!
//! Disks, networks and the firmware's variables are for those who run the guest; libvirt adds controllers for them by itself.

use super::super::make;
use super::super::writers::{WriteOptions, Written};
use super::cells::{ASSUMED_CPUS, ASSUMED_GIB};
use super::devices::{address, device_name};
use super::layout::{Controller, Model, Passed, Slot};
use super::machine::distances;
use super::{Cell, Guest};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{NodeKind, Note, NoteCode};
use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};
use std::fmt::Write as _;
use std::io;

type Xml = Writer<Vec<u8>>;
type Attributes<'a> = [(&'a str, &'a str)];

/// The architecture and machine of libvirt for x86.
const X86: (&str, &str) = ("x86_64", "q35");

/// The most CPUs whose interrupts need no IOMMU on x86: an xAPIC has a number of 8 bits, and one of them means all.
const MOST_XAPIC_CPUS: u32 = 255;

/// Writes the layout.
pub(in super::super) fn write(guest: &Guest<'_>, options: &WriteOptions) -> Result<Written> {
    let name = options.node.as_deref().unwrap_or("guest");
    if name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        return Err(Error::request(format!("'{name}' is no name of a libvirt domain"))
            .help("give one without slashes and control characters"));
    }
    let architecture = make::of(guest.host).and_then(|make| make.architecture);
    let kind = match architecture.as_deref() {
        Some("arm64" | "aarch64") => ("aarch64", "virt"),
        Some("ppc64" | "ppc64le") => {
            let text =
                "virtual machines on POWER have no PCIe expander buses, so there is no layout for them";
            return Err(Error::request(text));
        }
        None | Some("x86_64" | "i386" | "i486" | "i586" | "i686") => X86,
        Some(other) => {
            let text = format!(
                "libvirt has no PCIe expander buses for the host's {other}, so there is no layout for its virtual machines"
            );
            return Err(Error::request(text));
        }
    };
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    guest
        .domain(&mut xml, name, kind)
        .map_err(|error| Error::input(format!("the domain cannot be written: {error}")))?;
    let mut written = Written::new(String::from_utf8_lossy(&xml.into_inner()).into_owned() + "\n");
    if architecture.is_none() {
        let text = "the instruction set of the host's CPUs is unknown: x86_64 is assumed";
        written.note(Note::new(NoteCode::Inferred, text));
    }
    let unknown = guest.layout.passed.iter().map(|passed| passed.function[0]);
    let unknown: Vec<String> = unknown
        .filter(|id| address(guest.host, *id).is_none())
        .map(|id| device_name(guest.host, id))
        .collect();
    if !unknown.is_empty() {
        let text = format!(
            "the host's PCI address of {} is unknown: a comment with its place in the guest stands for each",
            unknown.join(", ")
        );
        written.note(Note::new(NoteCode::Unknown, text));
    }
    Ok(written)
}

impl Guest<'_> {
    fn domain(&self, xml: &mut Xml, name: &str, (architecture, machine): (&str, &str)) -> io::Result<()> {
        let memory = self.cells.iter().map(memory).fold(0, u64::saturating_add);
        let memory = if self.cells.is_empty() { ASSUMED_GIB << 30 } else { memory };
        let cpus: u32 = self.cells.iter().map(|cell| cell.count).sum();
        let cpus = if self.cells.is_empty() { ASSUMED_CPUS } else { cpus };
        // Interrupts reach APICs of higher numbers only through an IOMMU that remaps them, which the kernel's I/O APIC cannot.
        let has_wide_ids = architecture == X86.0 && cpus > MOST_XAPIC_CPUS;
        inside(xml, "domain", &[("type", "kvm")], |xml| {
            text(xml, "name", &[], name)?;
            text(xml, "memory", &[("unit", "KiB")], &kib(memory))?;
            text(xml, "vcpu", &[("placement", "static")], &cpus.to_string())?;
            self.pinning(xml)?;
            inside(xml, "os", &[("firmware", "efi")], |xml| {
                text(xml, "type", &[("arch", architecture), ("machine", machine)], "hvm")
            })?;
            // ACPI tells the guest the NUMA nodes, also those of expander buses.
            inside(xml, "features", &[], |xml| {
                empty(xml, "acpi", &[])?;
                if has_wide_ids {
                    empty(xml, "apic", &[])?;
                    empty(xml, "ioapic", &[("driver", "qemu")])?;
                }
                Ok(())
            })?;
            self.cpu(xml)?;
            inside(xml, "devices", &[], |xml| {
                for (index, controller) in self.layout.controllers.iter().enumerate() {
                    self.controller(xml, index, controller)?;
                }
                self.layout.passed.iter().try_for_each(|passed| self.device(xml, passed))?;
                if !has_wide_ids {
                    return Ok(());
                }
                // VFIO needs the caching mode.
                let all = [("intremap", "on"), ("caching_mode", "on"), ("eim", "on")];
                inside(xml, "iommu", &[("model", "intel")], |xml| empty(xml, "driver", &all))
            })
        })
    }

    /// Pins CPUs and memory to those of the host.
    fn pinning(&self, xml: &mut Xml) -> io::Result<()> {
        if self.cells.iter().any(|cell| !cell.cores.is_empty()) {
            inside(xml, "cputune", &[], |xml| {
                for cell in &self.cells {
                    for (number, cpu) in (cell.first..).zip(cell.cores.iter().flatten()) {
                        let (number, cpu) = (number.to_string(), cpu.to_string());
                        empty(xml, "vcpupin", &[("vcpu", &number), ("cpuset", &cpu)])?;
                    }
                }
                Ok(())
            })?;
        }
        if self.cells.is_empty() {
            return Ok(());
        }
        inside(xml, "numatune", &[], |xml| {
            for (number, cell) in self.cells.iter().enumerate() {
                let (number, node) = (number.to_string(), cell.node.to_string());
                empty(xml, "memnode", &[("cellid", &number), ("mode", "strict"), ("nodeset", &node)])?;
            }
            Ok(())
        })
    }

    /// Writes the sockets, where all cells are alike, and the cells.
    fn cpu(&self, xml: &mut Xml) -> io::Result<()> {
        let all = [("mode", "host-passthrough")];
        if self.cells.is_empty() {
            return empty(xml, "cpu", &all);
        }
        let shape = |cell: &Cell| cell.threads.map(|threads| (cell.cores.len(), threads));
        let first = self.cells.first().and_then(shape);
        inside(xml, "cpu", &all, |xml| {
            if let Some((cores, threads)) =
                first.filter(|_| self.cells.iter().all(|cell| shape(cell) == first))
            {
                let [sockets, cores, threads] =
                    [self.cells.len(), cores, threads as usize].map(|count| count.to_string());
                let all = [("sockets", &*sockets), ("dies", "1"), ("cores", &cores), ("threads", &threads)];
                empty(xml, "topology", &all)?;
            }
            inside(xml, "numa", &[], |xml| {
                self.cells.iter().enumerate().try_for_each(|(number, cell)| self.cell(xml, number, cell))
            })
        })
    }

    fn cell(&self, xml: &mut Xml, number: usize, cell: &Cell) -> io::Result<()> {
        let number = number.to_string();
        let cpus = format!("{}-{}", cell.first, cell.first + cell.count - 1);
        let memory = kib(self::memory(cell));
        let all = [("id", &*number), ("cpus", &cpus), ("memory", &memory), ("unit", "KiB")];
        let distances = distances(self.host, &self.cells, cell);
        if distances.is_empty() {
            return empty(xml, "cell", &all);
        }
        inside(xml, "cell", &all, |xml| {
            inside(xml, "distances", &[], |xml| {
                distances.iter().try_for_each(|(id, value)| {
                    empty(xml, "sibling", &[("id", &id.to_string()), ("value", &value.to_string())])
                })
            })
        })
    }

    fn controller(&self, xml: &mut Xml, index: usize, controller: &Controller) -> io::Result<()> {
        let (number, bus) = (index.to_string(), controller.bus.to_string());
        let model = match controller.model {
            Model::Root => "pcie-root",
            Model::Expander(_) => "pcie-expander-bus",
            Model::RootPort => "pcie-root-port",
            Model::Upstream(_) => "pcie-switch-upstream-port",
            Model::Downstream => "pcie-switch-downstream-port",
        };
        let all = [("type", "pci"), ("index", &*number), ("model", model)];
        let node = match controller.model {
            Model::Root => return empty(xml, "controller", &all),
            Model::Expander(node) => node,
            _ => {
                return inside(xml, "controller", &all, |xml| place(xml, controller.on, controller.slot));
            }
        };
        inside(xml, "controller", &all, |xml| {
            match self.cells.iter().position(|cell| Some(cell.node) == node) {
                None => empty(xml, "target", &[("busNr", &bus)]),
                Some(cell) => {
                    inside(xml, "target", &[("busNr", &bus)], |xml| text(xml, "node", &[], &cell.to_string()))
                }
            }
        })
    }

    /// Writes a passed device, after a comment about what it is.
    fn device(&self, xml: &mut Xml, passed: &Passed) -> io::Result<()> {
        let names: Vec<String> = passed.function.iter().map(|id| device_name(self.host, *id)).collect();
        let model = match &self.host.node(passed.function[0]).kind {
            NodeKind::Gpu(gpu) => gpu.model.as_deref(),
            NodeKind::Nic(nic) => nic.model.as_deref(),
            _ => None,
        };
        let mut comment = names.join(", ");
        if let Some(model) = model {
            let _ = write!(comment, " {model}");
        }
        let _ = write!(comment, " at {} in the guest", passed.address);
        if let Some(gpu) = self.topology.gpus().find(|gpu| gpu.address == Some(passed.address)) {
            let _ = write!(comment, ", as {}", gpu.name());
        }
        let Some(own) = address(self.host, passed.function[0]) else {
            let _ = write!(comment, ": on controller {}; its address on the host is unknown", passed.on);
            return remark(xml, &comment);
        };
        remark(xml, &comment)?;
        let all = [("mode", "subsystem"), ("type", "pci"), ("managed", "yes")];
        inside(xml, "hostdev", &all, |xml| {
            inside(xml, "source", &[], |xml| {
                let PciAddress { domain, bus, device, function } = own;
                numbers(xml, &[], (domain, bus.into(), device, function), false)
            })?;
            place(xml, passed.on, passed.slot)
        })
    }
}

/// Writes the place of a controller or device in the guest. libvirt counts buses by the indexes of controllers.
fn place(xml: &mut Xml, on: usize, slot: Slot) -> io::Result<()> {
    numbers(xml, &[("type", "pci")], (0, on, slot.device, slot.function), slot.is_multifunction)
}

fn numbers(
    xml: &mut Xml,
    first: &Attributes<'_>,
    (domain, bus, device, function): (u32, usize, u8, u8),
    is_multifunction: bool,
) -> io::Result<()> {
    let (domain, bus) = (format!("{domain:#06x}"), format!("{bus:#04x}"));
    let (device, function) = (format!("{device:#04x}"), format!("{function:#x}"));
    let mut all = first.to_vec();
    all.extend([("domain", &*domain), ("bus", &bus), ("slot", &device), ("function", &function)]);
    all.extend(is_multifunction.then_some(("multifunction", "on")));
    empty(xml, "address", &all)
}

fn inside(
    xml: &mut Xml,
    name: &str,
    attributes: &Attributes<'_>,
    write: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    let element = xml.create_element(name).with_attributes(attributes.iter().copied());
    element.write_inner_content(write).map(|_| ())
}

fn empty(xml: &mut Xml, name: &str, attributes: &Attributes<'_>) -> io::Result<()> {
    xml.create_element(name).with_attributes(attributes.iter().copied()).write_empty().map(|_| ())
}

fn text(xml: &mut Xml, name: &str, attributes: &Attributes<'_>, text: &str) -> io::Result<()> {
    let element = xml.create_element(name).with_attributes(attributes.iter().copied());
    element.write_text_content(BytesText::new(text)).map(|_| ())
}

/// Writes a comment, in which no two hyphens may follow each other.
fn remark(xml: &mut Xml, text: &str) -> io::Result<()> {
    let mut plain = format!(" {text} ").replace(char::is_control, " ");
    while plain.contains("--") {
        plain = plain.replace("--", "- -");
    }
    xml.write_event(Event::Comment(BytesText::from_escaped(plain)))
}

fn memory(cell: &Cell) -> u64 {
    cell.memory.unwrap_or(ASSUMED_GIB << 30)
}

fn kib(bytes: u64) -> String {
    (bytes >> 10).to_string()
}
