//! `nvtopo_written`: a topology in the format of another program, or as a picture.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, c_document, c_texts, element, given, owned};
use crate::placement::nvtopo_placement;
use crate::status::{answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::source::{WriteOptions, Written};
use nvtopo_draw::{Picture, PictureFormat};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A topology in the format of another program, with notes: assumptions, and facts that the format cannot tell.
pub struct nvtopo_written {
    text: CString,
    notes: Vec<CString>,
    note_codes: Vec<CString>,
}

/// Writes the topology in the format of another program. `nvtopo_list_name` names the formats: the list is "writers".
///
///     nvtopo_written *written = NULL;
///     const char *text = NULL;
///     if (nvtopo_topology_write(topology, "json", &written) == NVTOPO_STATUS_OK
///         && nvtopo_written_text(written, &text) == NVTOPO_STATUS_OK)
///         fputs(text, stdout);
///     nvtopo_written_free(written);
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for an unknown format, and where it demands a fact that nobody knows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_write(
    topology: Option<&nvtopo_topology>,
    format: Text,
    written: Option<&mut MaybeUninit<*mut nvtopo_written>>,
) -> nvtopo_status {
    answer(written, "written", || {
        Ok(of(given(topology, "topology")?.topology.write(format.read("format")?)?))
    })
}

/// Writes the topology as `nvtopo_topology_write` does, with options; NULL leaves one out. `node` is the name of the machine in
/// its cluster. `devices` lists, separated by commas, what a virtual machine gets by PCI passthrough: GPUs ("GPU0", "0-3"), NICs
/// and PCI addresses. Every format describes that guest then.
///
///     nvtopo_topology_write_with(topology, "libvirt-xml", "vm1", "0-3,mlx5_0", &written);
///
/// Fails as `nvtopo_topology_write` does, and with `NVTOPO_STATUS_INVALID_REQUEST` for a device that is not there, or in the list
/// twice.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_write_with(
    topology: Option<&nvtopo_topology>,
    format: Text,
    node: Text,
    devices: Text,
    written: Option<&mut MaybeUninit<*mut nvtopo_written>>,
) -> nvtopo_status {
    answer(written, "written", || {
        let topology = &given(topology, "topology")?.topology;
        let mut options = WriteOptions::default();
        options.node = node.optional("node")?.map(str::to_owned);
        if devices.optional("devices")?.is_some() {
            options.devices = devices.list("devices")?.into_iter().map(str::to_owned).collect();
        }
        Ok(of(topology.write_with(format.read("format")?, &options)?))
    })
}

fn of(written: Written) -> *mut nvtopo_written {
    owned(nvtopo_written {
        notes: c_texts(&written.notes),
        note_codes: c_texts(written.notes.iter().map(|note| note.code().name())),
        text: c_document(written.text),
    })
}

/// Draws the topology as "svg", or as "html": a page to click in, which needs no network. The GPUs of `placement`, which may be
/// NULL, are highlighted. What is drawn has no notes.
///
///     nvtopo_written *picture = NULL;
///     const char *text = NULL;
///     if (nvtopo_topology_draw(topology, NULL, "html", &picture) == NVTOPO_STATUS_OK
///         && nvtopo_written_text(picture, &text) == NVTOPO_STATUS_OK)
///         fputs(text, file);
///     nvtopo_written_free(picture);
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for an unknown format.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_draw(
    topology: Option<&nvtopo_topology>,
    placement: Option<&nvtopo_placement>,
    format: Text,
    written: Option<&mut MaybeUninit<*mut nvtopo_written>>,
) -> nvtopo_status {
    answer(written, "written", || {
        let topology = &given(topology, "topology")?.topology;
        let mut picture = Picture::new(topology);
        if let Some(placement) = placement {
            picture = picture.with_placement(&placement.placement);
        }
        let drawn = picture.draw(PictureFormat::by_name(format.read("format")?)?)?;
        let text = c_document(String::from_utf8_lossy(&drawn).into_owned());
        Ok(owned(nvtopo_written { text, notes: Vec::new(), note_codes: Vec::new() }))
    })
}

/// Frees what was written. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_written_free(written: Option<Box<nvtopo_written>>) {
    free(written);
}

/// The text, which ends with a line break.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_written_text(
    written: Option<&nvtopo_written>,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(given(written, "written")?.text.as_ptr()))
}

/// Counts the notes.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_written_note_count(
    written: Option<&nvtopo_written>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(written, "written")?.notes.len()))
}

/// A note by its number, from 0 on: its kind and one sentence.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_written_note(
    written: Option<&nvtopo_written>,
    index: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(written, "written")?.notes, index, "note")?.as_ptr()))
}

/// The stable code of a note by its number, for programs, as `nvtopo_topology_note_code` has it.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_written_note_code(
    written: Option<&nvtopo_written>,
    index: usize,
    code: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(code, "code", || Ok(element(&given(written, "written")?.note_codes, index, "note")?.as_ptr()))
}
