//! The outcome of a call: a code, and the last error's text, line and column for each thread. Panics end here.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{StatusCode, c_text, given};
use nvtopo::{Error, ErrorKind};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended. Codes are never renumbered; new ones may come, so treat a code that you do not know as an error.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum nvtopo_status {
    /// Done.
    Ok = 0,
    /// The input is damaged, of no known format, or beyond a stated limit.
    InvalidInput = 1,
    /// The question is wrong in itself: an unknown name, a contradiction, a number out of range.
    InvalidRequest = 2,
    /// The question is sound, but this machine cannot satisfy it.
    Unsatisfiable = 3,
    /// A file could not be read, or a system call failed.
    Io = 4,
    /// The topology is not known to be this machine's, and the call would change this machine.
    WrongMachine = 5,
    /// The kernel or the sandbox refused what was asked.
    Refused = 6,
    /// This build or this system cannot do what was asked.
    Unsupported = 7,
    /// An argument that must not be NULL is.
    NullArgument = 100,
    /// A text argument is not UTF-8.
    InvalidUtf8 = 101,
    /// A defect of nvtopo: the call was abandoned. Please report it.
    Panic = 102,
}

/// Returns the version of the library, such as "0.1.0". It never fails, and the text lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// Returns the version of the library as a number: 10000 for each major version, 100 for each minor one, and 1 for each patch. A
/// program that was compiled with this header compares it with `NVTOPO_VERSION_NUMBER`. It never fails.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_version_number() -> u32 {
    const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + number(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + number(env!("CARGO_PKG_VERSION_PATCH"));
    NUMBER
}

/// Returns the name of a status, such as "invalid-request"; "unknown" for a code that this version does not have. It never fails,
/// and the text lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_status_name(status: StatusCode) -> *const c_char {
    let found = STATUSES.iter().find(|(known, _)| *known as i32 == status.0);
    found.map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// Returns the message of the last call that failed on this thread, with the place in the input and advice where there is
/// any; "" before the first failure. Never NULL.
///
/// The text lives until the next call that fails on this thread, or the thread's end. Calls that succeed leave it.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_last_error_message() -> *const c_char {
    last_error(|error| error.message.as_ptr()).unwrap_or(c"".as_ptr())
}

/// Returns the line of the input, counted from 1, that the last error on this thread is about; 0 when it is about none.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_last_error_line() -> usize {
    last_error(|error| error.line).unwrap_or(0)
}

/// Returns the column in characters, counted from 1, that the last error on this thread is about; 0 when it is about none.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_last_error_column() -> usize {
    last_error(|error| error.column).unwrap_or(0)
}

/// Every status with its name.
const STATUSES: [(nvtopo_status, &CStr); 11] = [
    (nvtopo_status::Ok, c"ok"),
    (nvtopo_status::InvalidInput, c"invalid-input"),
    (nvtopo_status::InvalidRequest, c"invalid-request"),
    (nvtopo_status::Unsatisfiable, c"unsatisfiable"),
    (nvtopo_status::Io, c"io"),
    (nvtopo_status::WrongMachine, c"wrong-machine"),
    (nvtopo_status::Refused, c"refused"),
    (nvtopo_status::Unsupported, c"unsupported"),
    (nvtopo_status::NullArgument, c"null-argument"),
    (nvtopo_status::InvalidUtf8, c"invalid-utf8"),
    (nvtopo_status::Panic, c"panic"),
];

/// The number that a text of digits says.
const fn number(digits: &str) -> u32 {
    let (digits, mut number, mut i) = (digits.as_bytes(), 0, 0);
    while i < digits.len() {
        number = number * 10 + (digits[i] - b'0') as u32;
        i += 1;
    }
    number
}

/// Why a call fails.
#[derive(Debug)]
pub(crate) struct Failure {
    status: nvtopo_status,
    message: String,
    line: Option<usize>,
    column: Option<usize>,
}

impl Failure {
    /// Of what the text echoes, as of any error, control characters are escaped, and the middle of a long one is left out.
    pub(crate) fn new(status: nvtopo_status, message: impl Into<String>) -> Self {
        let message = Error::request(message).message().to_owned();
        Self { status, message, line: None, column: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: status_of(error.kind()),
            message: error.to_string(),
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Runs a call that has no output. An error is kept for this thread; a panic, which must not reach C, becomes one.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Failure>) -> nvtopo_status {
    // What a panic could leave half done is not used again: changes are made to a copy, and outputs written last.
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Failure::new(nvtopo_status::Panic, format!("nvtopo panicked, please report it: {text}")))
    });
    match result {
        Ok(()) => nvtopo_status::Ok,
        Err(failure) => {
            let status = failure.status;
            remember(failure);
            status
        }
    }
}

/// Runs a call that has an output, named `name` in the header; it is written when all else has succeeded.
pub(crate) fn answer<T>(
    out: Option<&mut MaybeUninit<T>>,
    name: &str,
    call: impl FnOnce() -> Result<T, Failure>,
) -> nvtopo_status {
    guard(|| {
        let out = given(out, name)?;
        out.write(call()?);
        Ok(())
    })
}

/// Frees a handle, if there is one.
pub(crate) fn free<T>(handle: Option<Box<T>>) {
    guard(|| {
        drop(handle);
        Ok(())
    });
}

struct LastError {
    message: CString,
    line: usize,
    column: usize,
}

thread_local! {
    static LAST_ERROR: RefCell<Option<LastError>> = const { RefCell::new(None) };
}

fn remember(failure: Failure) {
    let error = LastError {
        message: c_text(failure.message),
        line: failure.line.unwrap_or(0),
        column: failure.column.unwrap_or(0),
    };
    // A destructor of the thread may call when its last error is already gone.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = Some(error));
}

fn last_error<T>(ask: impl FnOnce(&LastError) -> T) -> Option<T> {
    LAST_ERROR.try_with(|last| last.borrow().as_ref().map(ask)).ok().flatten()
}

fn status_of(kind: ErrorKind) -> nvtopo_status {
    match kind {
        ErrorKind::InvalidInput => nvtopo_status::InvalidInput,
        ErrorKind::InvalidRequest => nvtopo_status::InvalidRequest,
        ErrorKind::Unsatisfiable => nvtopo_status::Unsatisfiable,
        ErrorKind::Io => nvtopo_status::Io,
        ErrorKind::WrongMachine => nvtopo_status::WrongMachine,
        ErrorKind::Refused => nvtopo_status::Refused,
        ErrorKind::Unsupported => nvtopo_status::Unsupported,
        // A kind without a code; the test below finds it before a user does.
        _ => nvtopo_status::Panic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::text_of;

    fn message() -> String {
        text_of(nvtopo_last_error_message())
    }

    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("while it was freed");
        }
    }

    #[test]
    fn every_kind_of_error_has_a_code_of_its_own() {
        let mut codes: Vec<i32> = ErrorKind::ALL.iter().map(|kind| status_of(*kind) as i32).collect();
        assert!(codes.iter().all(|code| (1..100).contains(code)), "{codes:?}");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn every_code_has_a_name_of_its_own() {
        for kind in ErrorKind::ALL {
            assert!(STATUSES.iter().any(|(status, _)| *status == status_of(*kind)), "{kind:?}");
        }
        let names: std::collections::BTreeSet<_> = STATUSES.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), STATUSES.len());
        assert_eq!(text_of(nvtopo_status_name(StatusCode(3))), "unsatisfiable");
        assert_eq!(text_of(nvtopo_status_name(StatusCode(-1))), "unknown");
    }

    #[test]
    fn an_error_is_short_and_escaped_whatever_it_echoes() {
        let failure = Failure::new(nvtopo_status::InvalidRequest, "x".repeat(1 << 20) + " \u{1b}[2J");
        assert!(
            failure.message.len() < 2000 && failure.message.ends_with("\\u{1b}[2J"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_panic_becomes_a_code_and_writes_nothing() {
        let mut out = MaybeUninit::new(7);
        let status = answer(Some(&mut out), "out", || -> Result<i32, Failure> { panic!("broken {}", 1) });
        assert_eq!(status, nvtopo_status::Panic);
        assert!(message().contains("broken 1"), "{}", message());
        assert_eq!(guard(|| panic!("plain")), nvtopo_status::Panic);
        assert!(message().ends_with("plain"), "{}", message());
        assert_eq!(guard(|| std::panic::panic_any(1)), nvtopo_status::Panic);
        free(Some(Box::new(Bad)));
        assert!(message().ends_with("while it was freed"), "{}", message());
    }

    #[test]
    fn the_place_in_the_input_is_kept_until_the_next_failure() {
        let error = nvtopo::Topology::parse("topo.txt", b"\tGPU0\tGPU1\nGPU0\t X \tBAD\nGPU1\tBAD\t X \n");
        let error = error.err().unwrap();
        let expected = (error.to_string(), error.line().unwrap_or(0), error.column().unwrap_or(0));
        assert_eq!(guard(|| Err(error.into())), nvtopo_status::InvalidInput);
        assert_eq!(guard(|| Ok(())), nvtopo_status::Ok);
        assert_eq!((message(), nvtopo_last_error_line(), nvtopo_last_error_column()), expected);
        assert_eq!(answer::<i32>(None, "count", || Ok(1)), nvtopo_status::NullArgument);
        assert_eq!((message().as_str(), nvtopo_last_error_line()), ("the argument 'count' is NULL", 0));
    }
}
