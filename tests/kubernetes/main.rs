//! The deployment in `examples/kubernetes`, without a cluster: what kustomize makes of each combination of its parts, what
//! must hold in all of them, and whether the programs in it do their work when they are run as it says.
//!
//! Needs kustomize, go2rtc, ffmpeg and Python. `scripts/cluster-test` applies the same to real nodes.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod copies;
mod manifests;
mod posture;
mod running;
mod yaml;
