//! Where C's pointers become Rust's references and texts, and back. All `unsafe` blocks of the crate are here.
//!
//! Handles need none: C's `const T *` is an `Option<&T>`, what C frees an `Option<Box<T>>`, an output an
//! `Option<&mut MaybeUninit<T>>`; Rust guarantees that these are pointers that may be NULL. Texts and arrays, whose
//! length a reference cannot say, have types of their own, which only C can make. The header tells C what it has to
//! promise in return.
#![allow(unsafe_code, reason = "this file is what keeps it out of the others")]

use crate::request::nvtopo_request;
use crate::status::{Failure, nvtopo_status};
use nvtopo::printable;
use std::ffi::{CStr, CString, c_char};
use std::fmt::Display;
use std::mem::MaybeUninit;

/// A text argument: `const char *`.
#[repr(transparent)]
pub struct Text(*const c_char);

/// A code that C gives, which may be none of ours: `nvtopo_status`.
#[repr(transparent)]
pub struct StatusCode(pub(crate) i32);

/// A code that C gives, which may be none of ours: `nvtopo_path`.
#[repr(transparent)]
pub struct PathCode(pub(crate) i32);

/// An array argument of texts: `const char *const *`.
#[repr(transparent)]
pub struct Texts(*const Text);

/// An array argument of GPU indices: `const uint32_t *`.
#[repr(transparent)]
pub struct Indices(*const u32);

/// An array argument of numbers: `const double *`.
#[repr(transparent)]
pub struct Doubles(*const f64);

/// An array argument of bytes: `const void *`.
#[repr(transparent)]
pub struct Bytes(*const u8);

/// An array argument of requests: `const nvtopo_request *const *`.
#[repr(transparent)]
pub struct Requests(*const *const nvtopo_request);

/// An array that a call fills with numbers: `uint64_t *`.
#[repr(transparent)]
pub struct Numbers(*mut u64);

impl Text {
    /// The text of the argument that the header calls `name`; `None` where it is NULL, which leaves it out.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<&str>, Failure> {
        if self.0.is_null() { Ok(None) } else { self.read(name).map(Some) }
    }

    /// The list, separated by commas, of the argument that the header calls `name`; "" is the list of none.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<&str>, Failure> {
        Ok(listed(self.read(name)?))
    }

    /// The text of the argument that the header calls `name`.
    pub(crate) fn read(&self, name: &str) -> Result<&str, Failure> {
        if self.0.is_null() {
            return Err(null(name));
        }
        // SAFETY: only C makes a `Text`; it promises that the text ends with a NUL and outlives the call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|_| {
            Failure::new(nvtopo_status::InvalidUtf8, format!("the argument '{name}' is not UTF-8"))
        })
    }
}

impl Texts {
    /// The `count` texts of the argument that the header calls `name`.
    pub(crate) fn read(&self, count: usize, name: &str) -> Result<Vec<&str>, Failure> {
        slice(&self.0, count, name)?.iter().map(|text| text.read(name)).collect()
    }
}

impl Indices {
    /// The `count` indices of the argument that the header calls `name`.
    pub(crate) fn read(&self, count: usize, name: &str) -> Result<&[u32], Failure> {
        slice(&self.0, count, name)
    }
}

impl Doubles {
    /// The `count` numbers of the argument that the header calls `name`.
    pub(crate) fn read(&self, count: usize, name: &str) -> Result<&[f64], Failure> {
        slice(&self.0, count, name)
    }
}

impl Bytes {
    /// The `count` bytes of the argument that the header calls `name`.
    pub(crate) fn read(&self, count: usize, name: &str) -> Result<&[u8], Failure> {
        slice(&self.0, count, name)
    }
}

impl Requests {
    /// The `count` requests of the argument that the header calls `name`.
    pub(crate) fn read(&self, count: usize, name: &str) -> Result<Vec<&nvtopo_request>, Failure> {
        let request = |request: &'_ *const nvtopo_request| {
            // SAFETY: only C makes the array; it promises that what is not NULL came from this library, is not freed,
            // and is changed by nobody during the call.
            unsafe { request.as_ref() }.ok_or_else(|| null(name))
        };
        slice(&self.0, count, name)?.iter().map(request).collect()
    }
}

impl Numbers {
    /// The room for `count` numbers of the argument that the header calls `name`.
    pub(crate) fn room(&mut self, count: usize, name: &str) -> Result<&mut [MaybeUninit<u64>], Failure> {
        if count == 0 {
            return Ok(&mut []);
        }
        slice(&self.0.cast_const(), count, name)?;
        // SAFETY: what `slice` asks of an array holds; C promises as well that nobody else uses it during the call.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.0.cast(), count) })
    }
}

/// The argument that the header calls `name`, which must not be NULL.
pub(crate) fn given<T>(argument: Option<T>, name: &str) -> Result<T, Failure> {
    argument.ok_or_else(|| null(name))
}

/// Hands a value over to C, which gives it back to be freed.
pub(crate) fn owned<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// The element of a list that C asks for by number.
pub(crate) fn element<'a, T>(list: &'a [T], index: usize, what: &str) -> Result<&'a T, Failure> {
    list.get(index).ok_or_else(|| {
        let count = list.len();
        let message = format!("{what} {index} is out of range: there are {count}, counted from 0");
        Failure::new(nvtopo_status::InvalidRequest, message)
    })
}

/// The entries of a list that is separated by commas; "" has none.
pub(crate) fn listed(text: &str) -> Vec<&str> {
    if text.trim().is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

/// A text of one line for C, without what a terminal obeys.
pub(crate) fn c_text(text: impl Display) -> CString {
    CString::new(printable(&text.to_string()).into_owned()).unwrap_or_default()
}

/// A text of several lines for C, which a program reads. It cannot hold a NUL, which only damaged input has.
pub(crate) fn c_document(text: impl Display) -> CString {
    let text = text.to_string().replace('\0', "\u{fffd}");
    CString::new(text).unwrap_or_default()
}

/// A text for C, or NULL: nobody knows it, or there is none.
pub(crate) fn or_null(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// A text for C that is unknown where it is empty.
pub(crate) fn c_known(text: impl Display) -> Option<CString> {
    Some(c_text(text)).filter(|text| !text.is_empty())
}

/// Texts for C.
pub(crate) fn c_texts<T: Display>(texts: impl IntoIterator<Item = T>) -> Vec<CString> {
    texts.into_iter().map(c_text).collect()
}

fn null(name: &str) -> Failure {
    Failure::new(nvtopo_status::NullArgument, format!("the argument '{name}' is NULL"))
}

/// The elements that `pointer`, the field of an array argument, points to. NULL is an array of none.
fn slice<'a, T>(pointer: &'a *const T, count: usize, name: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        let message = format!("{count} elements of '{name}' are more than memory holds");
        return Err(Failure::new(nvtopo_status::InvalidRequest, message));
    }
    // SAFETY: the pointer is not NULL and the size in bytes below the limit; only C makes array arguments, and promises
    // that as many elements as it says are there, and outlive the call.
    Ok(unsafe { std::slice::from_raw_parts(*pointer, count) })
}

/// The value that C reads at a returned pointer.
#[cfg(test)]
pub(crate) fn text_of(pointer: *const c_char) -> String {
    // SAFETY: the tests pass what the functions of this crate have just returned.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null;

    #[test]
    fn texts_are_read() {
        assert_eq!(Text(c"live".as_ptr()).read("spec").unwrap(), "live");
        assert!(Text(c"\xff".as_ptr()).read("spec").is_err());
        assert!(Text(null()).read("spec").is_err());
    }

    #[test]
    fn an_array_of_none_may_be_null() {
        assert!(Indices(null()).read(0, "gpus").unwrap().is_empty());
        assert!(Indices(null()).read(1, "gpus").is_err());
        assert!(Indices([1].as_ptr()).read(usize::MAX, "gpus").is_err());
        assert_eq!(Indices([1, 2].as_ptr()).read(2, "gpus").unwrap(), [1, 2]);
    }

    #[test]
    fn what_a_terminal_obeys_does_not_leave() {
        assert_eq!(text_of(c_text("a\0b\u{1b}[2J\n").as_ptr()), "a\\u{0}b\\u{1b}[2J\\n");
        assert_eq!(text_of(c_document("a\0b\n").as_ptr()), "a\u{fffd}b\n");
        assert!(c_known("").is_none() && c_known("0-3").is_some());
    }

    #[test]
    fn a_list_of_none_is_empty() {
        assert!(listed("").is_empty() && listed(" ").is_empty());
        assert_eq!(listed("ring, pair-sum"), ["ring", "pair-sum"]);
        assert_eq!(listed("ring,"), ["ring", ""]);
    }
}
