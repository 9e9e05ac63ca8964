//! Streams made by hand, cut.

use super::super::made::{IDR, MadeSlice, MadeSps, P, SPS, pps};
use super::super::nal_units;
use super::*;
use proptest::prelude::*;

const AUD: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
const SEI: &[u8] = &[0, 0, 1, 6, 5, 0x80];
const FILLER: &[u8] = &[0, 0, 1, 12, 0xff, 0x80];

fn sets() -> Vec<u8> {
    [SPS.stream(), pps(0, 0, false)].concat()
}

fn p(number: u8) -> MadeSlice {
    MadeSlice { frame_num: number, order: 2 * number, ..P }
}

/// Another slice of the same picture.
fn more(slice: MadeSlice) -> Vec<u8> {
    MadeSlice { first_macroblock: 30, ..slice }.stream()
}

/// The NAL units of a byte stream, each as its bytes.
fn in_stream(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    nal_units(&parts.concat()).map(|nal| nal.bytes().to_vec()).collect()
}

fn held(unit: &AccessUnit) -> Vec<Vec<u8>> {
    unit.nal_units().map(|nal| nal.bytes().to_vec()).collect()
}

/// Each access unit as its NAL units, and what was passed over.
fn cut(pieces: &[&[u8]]) -> (Vec<Vec<Vec<u8>>>, Stray) {
    let (mut splitter, mut unit, mut units) = (Splitter::default(), AccessUnit::default(), Vec::new());
    for piece in pieces {
        splitter.push(piece);
        while splitter.next(&mut unit) {
            units.push(held(&unit));
        }
    }
    while splitter.rest(&mut unit) {
        units.push(held(&unit));
    }
    assert!(!splitter.take_torn());
    (units, *splitter.stray())
}

/// The access units of a stream, by the number of their slices.
fn slices(stream: &[Vec<u8>]) -> Vec<usize> {
    let is_slice = |nal: &&Vec<u8>| matches!(nal[0] & 0x1f, 1 | 5);
    cut(&[&stream.concat()]).0.iter().map(|units| units.iter().filter(is_slice).count()).collect()
}

#[test]
fn access_units_are_the_same_in_pieces_of_any_size() {
    let (sets, idr, idr_1) = (sets(), IDR.stream(), MadeSlice { idr_pic_id: 1, ..IDR }.stream());
    let (p_1, more_1, p_2) = (p(1).stream(), more(p(1)), p(2).stream());
    let parts: [&[u8]; 15] =
        [AUD, SEI, &sets, &idr, AUD, SEI, &p_1, &more_1, FILLER, &p_2, &sets, &idr, &idr_1, &[0; 5], FILLER];
    let stream = parts.concat();
    let whole = [
        in_stream(&[&sets, SEI, &idr]),
        // Parameter sets that are missing are put in.
        in_stream(&[&sets, SEI, &p_1, &more_1]),
        in_stream(&[&p_2]),
        in_stream(&[&sets, &idr]),
        in_stream(&[&sets, &idr_1]),
    ];
    for bytes in 1..=stream.len() {
        let (units, stray) = cut(&stream.chunks(bytes).collect::<Vec<_>>());
        assert_eq!(units, whole, "pieces of {bytes} bytes");
        assert!(!stray.is_any());
    }
}

#[test]
fn what_nobody_can_decode_is_left_out_and_counted() {
    let (sets, idr) = (sets(), IDR.stream());
    let (units, stray) = cut(&[&[b"some text\n", &p(1).stream()[..], &p(2).stream(), &sets, &idr].concat()]);
    assert_eq!(units, [in_stream(&[&sets, &idr])]);
    assert_eq!((stray.bytes, stray.pictures, stray.text), (10, 2, 10));
    // A picture that lacks its first slice where the stream begins, or its parameter sets anywhere.
    let stream = [&sets[..], &more(p(1)), &p(2).stream(), &MadeSlice { pps: 7, ..p(3) }.stream(), &p(4).stream()];
    let (units, stray) = cut(&[&stream.concat()]);
    assert_eq!(units, [in_stream(&[&sets, &p(2).stream()]), in_stream(&[&p(4).stream()])]);
    assert_eq!((stray.bytes, stray.pictures), (0, 2));
    assert_eq!(cut(&[&[&p(1).stream()[..], SEI].concat()]).0.len(), 0);
    // Parameter sets that came with such a picture are not lost.
    let stream = [&SPS.stream()[..], &p(1).stream(), &pps(0, 0, false), &p(2).stream()];
    assert_eq!(cut(&[&stream.concat()]).0, [in_stream(&[&sets, &p(2).stream()])]);
}

#[test]
fn slices_are_told_apart_by_what_their_headers_say() {
    let sets = sets();
    let lost_first = more(p(2));
    assert_eq!(
        slices(&[sets.clone(), IDR.stream(), more(IDR), p(1).stream(), lost_first, p(3).stream()]),
        [2, 1, 1, 1]
    );
    // The same header again, of encoders that give each IDR picture the same number.
    assert_eq!(slices(&[sets.clone(), IDR.stream(), IDR.stream(), more(IDR)]), [1, 2]);
    // A prefix belongs to the slice behind it.
    let prefix = vec![0, 0, 1, 0x6e, 0x40, 0x80, 7];
    let stream = [&sets, &prefix, &IDR.stream(), &prefix, &more(IDR), &prefix, &p(1).stream()].map(Vec::clone);
    let units = cut(&[&stream.concat()]).0;
    assert_eq!(units.iter().map(Vec::len).collect::<Vec<_>>(), [6, 2]);
    // In any order, where the profile has that.
    let baseline = [MadeSps { profile: 66, ..SPS }.stream(), pps(0, 0, false)].concat();
    assert_eq!(slices(&[baseline, more(IDR), IDR.stream(), more(p(1)), p(1).stream()]), [2, 2]);
    // A redundant picture is a part of its primary one.
    let redundant = [SPS.stream(), pps(0, 0, true)].concat();
    let [primary, copy] = [Some(0), Some(1)].map(|redundant| MadeSlice { redundant, ..p(1) }.stream());
    assert_eq!(slices(&[redundant, primary, copy.clone(), copy]), [3]);
}

#[test]
fn two_fields_of_a_frame_are_one_access_unit() {
    let sets = [MadeSps { interlaced: true, ..SPS }.stream(), pps(0, 0, false)].concat();
    let field = |slice: MadeSlice, bottom| MadeSlice { field: Some(Some(bottom)), ..slice }.stream();
    let frame = MadeSlice { field: Some(None), ..p(3) }.stream();
    let stream = [
        sets.clone(),
        AUD.to_vec(),
        field(IDR, false),
        AUD.to_vec(),
        SEI.to_vec(),
        field(P, true),
        field(p(1), true),
        field(p(1), false),
        field(p(2), false),
        AUD.to_vec(),
        frame,
    ];
    assert_eq!(slices(&stream), [2, 2, 1, 1]);
}

#[test]
fn a_picture_can_be_had_before_the_next_begins() {
    let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
    let (sets, idr) = (sets(), IDR.stream());
    splitter.push(&sets);
    assert!(!splitter.next(&mut unit) && !splitter.may_be_whole() && !splitter.rest(&mut unit));
    splitter.push(&idr);
    assert!(!splitter.next(&mut unit) && splitter.may_be_whole());
    splitter.push(&[0]);
    assert!(!splitter.next(&mut unit) && !splitter.may_be_whole(), "a start code begins");
    splitter.push(&[7]);
    assert!(splitter.rest(&mut unit) && unit.is_idr());
    assert_eq!(held(&unit), in_stream(&[&sets, &idr, &[0, 7]]));
    assert_eq!(splitter.held(), 0);

    // It went on: that is told, and what is left of it joins no other picture.
    for (number, rest) in [(1, vec![7, 7]), (2, more(p(1)))] {
        splitter.push(&rest);
        splitter.push(&p(number).stream());
        assert!(!splitter.next(&mut unit) && splitter.rest(&mut unit));
        assert_eq!(held(&unit), in_stream(&[&p(number).stream()]));
        assert!(splitter.take_torn() && !splitter.take_torn());
    }
    // What may come at any time is none of it.
    for rest in [FILLER, &[0, 0, 1, 11], b"New clock: GstSystemClock\n"] {
        splitter.push(rest);
        assert!(!splitter.next(&mut unit) && !splitter.rest(&mut unit) && !splitter.take_torn(), "{rest:?}");
    }
}

#[test]
fn a_piece_shows_whether_it_begins_a_picture() {
    for (piece, begins) in [
        (AUD, Some(true)),
        (&sets(), Some(true)),
        (&p(1).stream(), Some(true)),
        (&[0, 0], Some(true)),
        (&more(p(1)), Some(false)),
        (&[7], Some(false)),
        (FILLER, None),
        (b"Got EOS from element", None),
    ] {
        assert_eq!(Splitter::begins_unit(piece), begins, "{piece:?}");
    }
}

#[test]
fn parameter_sets_do_not_pile_up() {
    let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
    for number in 0..100_000u32 {
        // Each is another one than before under its number, and there is no picture.
        let sets = [SPS.stream(), pps(number % 256, 0, number % 512 < 256), SEI.to_vec()].concat();
        splitter.push(&sets);
        assert!(!splitter.next(&mut unit));
        assert!(splitter.held() < 128 * 1024, "{}", splitter.held());
    }
    splitter.push(&IDR.stream());
    assert!(!splitter.next(&mut unit) && splitter.rest(&mut unit));
    let sets = unit.nal_units().filter(|nal| matches!(nal.bytes()[0] & 0x1f, 7 | 8)).count();
    assert_eq!(sets, 1 + 256);
    assert!(splitter.bytes.capacity() < 64 * 1024);
}

#[test]
fn the_order_of_b_pictures_is_told_from_the_first_that_comes_early() {
    for (reorders, waits) in [(Some(1), [0, 3, 0, 0, 3]), (None, [0, 0, 0, 0, 3])] {
        let sets = [MadeSps { reorders, ..SPS }.stream(), pps(0, 0, false)].concat();
        let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
        let early = |frame_num, order| MadeSlice { frame_num, order, ..P }.stream();
        let late = |frame_num, order| MadeSlice { header: 1, slice_type: 1, frame_num, order, ..P }.stream();
        splitter.push(&[sets, IDR.stream(), early(1, 6), late(2, 2), late(2, 4), early(2, 12)].concat());
        let mut seen = Vec::new();
        while splitter.next(&mut unit) || splitter.rest(&mut unit) {
            seen.push(splitter.waits());
        }
        assert_eq!(seen, waits, "{reorders:?}");
        assert!(splitter.has_b_pictures());
    }
}

/// Something that may stand in a stream.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let slice =
        (any::<bool>(), 0..3u32, 0..3u32, 0..3u32, 0..4u8, 0..8u8, prop::option::of(prop::option::of(any::<bool>())));
    let slice = slice.prop_map(|(idr, first_macroblock, slice_type, pps, frame_num, order, field)| {
        MadeSlice { first_macroblock, slice_type, pps, frame_num, order, field, ..if idr { IDR } else { P } }.stream()
    });
    let set = (0..2u32, prop::sample::select(vec![66, 77, 88]), any::<bool>(), prop::option::of(0..20u32));
    let set =
        set.prop_map(|(id, profile, interlaced, reorders)| MadeSps { id, profile, interlaced, reorders }.stream());
    prop_oneof![
        4 => slice.clone(),
        1 => (slice, any::<prop::sample::Index>()).prop_map(|(nal, at)| nal[..at.index(nal.len())].to_vec()),
        2 => set,
        2 => (0..3u32, 0..2u32, any::<bool>()).prop_map(|(id, sps, redundant)| pps(id, sps, redundant)),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| [&[0, 0, 1][..], &bytes].concat()),
        1 => (prop::sample::select(vec![0x67, 0x68, 0x6f]), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, bytes)| [&[0, 0, 1, kind][..], &bytes].concat()),
        1 => prop::collection::vec(prop::sample::select(vec![0, 0, 0, 1, 3, 0xff]), 0..12),
        1 => prop::sample::select(vec![AUD, SEI, FILLER, &[0, 0, 1, 10], b"Got EOS from element\n"]).prop_map(<[u8]>::to_vec),
    ]
}

proptest! {
    #[test]
    fn no_stream_is_cut_differently_in_other_pieces(
        parts in prop::collection::vec(part(), 0..40),
        pieces in prop::collection::vec(1..30usize, 1..20),
    ) {
        let stream = parts.concat();
        let whole = cut(&[&stream]);
        let mut rest = &stream[..];
        let mut chunks = Vec::new();
        for length in pieces.iter().cycle().take(stream.len() + 1) {
            let (chunk, behind) = rest.split_at(rest.len().min(*length));
            chunks.push(chunk);
            rest = behind;
        }
        prop_assert_eq!(cut(&chunks).0, whole.0);
    }

    #[test]
    fn no_stream_breaks_it_wherever_it_pauses(
        pieces in prop::collection::vec((part(), any::<bool>()), 0..60),
    ) {
        let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
        let mut arrived = 0;
        for (piece, pauses) in pieces {
            arrived += piece.len();
            splitter.push(&piece);
            while splitter.next(&mut unit) || pauses && splitter.may_be_whole() && splitter.rest(&mut unit) {
                prop_assert!(unit.nal_units().any(|nal| matches!(nal.bytes()[0] & 0x1f, 1 | 2 | 5)));
                prop_assert!(splitter.waits() <= 32);
            }
            prop_assert!(splitter.held() <= arrived);
        }
    }
}
