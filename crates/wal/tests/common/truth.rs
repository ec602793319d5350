use std::collections::BTreeMap;

use standpipe_wal::LogId;

pub type Pins = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the disk may and must hold now.
#[derive(Clone, Default)]
pub struct Truth {
    pub id: Option<LogId>,
    /// Acknowledged, or shown after an opening.
    pub kept: BTreeMap<u64, Vec<u8>>,
    /// Appended and not acknowledged, in order; each batch all or none.
    pub coming: Vec<(u64, Vec<Vec<u8>>)>,
    /// Below this, records may be gone.
    pub floor: u64,
    pub pins: Pins,
    /// Pins on their way, in order.
    pub coming_pins: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Truth {
    /// Whether a log may look like this after the power went.
    pub fn check(&self, left: &[(u64, Vec<u8>)], pins: &Pins) -> Result<(), String> {
        if let Some(pair) = left.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(format!("{} comes after {}", pair[1].0, pair[0].0));
        }
        let left: BTreeMap<u64, &Vec<u8>> = left.iter().map(|(lsn, bytes)| (*lsn, bytes)).collect();
        for (lsn, bytes) in self.kept.range(self.floor..) {
            if left.get(lsn) != Some(&bytes) {
                return Err(format!("the acknowledged record {lsn} is lost or altered"));
            }
        }
        let mut expected: BTreeMap<u64, &Vec<u8>> =
            self.kept.iter().map(|(lsn, bytes)| (*lsn, bytes)).collect();
        let mut ended = false;
        for (first, payloads) in &self.coming {
            let there = (*first..).zip(payloads).filter(|(lsn, _)| left.contains_key(lsn)).count();
            if there != 0 && there != payloads.len() {
                return Err(format!(
                    "{there} of {} records of the batch at {first} are there",
                    payloads.len()
                ));
            }
            if there > 0 && ended {
                return Err(format!("the records at {first} are there, although some before them are not"));
            }
            ended |= there == 0;
            expected.extend((*first..).zip(payloads));
        }
        for (lsn, bytes) in &left {
            if expected.get(lsn) != Some(bytes) {
                return Err(format!("record {lsn} was never appended like this"));
            }
        }
        let mut states = vec![self.pins.clone()];
        for (key, value) in &self.coming_pins {
            let mut next = states.last().cloned().unwrap_or_default();
            set(&mut next, key, value);
            states.push(next);
        }
        if states.contains(pins) { Ok(()) } else { Err(format!("the pins are {pins:?}")) }
    }
}

pub fn set(pins: &mut Pins, key: &[u8], value: &[u8]) {
    if value.is_empty() {
        pins.remove(key);
    } else {
        pins.insert(key.to_vec(), value.to_vec());
    }
}
