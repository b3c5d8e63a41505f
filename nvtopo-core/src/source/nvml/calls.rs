//! How a call goes: its answer, or why there is none; what failed is remembered, and no GPU that is gone is asked on.

use super::troubles::Troubles;
use crate::sys::nvml as sys;
use nvml_wrapper::Device;
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
            NvmlError::ResetRequired => {
                self.stick(gpu, call);
                Missing::Failed
            }
            error => {
                self.fail(gpu, call, &words(&error));
                Missing::Failed
            }
        })
    }
}

/// One GPU on the line.
pub(super) struct Caller<'a, 'nvml> {
    pub(super) device: &'a Device<'nvml>,
    pub(super) index: u32,
    pub(super) troubles: &'a mut Troubles,
}

impl<'nvml> Caller<'_, 'nvml> {
    /// Asks a question. A GPU that is gone is not asked again.
    pub(super) fn ask<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Result<T, Missing> {
        if self.troubles.is_lost(self.index) {
            return Err(Missing::Failed);
        }
        let answer = question(self.device);
        self.troubles.check(self.index, call, answer)
    }

    /// As [`ask`](Self::ask), where the reason for no answer does not matter.
    pub(super) fn fact<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        self.ask(call, question).ok()
    }

    /// The values of fields with their scopes, as many; those that this GPU or its driver does not have are `None`.
    pub(super) fn fields(&mut self, fields: &[(u32, u32)]) -> Vec<Option<u64>> {
        let values = self.fact(FIELDS, |device| sys::fields(device, fields)).unwrap_or_default();
        let mut values = values.into_iter();
        let value = |_| match values.next()? {
            // Drivers answer so to numbers of fields and links that they do not know.
            Err(NvmlError::InvalidArg | NvmlError::NotFound | NvmlError::NoData) => None,
            value => self.troubles.check(self.index, FIELDS, value).ok(),
        };
        fields.iter().map(value).collect()
    }
}

const FIELDS: &str = "nvmlDeviceGetFieldValues";

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
