//! QR codes on a terminal.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// A text as a QR code, lines of half blocks; `None` for one that is too long for any code.
///
/// Drawn for a dark terminal: what is ink on paper is left out, and the paper, quiet zone included, is drawn. (The
/// names of the two colours are those of a terminal with black letters.)
pub(crate) fn drawn(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    Some(code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_is_drawn_and_the_ink_left_out() {
        let code = drawn("LPA:1$smdp.example.com$TOKEN").unwrap();
        let lines: Vec<&str> = code.lines().collect();
        // The quiet zone is four modules wide (ISO/IEC 18004 §5.3.8): two lines of half blocks.
        assert!(lines[..2].iter().all(|line| line.chars().all(|letter| letter == '█')), "{code}");
        // Then the upper edge of a finder pattern: seven modules of ink.
        assert!(lines[2].starts_with("████ ▄▄▄▄▄ █"), "{code}");
        assert_eq!(drawn(&"x".repeat(5000)), None);
    }
}
