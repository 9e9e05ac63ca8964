//! Producers by the hundred, one after the other and at once.

use crate::hostile::{Shown, small};
use crate::producer::{COLOURS, Producer, framed, header, open_now, plain, show};
use crate::rig::{Worker, colours, descriptors, is_near, plain_of, settled};
use crate::support::process::DEADLINE;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Numbers that look random, and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn two_hundred_that_are_killed_anywhere_are_shown_one_after_the_other() {
    let _alone = crate::alone();
    let shown = Shown::start(&["--bitrate", "2M"]);
    let mut dice = Dice(7);
    let begun = Instant::now();
    let mut again = 0;
    for at in 0..200usize {
        // One in four is killed before anybody can be sure that it was let in. Whoever comes in the same instant as one
        // that has just died shares its pipe, is turned away, and comes again.
        let is_early = at % 4 == 0;
        let producer = loop {
            let producer = Producer::endless(&shown.worker.frames, small(), COLOURS[at % 5]);
            if is_early || producer.wait_until_read() {
                break producer;
            }
            assert_eq!(at % 4, 1, "no. {at} was turned away, and the one before it was let in");
            again += 1;
        };
        std::thread::sleep(Duration::from_micros(dice.below(15_000)));
        producer.kill();
    }
    eprintln!("200 producers in {:?}, {again} of them a second time", begun.elapsed());
    assert!(again <= 50);
    let seen = shown.finish(COLOURS[5]);
    let changes = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > 60, "{changes} changes in {} pictures", seen.len());
    assert_eq!(seen.last(), Some(&5));
}

#[test]
fn five_hundred_that_open_and_close_at_once_do_not_keep_the_next_one_waiting() {
    let shown = Shown::start(&[]);
    let mut opened = 0;
    let begun = Instant::now();
    while opened < 500 {
        if let Ok(file) = open_now(&shown.worker.frames) {
            opened += 1;
            drop(file);
        }
        assert!(begun.elapsed() < 2 * DEADLINE, "{opened} were let in");
        // Often several in the time that it takes to notice one.
        if opened % 5 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    eprintln!("500 in {:?}", begun.elapsed());
    let ended = Instant::now();
    drop(show(&shown.worker.frames, small(), COLOURS[4], 2));
    assert!(ended.elapsed() < Duration::from_secs(2), "the next one waited for {:?}", ended.elapsed());
    shown.viewer.wait_for_colour(small(), COLOURS[4]);
    shown.finish(COLOURS[5]);
}

/// A producer of 40 pictures of one colour, a little apart, in a process of its own.
fn forty(worker: &Worker, at: usize) -> Producer {
    let (mut left, picture) = (40, framed(&plain(small(), COLOURS[at])));
    let mut header = Some(header(small()));
    Producer::start(&worker.frames, move || {
        left -= 1;
        std::thread::sleep(Duration::from_millis(5));
        (left > 0).then(|| header.take().unwrap_or_else(|| picture.clone()))
    })
}

#[test]
fn two_that_write_at_once_are_never_mixed() {
    let shown = Shown::start(&[]);
    for round in 0..12 {
        // As close together as they can be started: they share a pipe, or one waits for the other.
        let both = [1, 2].map(|at| forty(&shown.worker, at + round % 2 * 2));
        settled("one of them is through or turned away", || both.iter().any(|one| !one.process.is_running()));
        let ended = both.map(|one| one.process.is_running_after(Duration::from_secs(3)));
        eprintln!("round {round}: still waiting after 3 s: {ended:?}");
    }
    // Each picture has one colour: `finish` looks.
    shown.finish(COLOURS[5]);
}

#[test]
fn one_that_waits_behind_another_comes_after_it_and_never_into_it() {
    let shown = Shown::start(&[]);
    let mut first = show(&shown.worker.frames, small(), COLOURS[1], 2);
    shown.viewer.wait_for_colour(small(), COLOURS[1]);
    let second = Producer::endless(&shown.worker.frames, small(), COLOURS[2]);
    for _ in 0..30 {
        first.write_all(&framed(&plain(small(), COLOURS[1]))).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(second.written() < 1 << 18, "it writes while the first one does");
    drop(first);
    assert!(second.wait_until_read());
    shown.viewer.wait_for_colour(small(), COLOURS[2]);
    second.kill();
    let seen = shown.finish(COLOURS[5]);
    assert!(seen.is_sorted(), "{seen:?}");
}

#[test]
fn of_two_who_had_waited_before_anybody_watched_none_is_mixed_into_the_other() {
    for round in 0..4 {
        let worker = Worker::start(&[]);
        let both = [1, 2].map(|at| Producer::endless(&worker.frames, small(), COLOURS[at]));
        std::thread::sleep(Duration::from_millis(50));
        let viewer = worker.watch();
        // Both had been let in by the kernel; what comes alone is shown.
        settled("they are told, or one is read", || {
            both.iter().any(|one| one.written() > 4 << 20) || both.iter().all(|one| !one.process.is_running())
        });
        both.into_iter().for_each(Producer::kill);
        let _file = show(&worker.frames, small(), COLOURS[3], 3);
        viewer.wait_for_colour(small(), COLOURS[3]);
        let seen = colours(&viewer.leave(), small(), &COLOURS);
        assert!(seen.contains(&3), "round {round}: {seen:?}");
    }
}

#[test]
fn viewers_that_come_and_go_find_the_producer_that_comes_back() {
    let worker = Worker::start(&[]);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // As the one of a person who writes `while True`.
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(mut file) = open_now(&worker.frames) {
                    let _ = file.write_all(&header(small()));
                    while file.write_all(&framed(&plain(small(), COLOURS[2]))).is_ok() {
                        std::thread::sleep(Duration::from_millis(15));
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        struct Over<'a>(&'a std::sync::atomic::AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let _over = Over(&over);
        let before = descriptors(worker.process.id());
        for round in 0..25u64 {
            let viewer = worker.watch();
            if round % 3 > 0 {
                viewer.wait_for_pictures(2);
                let stream = viewer.leave();
                let pictures = crate::rig::decode(&stream, small());
                assert!(pictures.iter().all(|picture| is_near(plain_of(picture), COLOURS[2])));
            } else {
                std::thread::sleep(Duration::from_millis(round * 3));
                drop(viewer);
            }
        }
        worker.wait_until_idle();
        settled("the worker's descriptors", || descriptors(worker.process.id()) <= before + 4);
    });
    let lines = worker.process.lines().join("\n");
    assert!(!lines.contains("ERROR"), "{lines}");
}
