//! From values of the model to those of the document and back, where the two differ by form only.

use super::super::values::{MbPerS, OsNumber, Text};
use crate::units::Bandwidth;
use std::borrow::Cow;

/// Conversion into `T`, without loss.
pub(in super::super) trait Convert<T> {
    fn convert(self) -> T;
}

macro_rules! same {
    ($($type:ty),*) => {$(
        impl Convert<$type> for $type {
            fn convert(self) -> $type {
                self
            }
        }
    )*};
}

same! { bool, u8, u16, u32, u64, String }

impl<A: Convert<B>, B> Convert<Option<B>> for Option<A> {
    fn convert(self) -> Option<B> {
        self.map(A::convert)
    }
}

impl<Own: Convert<T>, T> Convert<Vec<T>> for Vec<Own> {
    fn convert(self) -> Vec<T> {
        self.into_iter().map(Own::convert).collect()
    }
}

impl<T> Convert<Text<T>> for T {
    fn convert(self) -> Text<T> {
        Text(self)
    }
}

impl<T> Convert<T> for Text<T> {
    fn convert(self) -> T {
        self.0
    }
}

impl Convert<MbPerS> for Bandwidth {
    fn convert(self) -> MbPerS {
        MbPerS(self)
    }
}

impl Convert<Bandwidth> for MbPerS {
    fn convert(self) -> Bandwidth {
        self.0
    }
}

impl Convert<OsNumber> for u32 {
    fn convert(self) -> OsNumber {
        OsNumber(self)
    }
}

impl Convert<u32> for OsNumber {
    fn convert(self) -> u32 {
        self.0
    }
}

impl Convert<String> for Cow<'static, str> {
    fn convert(self) -> String {
        self.into_owned()
    }
}

impl Convert<Cow<'static, str>> for String {
    fn convert(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}
