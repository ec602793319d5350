//! Pieces of a page.

/// Text that is no markup, whatever is in it.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not allowed in a document, whichever way they are written.
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A table whose first column names the row. Columns from `numbers` on are numbers.
pub(super) fn table(caption: &str, head: &[&str], numbers: usize, rows: &[Vec<String>]) -> String {
    let class = |column: usize| if column >= numbers { " class=\"n\"" } else { "" };
    let head: String = head
        .iter()
        .enumerate()
        .map(|(column, text)| format!("<th scope=\"col\"{}>{}</th>", class(column), escaped(text)))
        .collect();
    let row = |cells: &Vec<String>| {
        let cells: String = cells
            .iter()
            .enumerate()
            .map(|(column, text)| match column {
                0 => format!("<th scope=\"row\">{}</th>", escaped(text)),
                _ => format!("<td{}>{}</td>", class(column), escaped(text)),
            })
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let (body, caption): (String, _) = (rows.iter().map(row).collect(), escaped(caption));
    // A wide table is moved sideways by itself, and not the page; a keyboard has to reach it for that.
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        let hostile = "</title><script>alert(\"1\")</script>' onload='x\u{0}";
        let safe = escaped(hostile);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{0}']), "{safe}");
        let table = table(hostile, &["a", hostile], 1, &[vec![hostile.to_owned(), hostile.to_owned()]]);
        assert!(!table.contains("<script"), "{table}");
    }
}
