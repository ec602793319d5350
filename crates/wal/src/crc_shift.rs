//! What a CRC-32C becomes when bytes come behind that are not at hand: arithmetic on checksums alone.

use std::sync::OnceLock;

/// The polynomial of CRC-32C, its bits in the order in which they are shifted.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// One table for each bit of a length; a segment is shorter than 2^40 bytes.
const BITS: usize = 40;

/// A linear map of 32 bits: what becomes of each of them.
type Map = [u32; 32];

/// What `crc32c_append(a, m) ^ crc32c_append(b, m)` is for any `m` of `bytes` bytes, where `difference` is `a ^ b`.
pub(crate) fn shift(mut difference: u32, bytes: u64) -> u32 {
    static MAPS: OnceLock<Vec<Map>> = OnceLock::new();
    let maps = MAPS.get_or_init(maps);
    debug_assert!(bytes >> BITS == 0, "longer than any segment");
    for (bit, map) in maps.iter().enumerate() {
        if bytes >> bit & 1 == 1 {
            difference = apply(map, difference);
        }
    }
    difference
}

/// The maps of 1, 2, 4, ... bytes.
fn maps() -> Vec<Map> {
    let mut bit = [0; 32];
    bit[0] = POLYNOMIAL;
    for (index, image) in bit.iter_mut().enumerate().skip(1) {
        *image = 1 << (index - 1);
    }
    let byte = twice(&twice(&twice(&bit)));
    std::iter::successors(Some(byte), |map| Some(twice(map))).take(BITS).collect()
}

fn twice(map: &Map) -> Map {
    map.map(|image| apply(map, image))
}

fn apply(map: &Map, bits: u32) -> u32 {
    map.iter()
        .enumerate()
        .fold(0, |sum, (index, image)| if bits >> index & 1 == 1 { sum ^ image } else { sum })
}

#[cfg(test)]
mod tests {
    use super::shift;
    use crc32c::crc32c_append;

    #[test]
    fn shifting_is_what_appending_does_to_a_difference() {
        let bytes: Vec<u8> = (0..70_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in [0, 1, 7, 8, 4096, 65_535, 70_000] {
            for (a, b) in [(0, 1), (0xdead_beef, 7), (u32::MAX, 0)] {
                let appended = crc32c_append(a, &bytes[..len]) ^ crc32c_append(b, &bytes[..len]);
                assert_eq!(shift(a ^ b, len as u64), appended, "{len} bytes");
            }
        }
    }
}
