//! How a call goes: its answer, or why there is none; what failed is remembered, and no GPU that is gone is asked on.

use super::troubles::Troubles;
use nvml_wrapper::error::NvmlError;

/// Why a call gave no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The device does not know the question: there is no such thing.
    NotSupported,
    /// The library is older than the question.
    NoSuchCall,
    /// It failed, and a note says so.
    Failed,
}

impl Troubles {
    /// The answer of a call about a GPU; a failure is remembered.
    pub(super) fn check<T>(
        &mut self,
        gpu: u32,
        call: &'static str,
        answer: Result<T, NvmlError>,
    ) -> Result<T, Missing> {
        answer.map_err(|error| match error {
            NvmlError::NotSupported => Missing::NotSupported,
            NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => Missing::NoSuchCall,
            NvmlError::GpuLost => {
                self.lose(gpu, call);
                Missing::Failed
            }
            error => {
                self.fail(gpu, call, &words(&error));
                Missing::Failed
            }
        })
    }
}

/// An error in words for people.
pub(super) fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::LibRmVersionMismatch => {
            "its library and its kernel module are of different versions; restart the machine, or load the \
             module again"
                .to_owned()
        }
        NvmlError::UnexpectedVariant(value) => {
            format!("its answer, {value}, is one that nvtopo does not know")
        }
        other => other.to_string(),
    }
}
