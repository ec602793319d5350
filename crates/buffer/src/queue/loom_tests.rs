//! Pushing and reading in every order, with segments of two slots.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::segment::{CLASS_MIN, Segment};
use super::*;
use crate::Weight;
use crate::lane::Lane;
use crate::models::model;

/// Who pushed it, and the how manieth of his it is.
type Item = (u8, u8);
type OneLane = Arc<Lane<(), Item>>;

fn lane() -> (OneLane, Reader<(), Item>) {
    let lane = Lane::new((), &Arc::new(Spares::new()), None);
    let reader = Reader::only_one_of(&lane);
    (lane, reader)
}

fn entry(item: Item) -> Entry<Item> {
    Entry { weight: Weight { rows: 1, bytes: 0 }, at: 1, item }
}

fn push(lane: &OneLane, item: Item) -> bool {
    lane.queue().push(entry(item), || 1).is_ok()
}

fn chain(lane: &OneLane, items: &[Item]) -> Chain<Item> {
    let mut chain = Chain::new(items.len(), &lane.queue().spares);
    for (index, &item) in items.iter().enumerate() {
        chain.push(entry(item), items.len() - index);
    }
    chain
}

fn pushes(lane: &OneLane, who: u8, count: u8) -> thread::JoinHandle<()> {
    let lane = Arc::clone(lane);
    thread::spawn(move || (0..count).for_each(|number| assert!(push(&lane, (who, number)))))
}

fn read(reader: &mut Reader<(), Item>, all: &mut Vec<Item>) {
    while let Some(entry) = reader.take_first() {
        all.push(entry.item);
    }
}

/// Each producer's items once and in order.
fn whole(all: &[Item], producers: &[(u8, u8)]) {
    for &(who, count) in producers {
        let of_it: Vec<_> = all.iter().filter(|item| item.0 == who).map(|item| item.1).collect();
        assert_eq!(of_it, (0..count).collect::<Vec<_>>(), "of {who} in {all:?}");
    }
    assert_eq!(all.len(), producers.iter().map(|&(_, count)| usize::from(count)).sum::<usize>());
}

#[test]
fn loom_each_item_once_and_in_order_over_the_end_of_a_segment() {
    model(3, || {
        let (lane, mut reader) = lane();
        let others = [pushes(&lane, 1, 2), pushes(&lane, 2, 1)];
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        for other in others {
            other.join().unwrap();
        }
        read(&mut reader, &mut all);
        whole(&all, &[(1, 2), (2, 1)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_one_who_stops_before_he_fills_his_slot_stops_nobody_else() {
    model(3, || {
        let (lane, mut reader) = lane();
        assert!(push(&lane, (0, 0)));
        // The one who stops here.
        let given = Tail(lane.queue().tail.fetch_add(1, Ordering::AcqRel));
        let others = [pushes(&lane, 1, 2), pushes(&lane, 2, 1)];
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        for other in others {
            other.join().unwrap();
        }
        read(&mut reader, &mut all);
        assert_eq!((all.as_slice(), reader.front()), (&[(0, 0)][..], Front::Stuck));
        unsafe { (*given.segment::<Item>()).fill(given.count(), entry((0, 1))) };
        read(&mut reader, &mut all);
        whole(&all, &[(0, 2), (1, 2), (2, 1)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_one_who_stops_before_he_links_a_segment_stops_nobody_else() {
    model(3, || {
        let (lane, mut reader) = lane();
        assert!(push(&lane, (0, 0)) && push(&lane, (0, 1)));
        // The one who stops between the two steps of putting a segment behind the full one.
        let segment = Segment::new(CLASS_MIN);
        unsafe { segment.fill(0, entry((0, 2))) };
        let (seen, raw) = (Tail(lane.queue().tail.load(Ordering::Acquire)), Box::into_raw(segment));
        let appended = Tail::of(raw, CLASS_MIN, 1).0;
        lane.queue().tail.compare_exchange(seen.0, appended, Ordering::AcqRel, Ordering::Relaxed).unwrap();
        let others = [pushes(&lane, 1, 2), pushes(&lane, 2, 1)];
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        for other in others {
            other.join().unwrap();
        }
        read(&mut reader, &mut all);
        assert_eq!((all.as_slice(), reader.front()), (&[(0, 0), (0, 1)][..], Front::Stuck));
        Queue::link(seen, raw);
        read(&mut reader, &mut all);
        whole(&all, &[(0, 3), (1, 2), (2, 1)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_a_push_beside_closing_is_refused_or_read() {
    model(3, || {
        let (lane, mut reader) = lane();
        let pushed = |who: u8, count: u8| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || (0..count).take_while(|&number| push(&lane, (who, number))).count())
        };
        let others = [pushed(1, 2), pushed(2, 1)];
        lane.queue().close();
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        let counts = others.map(|other| u8::try_from(other.join().unwrap()).unwrap());
        read(&mut reader, &mut all);
        whole(&all, &[(1, counts[0]), (2, counts[1])]);
        assert_eq!(reader.front(), Front::Empty);
        assert!(!push(&lane, (3, 0)));
        assert!(lane.queue().push_chain(chain(&lane, &[(3, 0)])).is_err());
    });
}

#[test]
fn loom_a_chain_stays_together_beside_single_pushes() {
    model(3, || {
        let (lane, mut reader) = lane();
        let (singles, many) = (pushes(&lane, 1, 2), Arc::clone(&lane));
        let chains = thread::spawn(move || {
            assert!(many.queue().push_chain(chain(&many, &[(2, 0), (2, 1), (2, 2)])).is_ok());
        });
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        singles.join().unwrap();
        chains.join().unwrap();
        read(&mut reader, &mut all);
        whole(&all, &[(1, 2), (2, 3)]);
        let first = all.iter().position(|&item| item == (2, 0)).unwrap();
        assert_eq!(all[first..first + 3], [(2, 0), (2, 1), (2, 2)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_a_chain_beside_closing_is_refused_or_read_whole() {
    model(3, || {
        let (lane, mut reader) = lane();
        let many = Arc::clone(&lane);
        let chains = thread::spawn(move || {
            let came = many.queue().push_chain(chain(&many, &[(2, 0), (2, 1), (2, 2)]));
            came.map_err(|mut refused| {
                let mut back = Vec::new();
                refused.drain(|entry| back.push(entry.item));
                assert_eq!(back, [(2, 0), (2, 1), (2, 2)]);
            })
        });
        let single = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || push(&lane, (1, 0)))
        };
        lane.queue().close();
        let came = if chains.join().unwrap().is_ok() { 3 } else { 0 };
        let single = u8::from(single.join().unwrap());
        let mut all = Vec::new();
        read(&mut reader, &mut all);
        whole(&all, &[(1, single), (2, came)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_a_segment_comes_back_while_a_producer_is_slow() {
    model(2, || {
        let (lane, mut reader) = lane();
        let slow = pushes(&lane, 1, 1);
        let mut all = Vec::new();
        // Round and round over two segments, wherever the other stands still meanwhile.
        for number in 0..7 {
            assert!(push(&lane, (2, number)));
            read(&mut reader, &mut all);
        }
        slow.join().unwrap();
        read(&mut reader, &mut all);
        whole(&all, &[(1, 1), (2, 7)]);
        assert_eq!(reader.front(), Front::Empty);
    });
}

#[test]
fn loom_a_segment_moves_to_another_lane_while_a_producer_is_slow() {
    model(2, || {
        let spares = Arc::new(Spares::new());
        let lanes = [0, 1].map(|_| Lane::<(), Item>::new((), &spares, None));
        let mut readers = [0, 1].map(|index| Reader::only_one_of(&lanes[index]));
        let slow = pushes(&lanes[0], 1, 2);
        let mut all = [Vec::new(), Vec::new()];
        for number in 0..4 {
            for index in [0, 1] {
                assert!(push(&lanes[index], (2, number)));
                read(&mut readers[index], &mut all[index]);
            }
        }
        slow.join().unwrap();
        read(&mut readers[0], &mut all[0]);
        whole(&all[0], &[(1, 2), (2, 4)]);
        whole(&all[1], &[(2, 4)]);
    });
}

#[test]
fn loom_what_is_left_is_dropped_once() {
    /// Counts its drop.
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            assert!(!self.0.swap(true, Ordering::Relaxed), "dropped twice");
        }
    }
    model(3, || {
        let lane = Lane::new((), &Arc::new(Spares::new()), None);
        let marks: Vec<_> = (0..4).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let mut reader = Reader::only_one_of(&lane);
        let others = [0, 2].map(|from| {
            let (lane, marks) = (Arc::clone(&lane), marks[from..from + 2].to_vec());
            thread::spawn(move || {
                for mark in marks {
                    let weight = Weight { rows: 1, bytes: 0 };
                    assert!(lane.queue().push(Entry { weight, at: 1, item: Dropped(mark) }, || 1).is_ok());
                }
            })
        });
        drop(reader.take_first());
        drop((reader, lane));
        for other in others {
            other.join().unwrap();
        }
        assert!(marks.iter().all(|mark| mark.load(Ordering::Relaxed)), "not dropped");
    });
}
