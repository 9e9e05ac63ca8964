//! Which GPUs there are, by the numbers that they are asked for by, and whether NVENC works on each. It loads drivers, so
//! whoever is to outlive them has another process look.

use crate::cuda::Driver;
use crate::encoder::Nvenc;
use crate::error::Error;
use crate::gl::{Gl, Survey};
use crate::gpu::{Candidate, candidates};
use crate::stats::Fallback;
use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpus {
    /// In CUDA's order.
    pub gpus: Vec<Gpu>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_none: Option<Fallback>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// As CUDA counts them.
    pub number: u32,
    pub name: String,
    /// Why NVENC does not work on it, whoever else uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_nvenc: Option<Fallback>,
}

impl Gpus {
    /// Looks. All GPUs that CUDA shows are found, or, without its driver, those that NVIDIA's EGL draws with.
    pub fn find() -> Self {
        match of_cuda() {
            Ok(gpus) => Self { gpus, why_none: None },
            Err(why) => {
                let drawing = if why.code() == "no-nvidia-driver" { of_egl(&why) } else { Vec::new() };
                let why_none = drawing.is_empty().then(|| Fallback::because_of(&why));
                Self { gpus: drawing, why_none }
            }
        }
    }
}

fn of_cuda() -> Result<Vec<Gpu>, Error> {
    let names = Driver::load()?.devices()?;
    let gpu = |(name, candidate): (String, Candidate)| {
        // One that is only taken at this moment is there.
        let without_nvenc = Nvenc::try_gpu(candidate).err().filter(|why| why.code() != "nvenc-sessions");
        Gpu { number: candidate.ordinal(), name, without_nvenc: without_nvenc.as_ref().map(Fallback::because_of) }
    };
    Ok(names.into_iter().zip(candidates(None)?).map(gpu).collect())
}

/// What draws where nothing encodes, and `why` that is so.
fn of_egl(why: &Error) -> Vec<Gpu> {
    let Ok(survey) = Survey::take() else { return Vec::new() };
    let gpu = |device| Gl::on_device(device).ok().map(|gl| gl.hardware().renderer.clone());
    let numbered = survey.gpus().into_iter().filter_map(|device| Some((device.cuda_ordinal?, gpu(device)?)));
    let mut gpus: Vec<_> =
        numbered.map(|(number, name)| Gpu { number, name, without_nvenc: Some(Fallback::because_of(why)) }).collect();
    gpus.sort_by_key(|gpu| gpu.number);
    gpus
}
