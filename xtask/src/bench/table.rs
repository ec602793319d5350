//! Tables: one, shown on a terminal or as markdown.
//!
//! ```ignore
//! let mut table = Table::new(["workload", "figure", "change"]).right(2);
//! table.row(["log.group.256b.w8".into(), "throughput".into(), Cell::from("+3.1%").tone(Tone::Good)]);
//! println!("{}", table.shown());       // coloured where the terminal has it
//! std::fs::write(path, table.markdown())?;
//! ```

use std::io::IsTerminal;

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table as Drawn,
    TableStyle,
    presets::{ASCII_MARKDOWN, NOTHING},
};

/// Columns where the output is no terminal, which says how wide it is.
const WIDTH: u16 = 100;

/// A table whose first column is never broken.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    right: Vec<usize>,
    rows: Vec<Vec<Cell>>,
}

/// A text and how it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// How a text is meant; it decides the colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// A detail.
    Faint,
    Good,
    Warning,
    Bad,
}

impl Table {
    /// An empty one with these columns.
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Table { head: head.into_iter().map(Into::into).collect(), right: Vec::new(), rows: Vec::new() }
    }

    /// The column with this index holds numbers: it is aligned to the right.
    pub(crate) fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// One column more, the last.
    pub(crate) fn and_column(mut self, name: &str) -> Self {
        self.head.push(name.to_owned());
        self
    }

    /// Adds a row; columns that it lacks stay empty.
    pub(crate) fn row<T: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut cells: Vec<Cell> = cells.into_iter().map(Into::into).collect();
        cells.resize_with(self.head.len(), || Cell::from(""));
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For standard output: as wide as the terminal (100 columns elsewhere), in colour where it has it.
    pub(crate) fn shown(&self) -> String {
        let width = Drawn::new().width().filter(|_| std::io::stdout().is_terminal());
        self.drawn_for(width.unwrap_or(WIDTH), has_colour())
    }

    /// For standard output, where a line should stay one: no narrower than its longest row where that is no terminal.
    pub(crate) fn listed(&self) -> String {
        if std::io::stdout().is_terminal() { self.shown() } else { self.drawn_for(u16::MAX, false) }
    }

    /// For a file, a job's summary, a comment on a change.
    pub(crate) fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let rows = self.rows.iter();
        let rows =
            rows.map(|row| row.iter().map(|cell| comfy_table::Cell::new(escaped(&cell.text))).collect());
        let head = self.head.iter().map(|text| comfy_table::Cell::new(escaped(text))).collect();
        let text = self.drawn(ASCII_MARKDOWN, head, rows.collect()).to_string();
        // Columns of numbers are aligned by the colon in the second line.
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if let Some(rule) = lines.get_mut(1) {
            *rule = (0..self.head.len())
                .map(|column| if self.right.contains(&column) { "|---:" } else { "|---" })
                .chain(["|"])
                .collect();
        }
        lines.join("\n")
    }

    fn drawn_for(&self, width: u16, colour: bool) -> String {
        let cell = |cell: &Cell| {
            let drawn = comfy_table::Cell::new(&cell.text);
            match cell.tone {
                _ if !colour => drawn,
                Tone::Plain => drawn,
                Tone::Strong => drawn.add_attribute(Attribute::Bold),
                Tone::Faint => drawn.add_attribute(Attribute::Dim),
                Tone::Good => drawn.fg(Color::Green),
                Tone::Warning => drawn.fg(Color::Yellow),
                Tone::Bad => drawn.fg(Color::Red).add_attribute(Attribute::Bold),
            }
        };
        let head = self.head.iter().map(|text| cell(&Cell::from(text.as_str()).tone(Tone::Faint)));
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let mut drawn =
            self.drawn(NOTHING.header_separator(LineStyle::none().fill('─')), head.collect(), rows);
        drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        if colour {
            drawn.enforce_styling();
        }
        drawn.trim_fmt()
    }

    fn drawn(
        &self,
        style: TableStyle,
        head: Vec<comfy_table::Cell>,
        rows: Vec<Vec<comfy_table::Cell>>,
    ) -> Drawn {
        let mut drawn = Drawn::new();
        drawn.load_style(style).force_no_tty().set_header(head).add_rows(rows);
        for &column in &self.right {
            if let Some(column) = drawn.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if let Some(first) = drawn.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        drawn
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell { text: text.to_owned(), tone: Tone::Plain }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell { text, tone: Tone::Plain }
    }
}

impl Cell {
    pub(crate) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// Whether standard output takes colour: a terminal that is not dumb, and a user who did not refuse it (`NO_COLOR`).
pub(crate) fn has_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|term| term != "dumb")
}

/// A line of standard output in the colour of its tone, where there is colour.
pub(crate) fn painted(text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => "1",
        Tone::Faint => "2",
        Tone::Good => "32",
        Tone::Warning => "33",
        Tone::Bad => "1;31",
    };
    if has_colour() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["workload", "change", "note"]).right(1);
        let long = "a note that is much too long for the width that is given and is broken into lines";
        table.row([Cell::from("log.group.256b.w8"), Cell::from("+3%").tone(Tone::Good), long.into()]);
        table.row(["a|b"]);
        table
    }

    #[test]
    fn a_narrow_terminal_breaks_notes_and_no_names() {
        let text = table().drawn_for(60, false);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("log.group.256b.w8"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }

    #[test]
    fn colour_only_where_it_is_asked_for() {
        assert!(table().drawn_for(60, true).contains("\x1b["));
    }

    #[test]
    fn markdown_is_a_table_whatever_is_in_it() {
        let text = table().markdown();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[1], "|---|---:|---|");
        assert!(lines[3].starts_with("| a\\|b"), "{text}");
    }
}
