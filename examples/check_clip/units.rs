//! NAL units out of a byte stream of any length, one after the other: a clip of hours needs no more memory than its
//! largest unit.

use mb_encode::parts::{NalUnit, nal_units};
use std::io::Read;

/// The short form of a start code, with which the long one ends (H.264 section B.1.1).
const START_CODE: [u8; 3] = [0, 0, 1];
/// How much is read at once, in bytes.
const CHUNK: u64 = 1 << 20;

/// Hands each NAL unit of `stream` to `take`, in their order.
///
/// # Errors
/// The stream cannot be read, or what `take` fails with.
pub fn for_each_unit(
    mut stream: impl Read,
    mut take: impl FnMut(NalUnit<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    // No start code begins in the bytes before, but for that of the unit that is kept.
    let mut searched = 0;
    loop {
        if stream.by_ref().take(CHUNK).read_to_end(&mut kept)? == 0 {
            return nal_units(&kept).try_for_each(take);
        }
        // The last unit may go on in what is not read yet.
        match memchr::memmem::rfind(&kept[searched..], &START_CODE).map(|at| searched + at) {
            Some(last) if last > 0 => {
                nal_units(&kept[..last]).try_for_each(&mut take)?;
                kept.drain(..last);
                searched = START_CODE.len();
            }
            _ => searched = kept.len().saturating_sub(START_CODE.len() - 1).max(searched),
        }
    }
}
