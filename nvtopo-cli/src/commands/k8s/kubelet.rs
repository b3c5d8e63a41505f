//! `nvtopo k8s kubelet`: how to set the kubelet up, and what it will do.

use super::predict::predict;
use crate::args::{KubeletArgs, KubeletCommand};
use nvtopo::Result;

pub(super) fn kubelet(args: &KubeletArgs) -> Result<String> {
    match &args.command {
        KubeletCommand::Predict(args) => predict(args),
    }
}
