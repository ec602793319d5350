use std::fmt::Write as _;

/// Bytes that may come from anywhere, so that no terminal is told what to do by them: printable text as it is, all else escaped.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                letter if letter.is_control() || is_invisible(letter) => out.extend(letter.escape_default()),
                letter => out.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Marks that change the direction of what follows, or show as nothing.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Sixteen bytes with their offset in front, and as ASCII behind.
pub(super) fn hex_line(offset: usize, bytes: &[u8]) -> String {
    let mut out = format!("  {offset:08x} ");
    for at in 0..16 {
        if at == 8 {
            out.push(' ');
        }
        match bytes.get(at) {
            Some(byte) => {
                let _ = write!(out, " {byte:02x}");
            }
            None => out.push_str("   "),
        }
    }
    out.push_str("  |");
    out.extend(bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }));
    out.push('|');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(escaped(b"plain \xc3\xa9"), "plain é");
        assert_eq!(escaped(b"a\nb\t\x1b[31m\\\xff\x00"), "a\\nb\\t\\u{1b}[31m\\\\\\xff\\u{0}");
        assert_eq!(escaped("\u{202e}txt".as_bytes()), "\\u{202e}txt");
    }

    #[test]
    fn hex_lines_are_as_wide_whatever_is_in_them() {
        let whole = hex_line(16, b"0123456789abcde\n");
        assert_eq!(whole, "  00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 0a  |0123456789abcde.|");
        let half = hex_line(0, b"ab");
        assert_eq!(whole.find('|'), half.find('|'));
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
