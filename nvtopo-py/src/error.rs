//! The exceptions: one class for each kind of the core's error, below one base.
//!
//! The messages are the core's; here each kind of error gets its class, and options of the command in a message become the
//! arguments of the same meaning.

use nvtopo::{Error, ErrorKind};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyException, PyOSError, PyPermissionError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The class of one kind.
struct Class {
    kind: ErrorKind,
    name: &'static str,
    /// The attribute `kind`.
    word: &'static str,
    /// The built-in class that it is as well.
    also: Option<fn(Python<'_>) -> Bound<'_, PyType>>,
    doc: &'static str,
}

fn built_in<T: PyTypeInfo>(py: Python<'_>) -> Bound<'_, PyType> {
    py.get_type::<T>()
}

const BASE: &str = "NvtopoError";

const BASE_DOC: &str = "\
The base of all errors of nvtopo. Its subclasses say which kind of thing went wrong.

Attributes:
    kind: the kind in one word, the same for all errors of a class.
    message: what was wrong, without the place and the advice that `str()` adds.
    advice: what a person can do about it, or None.
    input_name: the file that the error is about, or None.
    line: the line in that file, counted from 1, or None.
    column: the column of that line in characters, counted from 1, or None.";

static CLASSES: &[Class] = &[
    Class {
        kind: ErrorKind::InvalidInput,
        name: "InvalidInputError",
        word: "invalid-input",
        also: Some(built_in::<PyValueError>),
        doc: "The input is damaged, of no known format, or beyond a stated limit. Also a ValueError.",
    },
    Class {
        kind: ErrorKind::InvalidRequest,
        name: "InvalidRequestError",
        word: "invalid-request",
        also: Some(built_in::<PyValueError>),
        doc: "The request is wrong in itself: an unknown name, a contradiction, a number out of range. Also a \
              ValueError.",
    },
    Class {
        kind: ErrorKind::Unsatisfiable,
        name: "UnsatisfiableError",
        word: "unsatisfiable",
        also: None,
        doc: "The request is sound, but this machine cannot satisfy it.",
    },
    Class {
        kind: ErrorKind::Io,
        name: "IoError",
        word: "io",
        also: Some(built_in::<PyOSError>),
        doc: "A file could not be read, or a system call failed. Also an OSError, with `errno` where there is one.",
    },
    Class {
        kind: ErrorKind::WrongMachine,
        name: "WrongMachineError",
        word: "wrong-machine",
        also: None,
        doc: "The topology is not known to be this machine's, and the call would change this machine.",
    },
    Class {
        kind: ErrorKind::Refused,
        name: "RefusedError",
        word: "refused",
        also: Some(built_in::<PyPermissionError>),
        doc: "The kernel or the sandbox refused the call. Also a PermissionError.",
    },
    Class {
        kind: ErrorKind::Unsupported,
        name: "UnsupportedError",
        word: "unsupported",
        also: None,
        doc: "This build or this system cannot do it.",
    },
];

/// The classes as Python knows them.
struct Made {
    base: Py<PyType>,
    classes: Vec<(ErrorKind, Py<PyType>)>,
}

static MADE: PyOnceLock<Made> = PyOnceLock::new();

impl Made {
    fn of(py: Python<'_>) -> PyResult<&Self> {
        MADE.get_or_try_init(py, || {
            let base = Self::make(py, BASE, BASE_DOC, "unknown", &[py.get_type::<PyException>()])?;
            // A fact that an error lacks is None.
            for name in ["message", "advice", "input_name", "line", "column"] {
                base.setattr(name, py.None())?;
            }
            let class = |class: &Class| {
                let also = class.also.map(|also| also(py));
                let bases: Vec<_> = std::iter::once(base.clone()).chain(also).collect();
                Ok((class.kind, Self::make(py, class.name, class.doc, class.word, &bases)?.unbind()))
            };
            let classes = CLASSES.iter().map(class).collect::<PyResult<_>>()?;
            Ok(Self { base: base.unbind(), classes })
        })
    }

    fn make<'py>(
        py: Python<'py>,
        name: &str,
        doc: &str,
        word: &str,
        bases: &[Bound<'py, PyType>],
    ) -> PyResult<Bound<'py, PyType>> {
        let body = PyDict::new(py);
        body.set_item("__module__", "nvtopo")?;
        body.set_item("__doc__", doc)?;
        body.set_item("kind", word)?;
        let made = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, body))?;
        Ok(made.cast_into()?)
    }

    /// The class of a kind; the base for one that this face does not know yet.
    fn class<'py>(&self, py: Python<'py>, kind: ErrorKind) -> &Bound<'py, PyType> {
        let known = self.classes.iter().find(|(own, _)| *own == kind);
        known.map_or(&self.base, |(_, class)| class).bind(py)
    }
}

/// Puts the classes into the module, and beside them which kind has which, for the tests.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let made = Made::of(py)?;
    module.add(BASE, made.base.bind(py))?;
    for (class, (_, own)) in CLASSES.iter().zip(&made.classes) {
        module.add(class.name, own.bind(py))?;
    }
    let kinds = PyDict::new(py);
    for kind in ErrorKind::ALL {
        kinds.set_item(format!("{kind:?}"), made.class(py, *kind))?;
    }
    module.add("_ERROR_KINDS", kinds)
}

/// The exception that says what the core said.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let exception = || -> PyResult<PyErr> {
        let exception = Made::of(py)?.class(py, error.kind()).call1((in_python(&error.to_string()),))?;
        exception.setattr("message", in_python(error.message()))?;
        exception.setattr("advice", error.advice().map(in_python))?;
        exception.setattr("input_name", error.input_name())?;
        exception.setattr("line", error.line())?;
        exception.setattr("column", error.column())?;
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        if let Some(code) = cause.and_then(std::io::Error::raw_os_error) {
            exception.setattr("errno", code)?;
        }
        Ok(PyErr::from_value(exception))
    };
    exception().unwrap_or_else(|failure| failure)
}

/// An argument that cannot be handed to the core at all.
pub(crate) fn invalid_request(py: Python<'_>, message: &str) -> PyErr {
    let exception = || -> PyResult<PyErr> {
        let exception = Made::of(py)?.class(py, ErrorKind::InvalidRequest).call1((message,))?;
        exception.setattr("message", message)?;
        Ok(PyErr::from_value(exception))
    };
    exception().unwrap_or_else(|failure| failure)
}

/// The options of the command whose arguments have other names.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("alpha", "alpha=True"),
    ("for", "version"),
    ("reserve", "reserve_cpus"),
    ("trust-topology", "trust=True"),
];

/// The other programs of which messages name options.
const OTHER_PROGRAMS: &[&str] = &["docker run", "nvidia-smi"];

/// Returns whether an option after this text is of another program, in the same sentence.
fn of_other(before: &str) -> bool {
    let sentence = before.rsplit([';', '(', ',']).next().unwrap_or(before);
    OTHER_PROGRAMS.iter().any(|program| sentence.contains(program))
}

/// Returns a message with the arguments of Python for the options of the command: `--only` is `only`. Options of other
/// programs stay.
fn in_python(text: &str) -> String {
    static OPTIONS: OnceLock<BTreeSet<String>> = OnceLock::new();
    let options = OPTIONS.get_or_init(nvtopo_cli::options);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("--") {
        let (before, option) = rest.split_at(at);
        out.push_str(before);
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let end = option[2..].find(|letter| !is_name(letter)).map_or(option.len(), |end| end + 2);
        let (option, after) = option.split_at(end);
        let name = option[2..].trim_end_matches('-');
        let begins = !out.ends_with(|letter: char| letter.is_alphanumeric() || letter == '-');
        match OTHER_NAMES.iter().find(|(own, _)| *own == name) {
            _ if !begins || !options.contains(name) || of_other(&out) => out.push_str(option),
            Some((_, argument)) => out.push_str(argument),
            None => out.push_str(&name.replace('-', "_")),
        }
        rest = after;
    }
    out + rest
}
