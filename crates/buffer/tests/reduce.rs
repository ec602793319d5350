//! A batch reduced to the last item of each key: against a model, by each way, with and without SIMD.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{cell::Cell, collections::HashMap, rc::Rc};

use proptest::{collection::vec, prelude::*};
use standpipe_buffer::{Integer, ReduceError, Reducer};

fn reducer() -> Reducer {
    Reducer::new(&["key"]).unwrap()
}

/// The places after which the key does not come again.
fn model<K: PartialEq>(keys: &[K]) -> Vec<u32> {
    let comes_again = |place: usize| keys[place + 1..].contains(&keys[place]);
    (0..keys.len()).filter(|place| !comes_again(*place)).map(|place| place as u32).collect()
}

/// Keys of each kind that another way is taken for: few, many, dense, far apart, in order, nearly in order.
fn keys() -> impl Strategy<Value = Vec<u64>> {
    let spread = prop_oneof![Just(1_u64), Just(7), Just(1000), Just(0x0123_4567_89AB_CDEF), any::<u64>()];
    let origin = prop_oneof![Just(0_u64), Just(u64::MAX - 5), Just(1 << 63), any::<u64>()];
    let values = prop_oneof![vec(0_u64..4, 0..200), vec(0_u64..100, 0..1500), vec(any::<u64>(), 0..300)];
    let sorted = prop_oneof![
        Just(None),
        Just(Some(None)),
        (any::<usize>(), any::<u64>()).prop_map(|odd| Some(Some(odd)))
    ];
    (values, spread, origin, sorted).prop_map(|(values, spread, origin, sorted)| {
        let mut keys: Vec<u64> =
            values.iter().map(|value| value.wrapping_mul(spread).wrapping_add(origin)).collect();
        if let Some(odd) = sorted {
            keys.sort_unstable();
            if let (Some((place, key)), false) = (odd, keys.is_empty()) {
                let place = place % keys.len();
                keys[place] = key;
            }
        }
        keys
    })
}

proptest! {
    #[test]
    fn reduces_as_the_model_does_and_the_same_without_simd(batches in vec(keys(), 1..6)) {
        // One reducer for all: what is left of a batch must not show in the next.
        let (mut reducer, mut portable) = (reducer(), reducer().without_simd());
        for keys in batches {
            let expected = model(&keys);
            prop_assert_eq!(reducer.keep_last(&keys).unwrap(), &expected[..]);
            prop_assert_eq!(portable.keep_last(&keys).unwrap(), &expected[..]);
            prop_assert_eq!(reducer.keep_last_hashed(&keys, |key| key).unwrap(), &expected[..]);
        }
    }

    #[test]
    fn each_integer_is_a_key(keys in vec(-300_i64..300, 0..200)) {
        fn check<K: Integer + PartialEq>(keys: &[i64], to: impl Fn(i64) -> K) {
            let keys: Vec<K> = keys.iter().map(|key| to(*key)).collect();
            assert_eq!(reducer().keep_last_by(&keys, |key| *key).unwrap(), model(&keys));
        }
        check(&keys, |key| key);
        check(&keys, |key| key as u64);
        check(&keys, |key| key as i32);
        check(&keys, |key| key as u32);
        check(&keys, |key| key as i16);
        check(&keys, |key| key as u16);
        check(&keys, |key| key as i8);
        check(&keys, |key| key as u8);
        check(&keys, |key| key as isize);
        check(&keys, |key| key as usize);
        check(&keys, |key| ((key / 7) as u32, (key % 7) as u32));
        check(&keys, |key| ((key / 7) as i32, (key % 7) as i32));
    }

    #[test]
    fn bytes_and_text_are_keys(keys in vec("[ab]{0,4}", 0..100)) {
        let rows: Vec<(String, usize)> = keys.iter().cloned().zip(0..).collect();
        let expected = model(&keys);
        let mut reducer = reducer();
        prop_assert_eq!(reducer.keep_last_hashed(&rows, |row| row.0.as_bytes()).unwrap(), &expected[..]);
        let mut left = rows.clone();
        prop_assert_eq!(reducer.reduce_hashed(&mut left, |row| row.0.as_str()).unwrap(), keys.len() - expected.len());
        prop_assert_eq!(left, expected.iter().map(|place| rows[*place as usize].clone()).collect::<Vec<_>>());
    }
}

#[test]
fn order_is_that_of_the_last_push() {
    let mut batch = vec![('a', 1), ('b', 1), ('a', 2), ('c', 1)];
    assert_eq!(reducer().reduce(&mut batch, |item| item.0 as u32).unwrap(), 1);
    assert_eq!(batch, [('b', 1), ('a', 2), ('c', 1)]);
}

/// Around the widths of a vector and of the blocks, a pair of equal keys at each two places.
#[test]
fn a_key_that_comes_twice_is_found_wherever_it_stands() {
    let mut reducers = [reducer(), reducer().without_simd()];
    for count in (1..=13).chain([63, 64, 65, 66, 67, 68, 69, 127, 128, 129, 130]) {
        for (one, other) in (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other))) {
            if count > 13 && one > 1 && other + 2 < count && other != one + 1 {
                continue;
            }
            for step in [1_u64, 1 << 50] {
                let mut sorted: Vec<u64> = (0..count as u64).map(|key| key * step).collect();
                sorted[one] = sorted[other];
                let turned: Vec<u64> = sorted.iter().rev().copied().collect();
                for keys in [sorted, turned] {
                    for reducer in &mut reducers {
                        assert_eq!(reducer.keep_last(&keys).unwrap(), model(&keys), "{keys:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn all_equal_none_equal_one_and_none() {
    for mut reducer in [reducer(), reducer().without_simd()] {
        for count in [1_u32, 2, 5, 64, 1000, 5000] {
            let equal = vec![u64::MAX; count as usize];
            assert_eq!(reducer.keep_last(&equal).unwrap(), [count - 1]);
            let falling: Vec<u64> = (0..u64::from(count)).rev().collect();
            assert_eq!(reducer.keep_last(&falling).unwrap(), (0..count).collect::<Vec<_>>());
        }
        assert!(reducer.keep_last(&[]).unwrap().is_empty());
        assert!(reducer.keep_last_hashed::<u64, u64>(&[], |key| key).unwrap().is_empty());
    }
}

/// Enough batches that the mark of the dense way comes round.
#[test]
fn a_thousand_batches_know_nothing_of_each_other() {
    let mut reducer = reducer();
    for batch in 0..1000_u64 {
        let keys: Vec<u64> = (0..100).map(|key| (key * 37 + batch) % 90).collect();
        assert_eq!(reducer.keep_last(&keys).unwrap(), model(&keys));
    }
    // Keys that are met again when the mark is the same again, and not before.
    for batch in 0..600 {
        let count = if batch % 255 == 0 { 200 } else { 100 };
        let keys: Vec<u64> = (0..count).rev().collect();
        assert_eq!(reducer.keep_last(&keys).unwrap().len(), keys.len());
    }
}

#[test]
fn a_large_batch_of_each_kind_agrees_with_a_map() {
    let mut reducer = reducer();
    let mix = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    for apart in [1, 1 << 33] {
        for kinds in [10, 20_000, 49_000, 1 << 30] {
            let keys: Vec<u64> = (0..50_000).map(|number| mix(number) % kinds * apart).collect();
            let last: HashMap<u64, u32> = keys.iter().copied().zip(0..).collect();
            let mut expected: Vec<u32> = last.into_values().collect();
            expected.sort_unstable();
            assert_eq!(reducer.keep_last(&keys).unwrap(), expected);
        }
    }
}

#[test]
fn tables_with_another_unique_key_or_none_are_refused_by_name() {
    let refused = Reducer::new(&["users_pkey", "users_email_key"]).unwrap_err();
    assert_eq!(
        refused,
        ReduceError::SecondUniqueKey { first: "users_pkey".into(), second: "users_email_key".into() }
    );
    let said = refused.to_string();
    assert!(said.contains("users_pkey") && said.contains("users_email_key"), "{said}");
    assert_eq!(Reducer::new(&[]).unwrap_err(), ReduceError::NoUniqueKey);
}

/// What the refusal is for: a table with two unique keys, written as PostgreSQL does, row by row and reduced.
#[test]
fn with_a_second_unique_key_reducing_would_fail_a_batch_without_a_fault() {
    fn upsert(table: &mut Vec<(u32, char)>, rows: &[(u32, char)]) -> Result<(), (u32, char)> {
        for row in rows {
            if table.iter().any(|held| held.0 != row.0 && held.1 == row.1) {
                return Err(*row);
            }
            table.retain(|held| held.0 != row.0);
            table.push(*row);
        }
        Ok(())
    }
    let batch = [(1, 'b'), (2, 'a'), (1, 'c')];
    assert_eq!(upsert(&mut vec![(1, 'a')], &batch), Ok(()));
    let mut reduced = batch.to_vec();
    reducer().reduce(&mut reduced, |row| row.0).unwrap();
    assert_eq!(upsert(&mut vec![(1, 'a')], &reduced), Err((2, 'a')));
}

#[test]
fn a_batch_that_no_place_can_count_is_refused_before_it_is_looked_at() {
    let mut items = vec![(); u32::MAX as usize + 1];
    let refused = ReduceError::TooMany { items: items.len() };
    let mut reducer = reducer();
    assert_eq!(reducer.keep_last_by(&items, |()| -> u32 { panic!("looked at") }).unwrap_err(), refused);
    assert_eq!(reducer.keep_last_hashed(&items, |()| -> &u32 { panic!("looked at") }).unwrap_err(), refused);
    assert_eq!(reducer.reduce(&mut items, |()| -> u32 { panic!("looked at") }).unwrap_err(), refused);
    assert_eq!(items.len(), u32::MAX as usize + 1);
}

#[test]
fn what_is_left_out_is_dropped_once_and_what_stays_is_not() {
    struct Item(u32, Rc<Cell<u32>>);
    impl Drop for Item {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let mut items: Vec<Item> = (0..100).map(|number| Item(number % 30, Rc::clone(&dropped))).collect();
    assert_eq!(reducer().reduce(&mut items, |item| item.0).unwrap(), 70);
    assert_eq!((items.len(), dropped.get()), (30, 70));
    drop(items);
    assert_eq!(dropped.get(), 100);
}

#[test]
fn a_key_that_panics_leaves_the_batch_and_a_reducer_that_works() {
    let mut reducer = reducer();
    let mut items = vec![3_u32, 1, 3, 2];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        reducer.reduce(&mut items, |item| if *item == 2 { panic!("planted") } else { *item })
    }));
    assert!(panicked.is_err());
    assert_eq!(items, [3, 1, 3, 2]);
    assert_eq!(reducer.reduce(&mut items, |item| *item).unwrap(), 1);
    assert_eq!(items, [1, 3, 2]);
}

/// All keys of one hash: slow, as any hash map, and right.
#[test]
fn keys_with_one_hash_for_all_come_out_right() {
    #[derive(Default)]
    struct One;
    impl std::hash::Hasher for One {
        fn finish(&self) -> u64 {
            1
        }
        fn write(&mut self, _: &[u8]) {}
    }
    let hasher = std::hash::BuildHasherDefault::<One>::default();
    let mut reducer = Reducer::with_hasher(&["key"], hasher).unwrap();
    let keys: Vec<u64> = (0..600).map(|key| key * key % 211).collect();
    assert_eq!(reducer.keep_last_hashed(&keys, |key| key).unwrap(), model(&keys));
}
