//! Who has joined a stream that runs, when to look for them, and when to ask for a keyframe: the rules alone. Time is
//! passed in.
//!
//! A viewer is there for a keyframe once go2rtc has it among the stream's consumers; go2rtc keeps what comes from then on
//! until the viewer's connection stands. Consumers are told by their numbers: a count stays the same where one leaves as
//! another one joins.
//!
//! What go2rtc keeps for a WebRTC viewer it can lose all the same, once the connection stands: it sends before the keys are
//! there (seen once in 400 times), or the connection takes longer than 64 frames. So there is a second keyframe behind that.

use crate::service::go2rtc::api::Consumer;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long after somebody has come through the gate it is looked for. go2rtc mostly has them within milliseconds.
const LOOKS: [Duration; 6] = [ms(15), ms(40), ms(80), ms(150), ms(300), ms(600)];
/// How often it is looked otherwise, while a stream runs: for whoever took longer, or another way.
const SELDOM: Duration = Duration::from_secs(1);
/// How often while the connection of a viewer comes about, and for how long: some never do.
const CONNECTS: (Duration, Duration) = (ms(200), Duration::from_secs(10));
/// From one look to the next at the least, however many come.
const LEAST: Duration = ms(15);

/// A second keyframe waits so long for one that others need.
const SECOND: Duration = ms(200);
/// Who joins within a moment of another one shares its keyframe.
const MOMENT: Duration = ms(40);
/// A crowd gets a keyframe so often, as a picture that stands still has them: it does not make a stream of nothing else.
const EACH: Duration = ms(200);
/// So many come sooner, where none was asked for in a while.
const SOONER: u32 = 2;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is known of all streams that run.
#[derive(Debug, Default)]
pub struct Joins {
    streams: HashMap<String, Stream>,
    /// When somebody came through the gate, as long as they are looked for.
    comers: VecDeque<Instant>,
    looked: Option<Instant>,
}

/// What is known of one stream.
#[derive(Debug, Default)]
struct Stream {
    /// Tells one run of the stream from the next.
    run: u64,
    /// The consumers by their numbers, and since when their connections come about.
    consumers: HashMap<u64, Option<Instant>>,
    wanted: Vec<Wish>,
    /// When the last one was asked for, and until when those that were asked for last, [`EACH`] for each.
    asked: Option<(Instant, Instant)>,
}

/// A keyframe for somebody: any of those that are asked for from then on, and one at the latest by then.
#[derive(Clone, Copy, Debug)]
struct Wish {
    from: Instant,
    by: Instant,
}

impl Joins {
    /// Somebody has come through the gate, and may turn up among the consumers. A player is lost a keyframe that comes
    /// before go2rtc has `set_up` its channel, and is then there already: one is wanted in any case.
    pub fn came(&mut self, id: &str, set_up: bool, now: Instant) {
        self.began(now);
        if let (true, Some(stream)) = (set_up, self.streams.get_mut(id)) {
            let at = now + LOOKS[0];
            stream.wanted.push(Wish { from: at, by: at });
        }
    }

    /// Something has begun that a look will show.
    pub fn began(&mut self, now: Instant) {
        self.forget_comers(now);
        self.comers.push_back(now);
    }

    /// Stream `id` runs, for the `run`th time. Whoever has started it counts as one who joins: the first keyframe may have
    /// been too early.
    pub fn runs(&mut self, id: &str, run: u64) {
        if self.streams.get(id).is_none_or(|stream| stream.run != run) {
            self.streams.insert(id.to_owned(), Stream { run, ..Stream::default() });
        }
    }

    /// It does not run any more.
    pub fn rests(&mut self, id: &str) {
        self.streams.remove(id);
    }

    /// The streams that run.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// These are the consumers of stream `id`.
    pub fn saw(&mut self, id: &str, consumers: impl IntoIterator<Item = Consumer>, now: Instant) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let before = std::mem::take(&mut stream.consumers);
        for Consumer { number, connects } in consumers {
            let known = before.get(&number);
            stream.consumers.insert(number, connects.then(|| known.copied().flatten().unwrap_or(now)));
            match known {
                None => stream.wanted.push(Wish { from: now, by: now }),
                Some(Some(_)) if !connects => stream.wanted.push(Wish { from: now, by: now + SECOND }),
                Some(_) => {}
            }
        }
    }

    /// It was looked at `now`.
    pub fn looked(&mut self, now: Instant) {
        self.looked = Some(now);
        self.forget_comers(now);
    }

    fn forget_comers(&mut self, now: Instant) {
        while self.comers.front().is_some_and(|&came| came + LOOKS[LOOKS.len() - 1] <= now) {
            self.comers.pop_front();
        }
    }

    /// When to look next, while streams run.
    pub fn next_look(&self) -> Option<Instant> {
        let is_ahead = |at: &Instant| self.looked.is_none_or(|looked| *at > looked);
        let after = |came: &Instant| LOOKS.iter().map(|&later| *came + later).find(is_ahead);
        let soonest = self.comers.iter().filter_map(after).min();
        let Some(looked) = self.looked else { return soonest };
        let connects = |since: &Option<Instant>| since.is_some_and(|since| looked < since + CONNECTS.1);
        let pause = match self.streams.values().any(|stream| stream.consumers.values().any(connects)) {
            true => CONNECTS.0,
            false => SELDOM,
        };
        Some(soonest.map_or(looked + pause, |at| at.clamp(looked + LEAST, looked + pause)))
    }

    /// The streams for which a keyframe is to be asked `now`, once each.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.streams.iter_mut().filter(|(_, stream)| stream.due().is_some_and(|due| due <= now));
        due.map(|(id, stream)| {
            stream.ask(now);
            id.clone()
        })
        .collect()
    }

    /// When that is so next.
    pub fn next_due(&self) -> Option<Instant> {
        self.streams.values().filter_map(Stream::due).min()
    }
}

impl Stream {
    fn due(&self) -> Option<Instant> {
        let wanted = self.wanted.iter().map(|wish| wish.by).min()?;
        Some(match self.asked {
            Some((last, lasting)) => wanted.max(last + MOMENT).max(lasting - EACH * SOONER),
            None => wanted,
        })
    }

    fn ask(&mut self, now: Instant) {
        self.wanted.retain(|wish| wish.from > now);
        let lasting = self.asked.map_or(now, |(_, lasting)| lasting.max(now));
        self.asked = Some((now, lasting + EACH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHILE: Duration = ms(1000);

    /// The rules, with one stream that runs and was looked at, and the time at which it began.
    fn running(consumers: &[u64]) -> (Joins, Instant) {
        let (mut joins, start) = (Joins::default(), Instant::now());
        joins.runs("a", 1);
        joins.saw("a", playing(consumers), start);
        joins.looked(start);
        joins.due(start);
        (joins, start + WHILE)
    }

    fn playing(numbers: &[u64]) -> Vec<Consumer> {
        numbers.iter().map(|&number| Consumer { number, connects: false }).collect()
    }

    fn see(joins: &mut Joins, consumers: &[u64], now: Instant) -> usize {
        joins.saw("a", playing(consumers), now);
        joins.due(now).len()
    }

    #[test]
    fn who_joins_is_told_by_a_new_number() {
        let (mut joins, start) = running(&[1]);
        let at = |seconds: u32| start + seconds * WHILE;
        assert_eq!(see(&mut joins, &[1], at(0)), 0);
        assert_eq!(see(&mut joins, &[1, 2], at(1)), 1);
        assert_eq!(see(&mut joins, &[2, 3], at(2)), 1, "one leaves as another one joins");
        assert_eq!(see(&mut joins, &[3], at(3)), 0, "one leaves");
        assert_eq!(see(&mut joins, &[3, 4, 5], at(4)), 1, "two share one");
    }

    #[test]
    fn who_starts_a_stream_joins_it_and_so_does_who_starts_it_again() {
        let (mut joins, now) = (Joins::default(), Instant::now());
        assert_eq!(see(&mut joins, &[1], now), 0, "it does not run");
        joins.runs("a", 1);
        assert_eq!(see(&mut joins, &[1], now), 1);
        joins.runs("a", 1);
        assert_eq!(see(&mut joins, &[1], now + WHILE), 0);
        // go2rtc may have been started again as well, and counts from 1.
        joins.runs("a", 2);
        assert_eq!(see(&mut joins, &[1], now + 2 * WHILE), 1);
        joins.rests("a");
        assert_eq!((see(&mut joins, &[1, 2], now + 3 * WHILE), joins.next_due()), (0, None));
    }

    #[test]
    fn a_player_gets_one_once_it_is_set_up_whenever_it_was_seen() {
        let (mut joins, start) = running(&[1]);
        assert_eq!(see(&mut joins, &[1, 2], start), 1, "before it is set up");
        joins.came("a", true, start + ms(100));
        assert_eq!(joins.next_due(), Some(start + ms(115)));
        assert_eq!(see(&mut joins, &[1, 2], start + ms(110)), 0);
        assert_eq!(joins.due(start + ms(115)), ["a"]);
        // One that was not seen before gets no second one.
        let start = start + 5 * WHILE;
        joins.came("a", true, start);
        assert_eq!(see(&mut joins, &[1, 2, 3], start + ms(16)), 1);
        assert_eq!(joins.next_due(), None);
        joins.came("b", true, start);
        assert_eq!(joins.next_due(), None, "a stream that does not run begins with one");
    }

    #[test]
    fn a_webrtc_viewer_gets_a_second_one_behind_its_connection() {
        let (mut joins, start) = running(&[1]);
        let see = |joins: &mut Joins, number, connects, now: Instant| {
            joins.saw("a", [Consumer { number, connects }], now);
            joins.looked(now);
            joins.due(now).len()
        };
        assert_eq!(see(&mut joins, 2, true, start), 1);
        assert_eq!(joins.next_look(), Some(start + CONNECTS.0));
        assert_eq!(see(&mut joins, 2, true, start + ms(200)), 0);
        assert_eq!(see(&mut joins, 2, false, start + ms(400)), 0);
        assert_eq!((joins.next_due(), joins.next_look()), (Some(start + ms(600)), Some(start + ms(1400))));
        assert_eq!(joins.due(start + ms(600)), ["a"]);
        assert_eq!((see(&mut joins, 2, false, start + ms(700)), joins.next_due()), (0, None));
        // One that somebody else needs does as well, if it comes behind the connection.
        let start = start + 5 * WHILE;
        let both = |connects| [Consumer { number: 2, connects: false }, Consumer { number: 3, connects }];
        joins.saw("a", both(true), start);
        joins.due(start);
        joins.saw("a", both(false), start + ms(100));
        joins.saw("a", both(false).into_iter().chain(playing(&[4])), start + ms(150));
        assert_eq!((joins.due(start + ms(150)), joins.next_due()), (vec!["a".to_owned()], None));
        // One that never connects is not looked for often for long.
        let start = start + 5 * WHILE;
        assert_eq!(see(&mut joins, 5, true, start), 1);
        assert_eq!(see(&mut joins, 5, true, start + CONNECTS.1), 0);
        assert_eq!(joins.next_look(), Some(start + CONNECTS.1 + SELDOM));
    }

    #[test]
    fn a_crowd_shares_and_gets_five_a_second() {
        let (mut joins, start) = running(&[]);
        let (mut asked, mut waited) = (Vec::new(), Vec::new());
        let mut newcomers = Vec::new();
        for now in (0..3000).map(|millis| start + ms(millis)) {
            let number = joins.streams["a"].consumers.len() as u64;
            joins.saw("a", playing(&(0..=number).collect::<Vec<_>>()), now);
            newcomers.push(now);
            if !joins.due(now).is_empty() {
                waited.extend(newcomers.drain(..).map(|came| now - came));
                asked.push(now);
            }
        }
        let most = asked.iter().map(|&from| asked.iter().filter(|&&at| at >= from && at < from + WHILE).count()).max();
        assert_eq!((most, asked.len()), (Some(7), 15 + 2), "{asked:?}");
        assert_eq!(asked[..3], [start, start + MOMENT, start + 2 * MOMENT]);
        assert!(waited.iter().all(|&waited| waited <= EACH) && newcomers.len() <= 200);
        // A while later they are served at once again.
        let calm = start + ms(6000);
        joins.saw("a", playing(&[9000]), calm);
        assert_eq!(joins.due(calm), ["a"]);
        joins.saw("a", playing(&[9001]), calm + MOMENT);
        assert_eq!(joins.due(calm + MOMENT), ["a"]);
    }

    #[test]
    fn it_is_looked_often_for_who_has_just_come_and_seldom_otherwise() {
        let (mut joins, start) = running(&[1]);
        let mut looks = |from: Instant, until: Instant| -> Vec<u128> {
            let mut looks = Vec::new();
            while let Some(at) = joins.next_look().filter(|&at| at <= until) {
                joins.looked(at.max(from));
                looks.push((at.max(from) - start).as_millis());
            }
            looks
        };
        assert_eq!(looks(start, start + ms(2500)), [0, 1000, 2000]);
        joins.came("a", false, start + ms(2500));
        let mut looks = |until: Instant| -> Vec<u128> {
            let mut looks = Vec::new();
            while let Some(at) = joins.next_look().filter(|&at| at <= until) {
                joins.looked(at);
                looks.push((at - start).as_millis() - 2500);
            }
            looks
        };
        assert_eq!(looks(start + ms(5000)), [15, 40, 80, 150, 300, 600, 1600]);
        // However many come.
        for millis in 0..1000 {
            joins.came("a", false, start + ms(5000 + millis));
        }
        let mut count = 0;
        while let Some(at) = joins.next_look().filter(|&at| at <= start + ms(6000)) {
            joins.looked(at);
            count += 1;
        }
        assert!(count <= 70, "{count} looks in a second");
    }

    #[test]
    fn a_stream_that_begins_is_looked_at_soon() {
        let (mut joins, now) = (Joins::default(), Instant::now());
        assert_eq!(joins.next_look(), None);
        joins.began(now);
        assert_eq!(joins.next_look(), Some(now + LOOKS[0]));
        joins.looked(now + LOOKS[0]);
        assert_eq!(joins.next_look(), Some(now + LOOKS[1]));
    }
}
