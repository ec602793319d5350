//! Candidates that compare several keys at a time, where the processor can.

#![allow(unsafe_code, reason = "candidates that lost, kept to be measured again")]

use std::{arch::x86_64::*, ops::Range};

use super::candidates::{Candidate, mix};

pub(super) fn all(seed: [u64; 3]) -> Vec<Candidate> {
    let mut all = Vec::new();
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was just seen to have AVX2.
        all.push(Candidate::new("all-pairs-avx2", |keys: &[u64], kept: &mut [u32]| unsafe {
            all_pairs_avx2(keys, kept)
        }));
    }
    let has_all = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("popcnt");
    if has_all {
        let mut slots = Vec::new();
        all.push(Candidate::new("table-avx512", move |keys: &[u64], kept: &mut [u32]| {
            slots.clear();
            slots.resize((keys.len() * 4).next_power_of_two(), 0);
            // SAFETY: the processor was seen to have what it uses; a batch has fewer keys than there are slots.
            unsafe { table_avx512(keys, kept, &mut slots, seed) }
        }));
        let mut pairs = Vec::new();
        all.push(Candidate::new("runs-avx512-or-sort", move |keys: &[u64], kept: &mut [u32]| {
            // SAFETY: as above; `kept` is eight longer than `keys`.
            match unsafe { runs_avx512(keys, kept) } {
                Some(count) => 0..count,
                None => super::candidates::sorted(&mut pairs, keys, kept),
            }
        }));
    }
    all
}

/// Each key beside all that are kept of those behind it.
#[target_feature(enable = "avx2")]
fn all_pairs_avx2(keys: &[u64], kept: &mut [u32]) -> Range<usize> {
    let mut from = keys.len();
    for (place, key) in keys.iter().enumerate().rev() {
        let one = _mm256_set1_epi64x(*key as i64);
        let (fours, rest) = keys[place + 1..].as_chunks::<4>();
        let mut found = _mm256_setzero_si256();
        for four in fours {
            // SAFETY: four keys of 64 bits are 256 bits.
            let four = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
            found = _mm256_or_si256(found, _mm256_cmpeq_epi64(four, one));
        }
        if _mm256_testz_si256(found, found) == 1 && !rest.contains(key) {
            from -= 1;
            kept[from] = place as u32;
        }
    }
    from..keys.len()
}

/// Eight keys at a time into a table of keys, one by one where any of them meets another.
///
/// # Safety
/// `slots` are zero, a power of two, and more than `keys`; the last of `kept` is not before that of `keys`.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512cd")]
unsafe fn table_avx512(keys: &[u64], kept: &mut [u32], slots: &mut [u64], seed: [u64; 3]) -> Range<usize> {
    let (shift, mask) = (u64::BITS - slots.len().trailing_zeros(), slots.len() - 1);
    let (mut from, mut zero_seen) = (keys.len(), false);
    let [first, second, third] = seed.map(|word| _mm512_set1_epi64(word as i64));
    let count = _mm_cvtsi64_si128(i64::from(shift));
    let zero = _mm512_setzero_si512();
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mut one_by_one = |word: u64, place: usize, slots: &mut [u64], kept: &mut [u32], from: &mut usize| {
        let mut slot = (word >> shift) as usize & mask;
        while slots[slot] != 0 && slots[slot] != word {
            slot = (slot + 1) & mask;
        }
        let is_new = slots[slot] != word || (word == 0 && !zero_seen);
        zero_seen |= word == 0;
        if is_new {
            slots[slot] = word;
            *from -= 1;
            kept[*from] = place as u32;
        }
    };
    let (rest, eights) = keys.as_rchunks::<8>();
    for (number, eight) in eights.iter().enumerate().rev() {
        let begin = rest.len() + number * 8;
        // SAFETY: eight keys of 64 bits are 512 bits.
        let words = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
        let words = _mm512_mullo_epi64(_mm512_xor_si512(words, first), second);
        let words = _mm512_mullo_epi64(_mm512_xor_si512(words, _mm512_srli_epi64::<32>(words)), third);
        let place = _mm512_srl_epi64(words, count);
        // SAFETY: `shift` leaves of each word a number below the number of slots.
        let held = unsafe { _mm512_i64gather_epi64::<8>(place, slots.as_ptr().cast()) };
        let conflicts = _mm512_conflict_epi64(place);
        let meets = !_mm512_cmpeq_epi64_mask(held, zero)
            | _mm512_test_epi64_mask(conflicts, conflicts)
            | _mm512_cmpeq_epi64_mask(words, zero);
        if meets == 0 {
            from -= 8;
            let places = _mm256_add_epi32(_mm256_set1_epi32(begin as i32), lanes);
            // SAFETY: the slots are those that were read, no two of them the same; each key behind was kept once at most,
            // so eight have room before `from`.
            unsafe {
                _mm512_i64scatter_epi64::<8>(slots.as_mut_ptr().cast(), place, words);
                _mm256_storeu_si256(kept.as_mut_ptr().add(from).cast(), places);
            }
        } else {
            for (offset, key) in eight.iter().enumerate().rev() {
                one_by_one(mix(*key, seed), begin + offset, slots, kept, &mut from);
            }
        }
    }
    for (place, key) in rest.iter().enumerate().rev() {
        one_by_one(mix(*key, seed), place, slots, kept, &mut from);
    }
    from..keys.len()
}

/// Eight neighbours at a time, where keys are in order.
///
/// # Safety
/// `kept` is at least eight longer than `keys`.
#[target_feature(enable = "avx512f,avx512vl,popcnt")]
unsafe fn runs_avx512(keys: &[u64], kept: &mut [u32]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    let mut places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    while at + 8 < keys.len() {
        // SAFETY: at + 8 < len, so eight keys begin at `at` and at `at + 1`.
        let (one, next) = unsafe {
            let first = keys.as_ptr().add(at);
            (_mm512_loadu_si512(first.cast()), _mm512_loadu_si512(first.add(1).cast()))
        };
        if _mm512_cmpgt_epu64_mask(one, next) != 0 {
            return None;
        }
        let keep = _mm512_cmpneq_epu64_mask(one, next);
        let compact = _mm256_maskz_compress_epi32(keep, places);
        // SAFETY: count <= at, and eight have room behind the keys.
        unsafe { _mm256_storeu_si256(kept.as_mut_ptr().add(count).cast(), compact) };
        count += keep.count_ones() as usize;
        places = _mm256_add_epi32(places, _mm256_set1_epi32(8));
        at += 8;
    }
    for place in at..keys.len() {
        let next = keys.get(place + 1);
        if next.is_some_and(|next| *next < keys[place]) {
            return None;
        }
        kept[count] = place as u32;
        count += usize::from(next != Some(&keys[place]));
    }
    Some(count)
}
