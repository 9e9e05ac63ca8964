//! What comes out of OpenH264, decoded again: how good it is, how much it is, and that nothing stops it.

use super::*;
use crate::settings::Size;
use ::openh264::decoder::Decoder;
use ::openh264::formats::YUVSource as _;

/// An encoder with a decoder behind it.
struct Rig {
    encoder: Openh264,
    decoder: Decoder,
    picture: HostPicture,
    unit: AccessUnit,
    settings: Settings,
    index: u64,
}

/// What became of a picture.
struct Coded {
    bits: usize,
    is_idr: bool,
    /// Of the luma, in dB; 99 without any fault.
    psnr: f64,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        Self {
            encoder: Openh264::open(&settings, Profile::ConstrainedBaseline).unwrap(),
            decoder: Decoder::new().unwrap(),
            picture: HostPicture::new(settings.size),
            unit: AccessUnit::default(),
            settings,
            index: 0,
        }
    }

    /// Encodes and decodes a picture that `draw` has filled.
    fn code(&mut self, draw: impl FnOnce(&mut [u8])) -> Coded {
        draw(self.picture.samples_mut());
        self.picture.show_at(self.settings.frame_rate.time_of(self.index));
        self.index += 1;
        self.encoder.encode(&self.picture, false, &mut self.unit).unwrap();
        let mut stream = Vec::new();
        crate::format::byte_stream(&self.unit, &mut stream);
        let decoded = self.decoder.decode(&stream).unwrap().expect("a picture for each access unit");
        let (width, height) = decoded.dimensions();
        assert_eq!((width as u32, height as u32), (self.settings.size.width(), self.settings.size.height()));
        let rows = decoded.y().chunks(decoded.strides().0).zip(self.picture.planes().0.chunks(width)).take(height);
        let faults = rows.flat_map(|(row, drawn)| row.iter().zip(drawn)).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
        let fault = faults.sum::<u64>() as f64 / (width * height) as f64;
        let psnr = (10.0 * (255.0 * 255.0 / fault).log10()).min(99.0);
        Coded { bits: stream.len() * 8, is_idr: self.unit.is_idr(), psnr }
    }
}

fn settings(size: (u32, u32), fps: &str, bitrate: &str) -> Settings {
    Settings {
        size: Size::new(size.0, size.1).unwrap(),
        frame_rate: fps.parse().unwrap(),
        bitrate: bitrate.parse().unwrap(),
        ..Settings::default()
    }
}

/// Noise, the same for each seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }

    fn fill(&mut self, samples: &mut [u8]) {
        samples.fill_with(|| self.next());
    }

    /// As much as samples can differ.
    fn fill_extreme(&mut self, samples: &mut [u8]) {
        samples.fill_with(|| if self.next() < 128 { 0 } else { 255 });
    }
}

/// A surface with detail, seen from `(x, y)` on.
fn pan(size: Size, x: f64, y: f64, samples: &mut [u8]) {
    let width = size.width() as usize;
    for (at, sample) in samples[..size.pixels()].iter_mut().enumerate() {
        let (u, v) = ((at % width) as f64 + x, (at / width) as f64 + y);
        let waves = (u * 0.11).sin() + (v * 0.17).sin() + ((u + v) * 0.53).sin() + ((u - 2.0 * v) * 0.9).sin();
        *sample = (126.0 + 24.0 * waves) as u8;
    }
}

#[test]
fn noise_is_coded_at_every_size_and_comes_near_its_bitrate() {
    for size in [(64, 64), (320, 240), (640, 360), (1920, 64)] {
        for extreme in [false, true] {
            let mut rig = Rig::new(settings(size, "60", "2M"));
            let mut noise = Noise(1);
            let coded: Vec<_> = (0..12)
                .map(|_| rig.code(|samples| if extreme { noise.fill_extreme(samples) } else { noise.fill(samples) }))
                .collect();
            let (first, last) = (&coded[0], &coded[11]);
            assert!(first.is_idr && coded[1..].iter().all(|it| !it.is_idr), "{size:?}");
            // What is cheap enough is not made coarse.
            let most = (2_000_000 / 60 * 3 / 2).max(first.bits / 2);
            assert!(last.bits < most, "{size:?}: {} bits, then {}", first.bits, last.bits);
        }
    }
}

#[test]
fn a_picture_without_room_is_coded_again_as_an_idr_of_the_same_stream() {
    let mut rig = Rig::new(settings((320, 240), "60", "2M"));
    let parameter_sets = |unit: &AccessUnit| {
        let of_stream = |it: &codec::NalUnit<'_>| matches!(it.bytes()[0] & 31, 7 | 8);
        unit.nal_units().filter(of_stream).map(|it| it.bytes().to_vec()).collect::<Vec<_>>()
    };
    rig.code(|samples| samples.fill(90));
    let first = parameter_sets(&rig.unit);
    assert_eq!(first.len(), 2);
    Noise(1).fill_extreme(rig.picture.samples_mut());
    // Finer than the rate control ever wants it.
    let coded = rig.encoder.code(&rig.picture, 4, false).unwrap();
    assert_eq!(coded, (ROOMY, true));
    rig.unit.push_annex_b(&rig.encoder.bitstream);
    assert_eq!(parameter_sets(&rig.unit)[2..], first);
    assert!(!rig.code(|samples| samples.fill(90)).is_idr);
}

#[test]
fn a_picture_that_stands_still_is_as_good_with_an_idr_as_before_it() {
    let mut rig = Rig::new(settings((640, 360), "30", "6M"));
    let size = rig.settings.size;
    let coded: Vec<_> = (0..95).map(|_| rig.code(|samples| pan(size, 0.0, 0.0, samples))).collect();
    for idr in [30, 60, 90] {
        assert!(coded[idr].is_idr);
        let before = coded[idr - 1].psnr;
        assert!(before > 43.0, "{before:.2} dB after {idr} pictures");
        let worst = coded[idr..idr + 5].iter().map(|it| it.psnr).fold(99.0, f64::min);
        assert!(worst > before - 1.5, "{before:.2} dB before an IDR, {worst:.2} after it");
    }
}

#[test]
fn a_picture_that_moves_is_as_good_before_an_idr_as_after_it() {
    let mut rig = Rig::new(settings((640, 360), "30", "1M"));
    let size = rig.settings.size;
    let coded: Vec<_> = (0..95)
        .map(|at| {
            let at = f64::from(at);
            rig.code(|samples| pan(size, at * 1.7 + 20.0 * (at * 0.1).sin(), at * 0.6, samples))
        })
        .collect();
    for idr in [60, 90] {
        let around: Vec<_> = coded[idr - 2..idr + 5].iter().map(|it| it.psnr).collect();
        let spread = around.iter().fold(0.0, |most: f64, it| most.max((it - around[0]).abs()));
        assert!(spread < 2.5, "{around:.2?}");
    }
}

#[test]
fn the_bitrate_is_kept_at_240_frames_a_second_and_at_5() {
    for (fps, pictures) in [("240", 480), ("5", 40)] {
        let mut rig = Rig::new(settings((320, 180), fps, "1M"));
        let size = rig.settings.size;
        let mut noise = Noise(7);
        let bits: usize = (0..pictures)
            .map(|at| {
                let coded = rig.code(|samples| {
                    pan(size, f64::from(at) * 2.3, f64::from(at) * 0.7, samples);
                    samples[..size.pixels()].iter_mut().for_each(|it| *it = it.wrapping_add(noise.next() % 16));
                });
                coded.bits
            })
            .sum();
        let kept = bits as f64 * f64::from(rig.settings.frame_rate.as_f32()) / f64::from(pictures) / 1e6;
        assert!((0.8..1.15).contains(&kept), "{fps} frames/s: {kept:.3} of the bitrate");
    }
}
