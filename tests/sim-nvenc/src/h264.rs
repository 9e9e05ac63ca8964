//! H.264 syntax, as far as this encoder writes it: NAL units, parameter sets, slices.

pub(crate) mod nal;
pub(crate) mod parameter_sets;
pub(crate) mod slice;
