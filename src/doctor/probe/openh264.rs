//! OpenH264: pictures that it encodes, and whether it was built to be fast.

use super::checks::{Probe, ok, other};
use super::pictures::{CODED, check_unit, decoder, not_decoded};
use crate::codec::AccessUnit;
use crate::doctor::finding::State;
use crate::doctor::part::Part;
use crate::encoder::{HostPicture, Openh264, Profile};
use crate::error::Error;
use crate::format::byte_stream;
use crate::settings::Settings;

/// The encoder on the processor.
pub fn encoder(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::Openh264, |settings| {
        coded_by_openh264(settings)?;
        let version = crate::openh264::version();
        if crate::openh264::has_assembly() {
            return ok((), format!("{version}, built with assembly"));
        }
        let (found, remedy) = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            (
                "built without assembly, so it is several times slower",
                "apt install nasm, and build again: cargo clean -p openh264-sys2 && cargo build --release",
            )
        } else {
            ("it has no assembly for this processor, so it is slow", "")
        };
        other((), State::Warn, format!("{version}: {found}"), remedy)
    })
}

fn coded_by_openh264(settings: &Settings) -> Result<(), Error> {
    let mut encoder = Openh264::open(settings, Profile::ConstrainedBaseline)?;
    let picture = HostPicture::new(settings.size);
    let mut decoder = decoder()?;
    let (mut unit, mut stream) = (AccessUnit::default(), Vec::new());
    let mut decoded = 0;
    for index in 0..CODED {
        encoder.encode(&picture, false, &mut unit)?;
        check_unit(&unit, index)?;
        stream.clear();
        byte_stream(&unit, &mut stream);
        match decoder.decode(&stream) {
            Ok(picture) => decoded += u64::from(picture.is_some()),
            Err(error) => return Err(not_decoded("OpenH264").caused_by(error)),
        }
    }
    decoded += decoder.flush_remaining().map_err(|error| not_decoded("OpenH264").caused_by(error))?.len() as u64;
    if decoded == CODED {
        Ok(())
    } else {
        Err(not_decoded("OpenH264").caused_by(format!("{decoded} of {CODED} pictures")))
    }
}
