//! The figures of a worker as OpenMetrics, or as the text that scrapers read before there was that.
//!
//! Every series is there from the start on, so that its first change is one; only what has no value now is left out.

use super::broadcast::{Books, Cause};
use crate::service::http::Request;
use crate::stats::{Chosen, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::{Duration, Instant};

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Plain,
}

impl Form {
    /// The form that a request likes best; OpenMetrics where it likes both alike, as curl does.
    pub fn of(request: &Request) -> Self {
        let accept = request.headers.accept();
        let [open, plain] = [Self::OpenMetrics, Self::Plain].map(|form| accept.quality(form.essence()));
        if plain > open { Self::Plain } else { Self::OpenMetrics }
    }

    /// Its media type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The same without its parameters.
    fn essence(self) -> &'static str {
        self.kind().split(';').next().unwrap_or_default()
    }
}

/// From 64 us to one second, each twice the one before. So do octaves of the times that streams count, and no picture is
/// counted in a wrong bucket.
const BOUNDS: std::ops::RangeInclusive<u32> = 6..=20;

/// The text of all figures. `is_up` is whether a stream could start.
pub fn text(form: Form, books: &Books, is_up: bool, now: Instant) -> String {
    let mut registry = Registry::with_prefix("mb_encode");
    let figures = Figures {
        is_up,
        readers: books.account.running.len(),
        counts: books.counts(),
        starts: books.starts,
        restarts: books.restarts,
        ends: books.ends,
        since_last_picture: books.since_last_picture(now),
    };
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", version);
    if let Some(chosen) = &books.account.chosen {
        let Chosen { encoder, gpu, device, renderer, through_host, fallback } = chosen.clone();
        let labels = [
            ("encoder", encoder),
            ("gpu", gpu.unwrap_or_default()),
            ("device", device.map(|number| number.to_string()).unwrap_or_default()),
            ("renderer", renderer),
            // How frames come to it, where GL and CUDA do not share them.
            ("through", if through_host { "host" } else { "" }.to_owned()),
            // The code of why it is not the one that would have been taken.
            ("fallback", fallback.map(|fallback| fallback.code).unwrap_or_default()),
        ];
        registry.register("encoder", "What draws and encodes, as the latest stream has it", Info::new(labels.to_vec()));
    }
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    // A string takes whatever is written.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    match form {
        Form::OpenMetrics => text,
        Form::Plain => plain(&text),
    }
}

/// OpenMetrics as the older format: there a metric's name has its ending also where its type is told, an info is a gauge,
/// and there are neither units nor an end.
fn plain(text: &str) -> String {
    let (mut plain, mut help) = (String::with_capacity(text.len()), "");
    for line in text.lines() {
        let Some(described) = line.strip_prefix("# ") else {
            plain.extend([line, "\n"]);
            continue;
        };
        // The help stands in front of the type, which says what the metric is called here.
        match described.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["HELP", _, words] => help = words,
            ["TYPE", name, kind] => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                plain += &format!("# HELP {name}{ending} {help}\n# TYPE {name}{ending} {kind}\n");
            }
            _ => {}
        }
    }
    plain
}

#[derive(Debug)]
struct Figures {
    is_up: bool,
    readers: usize,
    counts: Snapshot,
    starts: u64,
    restarts: u64,
    ends: [u64; Cause::ALL.len()],
    since_last_picture: Option<Duration>,
}

impl Collector for Figures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = &self.counts.totals;
        gauge(&mut to, "up", "Whether a stream could start.", i64::from(self.is_up))?;
        gauge(&mut to, "readers", "Readers that are served.", self.readers as i64)?;
        counter(&mut to, "pictures", "Frames written.", totals.pictures)?;
        let skipped = [("late", totals.late), ("held_back", totals.held_back)];
        let help = "Frames not drawn: the machine was late, or the reader was behind.";
        counters(&mut to, "pictures_skipped", help, &skipped)?;
        let written = ConstCounter::new(totals.bytes);
        written.encode(to.encode_descriptor(
            "written",
            "Bytes written.",
            Some(&Unit::Bytes),
            written.metric_type(),
        )?)?;
        counter(&mut to, "starts", "Streams started.", self.starts)?;
        counter(&mut to, "restarts", "Times a stream went on in another process, its driver lost.", self.restarts)?;
        let ends: Vec<_> = Cause::ALL.iter().zip(self.ends).map(|((_, name), ends)| (*name, ends)).collect();
        counters(&mut to, "ends", "Streams ended, by the reason.", &ends)?;
        let help = "Time that encoding a frame took.";
        let times = EncodeTimes(&self.counts);
        times.encode(to.encode_descriptor("encode_time", help, Some(&Unit::Seconds), times.metric_type())?)?;
        if let Some(since) = self.since_last_picture {
            let help = "Time since the last frame of that reader who waits the longest; to half a second.";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_openmetrics_gets_it_and_an_older_scraper_does_not() {
        let form = |accept: &[&str]| {
            let headers: Vec<_> = accept.iter().map(|value| ("accept", *value)).collect();
            Form::of(&Request::of("GET", "/metrics", &headers))
        };
        for accept in [
            &[][..],
            &["*/*"],
            &["application/openmetrics-text"],
            // Prometheus 2.42, and 3.
            &["application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
               text/plain;version=0.0.4;q=0.5,*/*;q=0.1"],
            &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,\
               */*;q=0.2"],
            &["text/plain;q=0.5", "application/openmetrics-text"],
        ] {
            assert_eq!(form(accept), Form::OpenMetrics, "{accept:?}");
        }
        for accept in [
            "text/plain",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/*",
            "application/openmetrics-text;q=0.3, text/plain",
            "application/openmetrics-text;q=0, */*",
        ] {
            assert_eq!(form(&[accept]), Form::Plain, "{accept}");
        }
    }

    #[test]
    fn the_older_format_has_the_same_samples() {
        let books = Books::default();
        let [open, plain] = [Form::OpenMetrics, Form::Plain].map(|form| text(form, &books, true, Instant::now()));
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&open), samples(&plain));
        assert!(open.ends_with("\n# EOF\n") && !plain.contains("# EOF") && !plain.contains("# UNIT"), "{plain}");
        for (line, older) in [
            ("# TYPE mb_encode_pictures counter", "# TYPE mb_encode_pictures_total counter"),
            ("# HELP mb_encode_pictures Frames written.", "# HELP mb_encode_pictures_total Frames written."),
            ("# TYPE mb_encode_build info", "# TYPE mb_encode_build_info gauge"),
            ("# TYPE mb_encode_up gauge", "# TYPE mb_encode_up gauge"),
        ] {
            assert!(open.contains(&format!("{line}\n")) && plain.contains(&format!("{older}\n")), "{open}{plain}");
        }
    }
}
