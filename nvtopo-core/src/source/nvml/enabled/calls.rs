//! Calls to the driver: the answer, or the reason why there is none. Failures are recorded, and a GPU that is lost is
//! not asked again.

use super::super::failures::CallFailures;
use crate::sys::nvml as sys;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

/// The reason why a call gave no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The device does not support the call: there is no such fact.
    NotSupported,
    /// The library is older than the call.
    NoSuchCall,
    /// The call failed, and a note says so.
    Failed,
}

impl CallFailures {
    /// Returns the answer of a call about a GPU; a failure is recorded.
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
                self.mark_lost(gpu, call);
                Missing::Failed
            }
            NvmlError::ResetRequired => {
                self.mark_reset(gpu, call);
                Missing::Failed
            }
            error => {
                self.record(gpu, call, &describe(&error));
                Missing::Failed
            }
        })
    }
}

/// A GPU to call, with the record of failures.
pub(super) struct Caller<'a, 'nvml> {
    pub(super) device: &'a Device<'nvml>,
    pub(super) index: u32,
    pub(super) failures: &'a mut CallFailures,
}

impl<'nvml> Caller<'_, 'nvml> {
    /// Makes a call. A GPU that is lost is not asked again.
    pub(super) fn ask<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Result<T, Missing> {
        if self.failures.is_lost(self.index) {
            return Err(Missing::Failed);
        }
        let answer = question(self.device);
        self.failures.check(self.index, call, answer)
    }

    /// Makes a call, where the reason for no answer does not matter.
    pub(super) fn fact<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        self.ask(call, question).ok()
    }

    /// Returns the value of each field with its scope; `None` where this GPU or its driver does not have it.
    pub(super) fn fields(&mut self, fields: &[(u32, u32)]) -> Vec<Option<u64>> {
        let values = self.fact(FIELDS, |device| sys::fields(device, fields)).unwrap_or_default();
        let mut values = values.into_iter();
        let value = |_| match values.next()? {
            // The answers of drivers to numbers of fields and links that they do not know.
            Err(NvmlError::InvalidArg | NvmlError::NotFound | NvmlError::NoData) => None,
            value => self.failures.check(self.index, FIELDS, value).ok(),
        };
        fields.iter().map(value).collect()
    }
}

const FIELDS: &str = "nvmlDeviceGetFieldValues";

/// Describes an error for people.
pub(super) fn describe(error: &NvmlError) -> String {
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
