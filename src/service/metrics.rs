//! The figures of a worker as OpenMetrics, for Prometheus and whatever else reads that.

use super::broadcast::{Books, Cause};
use crate::stats::Snapshot;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::{Duration, Instant};

/// Its media type.
pub const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 64 us to one second, each twice the one before. So do octaves of the times that streams count, and no picture is
/// counted in a wrong bucket.
const BOUNDS: std::ops::RangeInclusive<u32> = 6..=20;

/// The text of all figures. `is_up` is whether a stream could start.
pub fn text(books: &Books, is_up: bool, now: Instant) -> String {
    let mut registry = Registry::with_prefix("mb_encode");
    let figures = Figures {
        is_up,
        readers: books.account.running.len(),
        counts: books.counts(),
        starts: books.starts,
        ends: books.ends,
        since_last_picture: books.since_last_picture(now),
    };
    let chosen = books.chosen.as_ref();
    let name = |part: Option<&String>| part.cloned().unwrap_or_default();
    let labels = vec![
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("encoder".to_owned(), name(chosen.map(|chosen| &chosen.encoder))),
        ("gpu".to_owned(), name(chosen.and_then(|chosen| chosen.gpu.as_ref()))),
        ("renderer".to_owned(), name(chosen.map(|chosen| &chosen.renderer))),
    ];
    registry.register("build", "The program, and what draws and encodes", Info::new(labels));
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    // A string takes whatever is written.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Figures {
    is_up: bool,
    readers: usize,
    counts: Snapshot,
    starts: u64,
    ends: [u64; Cause::ALL.len()],
    since_last_picture: Option<Duration>,
}

impl Collector for Figures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = &self.counts.totals;
        gauge(&mut to, "up", "Whether a stream could start", i64::from(self.is_up))?;
        gauge(&mut to, "readers", "Readers that are served", self.readers as i64)?;
        counter(&mut to, "pictures", "Frames written", totals.pictures)?;
        let skipped = [("late", totals.late), ("held_back", totals.held_back)];
        let help = "Frames not drawn: the machine was late, or the reader was behind";
        counters(&mut to, "pictures_skipped", help, &skipped)?;
        counter(&mut to, "bytes", "Bytes written", totals.bytes)?;
        counter(&mut to, "starts", "Streams started", self.starts)?;
        let ends: Vec<_> = Cause::ALL.iter().zip(self.ends).map(|((_, name), ends)| (*name, ends)).collect();
        counters(&mut to, "ends", "Streams ended, by the reason", &ends)?;
        let help = "Time that encoding a frame took";
        let times = EncodeTimes(&self.counts);
        times.encode(to.encode_descriptor("encode_time", help, Some(&Unit::Seconds), times.metric_type())?)?;
        if let Some(since) = self.since_last_picture {
            let help = "Time since the last frame of that reader who waits the longest; to half a second";
            let since = ConstGauge::new(since.as_secs_f64());
            let unit = Some(&Unit::Seconds);
            since.encode(to.encode_descriptor("since_last_picture", help, unit, since.metric_type())?)?;
        }
        Ok(())
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(to.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn counters(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, by_cause: &[(&str, u64)]) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (cause, value) in by_cause {
        ConstCounter::new(*value).encode(family.encode_family(&[("cause", *cause)])?)?;
    }
    Ok(())
}

/// The encode times of all pictures, as a histogram. Their sum is within 5 %, as each of them is known.
struct EncodeTimes<'a>(&'a Snapshot);

impl EncodeMetric for EncodeTimes<'_> {
    fn encode(&self, mut to: MetricEncoder<'_>) -> fmt::Result {
        let bounds: Vec<_> = BOUNDS.map(|octave| Duration::from_micros(1 << octave)).collect();
        let mut buckets: Vec<_> = bounds.iter().map(|bound| (bound.as_secs_f64(), 0)).chain([(f64::MAX, 0)]).collect();
        let (mut sum, mut count) = (0.0, 0);
        for (bound, pictures) in self.0.encode_times() {
            let at = bounds.iter().position(|&limit| bound <= limit).unwrap_or(bounds.len());
            buckets[at].1 += pictures;
            count += pictures;
            sum += bound.as_secs_f64() * MIDDLE * pictures as f64;
        }
        to.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The middle of a bucket that is an eighth of an octave wide, as a share of its upper bound.
const MIDDLE: f64 = 0.957_603_280_698_573_6;
