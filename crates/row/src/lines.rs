use standpipe_core::Lines;

/// The line of each entry of a block that is being built, kept as one number for as long as the lines have no gap.
#[derive(Debug, Default)]
pub(crate) struct LineTable {
    first: u64,
    offsets: Vec<u32>,
    irregular: bool,
    told: Option<u64>,
}

impl LineTable {
    /// Tells the line of the entry that comes next.
    pub(crate) fn tell(&mut self, line: u64) {
        self.told = Some(line);
    }

    /// Counts the entry with this ordinal in, with the line that was told for it or the one after its forerunner's.
    #[inline]
    pub(crate) fn enter(&mut self, ordinal: u32) {
        let told = self.told.take();
        if ordinal == 0 {
            self.first = told.unwrap_or(0);
        } else if self.irregular || told.is_some_and(|line| line != self.first + u64::from(ordinal)) {
            self.enter_irregular(ordinal, told);
        }
    }

    #[cold]
    fn enter_irregular(&mut self, ordinal: u32, told: Option<u64>) {
        if self.first == 0 {
            return;
        }
        if !self.irregular {
            self.irregular = true;
            self.offsets.extend(0..ordinal);
        }
        let offset = match told {
            // A block spans fewer lines than u32 can tell; what does not fit is told as the last line that does.
            Some(line) => u32::try_from(line.saturating_sub(self.first)).unwrap_or(u32::MAX),
            None => self.offsets.last().map_or(0, |last| last.saturating_add(1)),
        };
        self.offsets.push(offset);
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.offsets.len() * 4
    }

    /// Hands out the first line and the rest, and starts anew.
    pub(crate) fn finish(&mut self) -> (u64, Lines) {
        let lines =
            if self.irregular { Lines::Each(self.offsets.as_slice().into()) } else { Lines::Consecutive };
        let first = self.first;
        self.offsets.clear();
        self.first = 0;
        self.irregular = false;
        self.told = None;
        (first, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[Option<u64>]) -> (u64, Lines) {
        let mut table = LineTable::default();
        for (ordinal, line) in lines.iter().enumerate() {
            if let Some(line) = line {
                table.tell(*line);
            }
            table.enter(ordinal as u32);
        }
        table.finish()
    }

    #[test]
    fn only_gaps_cost_memory() {
        assert_eq!(table(&[Some(7), Some(8), None, Some(10)]), (7, Lines::Consecutive));
        assert_eq!(table(&[Some(7), Some(9), None]), (7, Lines::Each([0, 2, 3].as_slice().into())));
        assert_eq!(table(&[None, None]), (0, Lines::Consecutive));
    }
}
