//! The arguments of `nvtopo k8s kubelet`.

use super::predict::PredictArgs;
use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub(crate) struct KubeletArgs {
    #[command(subcommand)]
    pub(crate) command: KubeletCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KubeletCommand {
    /// Print what the kubelet does with a pod here: admit it, refuse it, or give it GPUs that are not linked
    Predict(Box<PredictArgs>),
}
