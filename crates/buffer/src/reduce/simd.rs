//! Keys compared four at a time. All `unsafe` of the reduction is in here; what it may gain is in
//! `docs/decisions/0010-key-reduction.md`.

#![allow(unsafe_code, reason = "measured: two to three times as fast on sorted keys as the portable way")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_loadu_si128, _mm_set1_epi32, _mm_setr_epi32, _mm_shuffle_epi8,
    _mm_storeu_si128, _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_movemask_pd, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_testz_si256,
    _mm256_xor_si256,
};

use super::run::{SPARE, rest_of_runs};

const LANES: usize = 4;
const _: () = assert!(SPARE >= LANES);

/// Shows that this processor has AVX2: there is no other way to one than through detection.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detected() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")).then_some(Self(()))
    }

    /// See [`Lanes4::last_of_runs`](super::run::Lanes4::last_of_runs).
    pub(super) fn last_of_runs(self, keys: &[u64], kept: &mut [u32]) -> Option<usize> {
        assert!(
            kept.len() >= keys.len() + SPARE,
            "invariant: room for each place, and to write past the last"
        );
        // SAFETY: that there is a `self` shows that the processor has what the function uses; the room was checked.
        unsafe { last_of_runs(keys, kept) }
    }
}

/// For each mask of lanes to keep: where in the vector the bytes of those come from, first lane first.
const COMPACT: [[u8; 16]; 16] = {
    let mut table = [[0; 16]; 16];
    let mut mask = 0;
    while mask < 16 {
        let (mut to, mut lane) = (0, 0);
        while lane < LANES {
            if mask >> lane & 1 == 1 {
                let mut byte = 0;
                while byte < 4 {
                    table[mask][to] = (lane * 4 + byte) as u8;
                    to += 1;
                    byte += 1;
                }
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// # Safety
/// The processor has AVX2 and POPCNT, and `kept` is at least `SPARE` longer than `keys`.
#[target_feature(enable = "avx2,popcnt")]
unsafe fn last_of_runs(keys: &[u64], kept: &mut [u32]) -> Option<usize> {
    // There is only a signed comparison: with its highest bit turned, an unsigned number has its place among the signed
    // ones.
    let sign = _mm256_set1_epi64x(i64::MIN);
    let mut falls = _mm256_setzero_si256();
    let mut places = _mm_setr_epi32(0, 1, 2, 3);
    let (mut at, mut count) = (0, 0);
    // The four from `at`, and the four from the one after it.
    while at + LANES < keys.len() {
        // SAFETY: at + LANES < len, so that four keys begin at `at` and four at `at + 1`. Loads need no alignment.
        let (keys, next) = unsafe {
            let first = keys.as_ptr().add(at);
            (_mm256_loadu_si256(first.cast::<__m256i>()), _mm256_loadu_si256(first.add(1).cast::<__m256i>()))
        };
        let fall = _mm256_cmpgt_epi64(_mm256_xor_si256(keys, sign), _mm256_xor_si256(next, sign));
        falls = _mm256_or_si256(falls, fall);
        let same = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(keys, next)));
        let keep = (same ^ 0b1111) as usize;
        // SAFETY: `keep` has four bits, `COMPACT` sixteen rows of sixteen bytes. At most one place was written for each
        // key before `at`, so count <= at, and count + LANES <= len + SPARE: the caller's room.
        unsafe {
            let compact = _mm_loadu_si128(COMPACT[keep].as_ptr().cast::<__m128i>());
            let to = kept.as_mut_ptr().add(count).cast::<__m128i>();
            _mm_storeu_si128(to, _mm_shuffle_epi8(places, compact));
        }
        count += keep.count_ones() as usize;
        places = _mm_add_epi32(places, _mm_set1_epi32(LANES as i32));
        at += LANES;
        // Looked at after the first four, which is where most batches that are in no order show it, and then each 64
        // keys.
        if at % 64 == LANES && _mm256_testz_si256(falls, falls) == 0 {
            return None;
        }
    }
    if _mm256_testz_si256(falls, falls) == 0 {
        return None;
    }
    rest_of_runs(keys, kept, at, count)
}
