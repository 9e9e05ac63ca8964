//! How long pictures wait between being decoded and being shown, in pictures.

use super::sets::Sps;
use super::slice::Slice;
use h264_reader::nal::sps::PicOrderCntType;

/// `MaxDpbFrames` (H.264 section A.3.1): nothing waits longer.
const MOST: i64 = 16;

/// Follows the order in which pictures are shown (H.264 section 8.2.1). Knows order type 0, and that type 2 is decoding
/// order. Type 1 is taken for that as well: no encoder that makes B pictures writes it.
#[derive(Debug, Default)]
pub struct Order {
    /// `prevPicOrderCntMsb` and `prevPicOrderCntLsb`.
    previous: (i64, i64),
    /// The order count that picture 0 of this sequence has, or would have had.
    base: i64,
    /// Pictures of this sequence so far.
    decoded: i64,
    /// Whether order counts go up by one from picture to picture, and not by two.
    by_one: bool,
    /// How long a picture waits that is shown in the order in which it is decoded.
    usual: i64,
    begun: bool,
}

impl Order {
    /// Takes the first slice of the next picture. Returns by how many pictures it is shown later than it is decoded:
    /// always 0 until a picture is seen that is not shown in decoding order.
    pub fn take(&mut self, slice: &Slice, sps: &Sps) -> u32 {
        let Some(count) = self.count(slice, sps) else { return 0 };
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first || slice.is_idr() {
            self.base = count;
            self.decoded = 0;
        }
        self.by_one |= (count - self.base) % 2 != 0;
        let step = if self.by_one { 1 } else { 2 };
        let mut ahead = (count - self.base).div_euclid(step) - self.decoded;
        if ahead.abs() > MOST {
            // Pictures are missing.
            self.base += ahead * step;
            ahead = 0;
        }
        self.decoded += 1;
        let claimed = sps.reorders.map_or(0, |most| i64::from(most).min(MOST));
        if self.usual == 0 && ahead > 0 && claimed > 0 {
            self.usual = claimed;
        }
        self.usual = self.usual.max(-ahead);
        // Without any that is decoded late, one that is early is one behind a gap.
        if self.usual == 0 { 0 } else { u32::try_from(ahead + self.usual).unwrap_or(0) }
    }

    /// `PicOrderCnt` of a frame or a frame's first field, by section 8.2.1.1.
    fn count(&mut self, slice: &Slice, sps: &Sps) -> Option<i64> {
        let PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: log2 } = sps.order else { return None };
        let picture = slice.picture.as_ref()?;
        let most = 1i64 << (log2 + 4);
        let lsb = i64::from(picture.order);
        let (msb, previous) = if slice.is_idr() { (0, 0) } else { self.previous };
        let msb = if lsb < previous && previous - lsb >= most / 2 {
            msb + most
        } else if lsb > previous && lsb - previous > most / 2 {
            msb - most
        } else {
            msb
        };
        if picture.is_reference {
            self.previous = (msb, lsb);
        }
        Some(msb + lsb)
    }
}
