//! What an encoder made of pictures: their sizes, their QPs, and whether the rate is held.

use crate::units::for_each_unit;
use crate::{Found, say};
use anyhow::ensure;
use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::SliceHeader;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal as _, RefNal};
use mb_encode::parts::{NalUnit, NalUnitType};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Args {
    /// Frames a second, for the rate
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    fps: u32,
    /// Fail where the rate of any second but the first is so many bits a second, and a tenth more
    #[arg(long)]
    bitrate: Option<u32>,
    /// Fail unless there are so many IDR pictures, each with its parameter sets in front
    #[arg(long)]
    idr: Option<usize>,
}

/// # Errors
/// The stream is not what `args` ask for.
pub fn run(args: &Args) -> anyhow::Result<Found> {
    let mut coded = Coded::default();
    for_each_unit(std::io::stdin().lock(), |unit| {
        coded.take(unit);
        Ok(())
    })?;
    coded.say();
    let seconds = coded.seconds(args.fps as usize);
    let [mean, most] =
        [seconds.iter().sum::<u64>() / (seconds.len() as u64).max(1), seconds.iter().copied().max().unwrap_or(0)];
    say(&format!(
        "{} whole seconds at {} frames/s: {mean} bits/s in the mean, {most} at most",
        seconds.len(),
        args.fps
    ));
    if let Some(bitrate) = args.bitrate {
        ensure!(!seconds.is_empty(), "the stream is shorter than two seconds");
        ensure!(most <= u64::from(bitrate) * 11 / 10, "a second takes {most} bits, and {bitrate} were asked for");
    }
    if let Some(wanted) = args.idr {
        let idr: Vec<_> = coded.pictures.iter().filter(|picture| picture.is_idr).collect();
        ensure!(idr.len() == wanted, "{} IDR pictures are there instead of {wanted}", idr.len());
        ensure!(idr.iter().all(|picture| picture.has_sets), "an IDR picture comes without parameter sets");
    }
    let mut found = coded.json();
    found["mean_bits_per_second"] = mean.into();
    found["most_bits_in_a_second"] = most.into();
    Ok(found)
}

struct Picture {
    bytes: usize,
    is_idr: bool,
    has_sets: bool,
    /// `SliceQPY` of its first slice (H.264 section 7.4.3), where the slice header can be read.
    qp: Option<i32>,
}

/// The pictures of a stream, one slice each.
#[derive(Default)]
pub struct Coded {
    pictures: Vec<Picture>,
    context: Context,
    /// What came since the last slice, with start codes.
    waiting: usize,
    sets: [bool; 2],
}

impl Coded {
    pub fn take(&mut self, unit: NalUnit<'_>) {
        self.waiting += 4 + unit.bytes().len();
        let nal = RefNal::new(unit.bytes(), &[], true);
        match unit.nal_unit_type() {
            NalUnitType::Sps => {
                self.sets[0] = true;
                if let Ok(sps) = SeqParameterSet::from_bits(nal.rbsp_bits()) {
                    self.context.put_seq_param_set(sps);
                }
            }
            NalUnitType::Pps => {
                self.sets[1] = true;
                if let Ok(pps) = PicParameterSet::from_bits(&self.context, nal.rbsp_bits()) {
                    self.context.put_pic_param_set(pps);
                }
            }
            kind @ (NalUnitType::Slice | NalUnitType::IdrSlice) => {
                let qp = nal.header().ok().and_then(|header| {
                    let (slice, _, pps) =
                        SliceHeader::from_bits(&self.context, &mut nal.rbsp_bits(), header, None).ok()?;
                    Some(26 + pps.pic_init_qp_minus26 + slice.slice_qp_delta)
                });
                self.pictures.push(Picture {
                    bytes: std::mem::take(&mut self.waiting),
                    is_idr: kind == NalUnitType::IdrSlice,
                    has_sets: std::mem::take(&mut self.sets) == [true; 2],
                    qp,
                });
            }
            _ => {}
        }
    }

    /// Bits of each whole second but the first, in which a rate control has to find its way.
    fn seconds(&self, fps: usize) -> Vec<u64> {
        let seconds = self.pictures.chunks_exact(fps).skip(1);
        seconds.map(|second| second.iter().map(|picture| picture.bytes as u64 * 8).sum()).collect()
    }

    /// Sizes and QPs of all IDR pictures but the first, which no picture was before, or of all others: the median and the
    /// largest.
    fn of(&self, idr: bool) -> [Option<[i64; 2]>; 2] {
        let pictures = self.pictures.iter().skip(1).filter(|picture| picture.is_idr == idr);
        let middle = |values: Vec<i64>| {
            let mut values = values;
            values.sort_unstable();
            Some([*values.get(values.len() / 2)?, *values.last()?])
        };
        let sizes = middle(pictures.clone().map(|picture| picture.bytes as i64).collect());
        [sizes, middle(pictures.filter_map(|picture| picture.qp).map(i64::from).collect())]
    }

    pub fn say(&self) {
        for (name, idr) in [("IDR", true), ("P", false)] {
            let [sizes, qps] = self.of(idr);
            let show = |values: Option<[i64; 2]>| match values {
                Some([median, largest]) => format!("{median} (at most {largest})"),
                None => "unknown".to_owned(),
            };
            let count = self.pictures.iter().filter(|picture| picture.is_idr == idr).count();
            say(&format!("{name}: {count} pictures, bytes {}, QP {}", show(sizes), show(qps)));
        }
    }

    pub fn json(&self) -> Value {
        let of = |idr| {
            let [bytes, qp] =
                self.of(idr).map(|values| values.map(|[median, largest]| json!({ "median": median, "most": largest })));
            let count = self.pictures.iter().filter(|picture| picture.is_idr == idr).count();
            json!({ "pictures": count, "bytes": bytes, "qp": qp })
        };
        json!({ "idr": of(true), "p": of(false) })
    }
}
