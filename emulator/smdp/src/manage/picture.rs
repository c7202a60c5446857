//! An activation code as a picture: SVG and PNG, without any library for images.

use qrcode::{Color, QrCode};
use rsp::crc::crc32;

/// A code that no picture can hold.
#[derive(Debug, thiserror::Error)]
#[error("the activation code cannot be drawn: {0}")]
pub struct CodeError(String);

/// Light modules around the code (ISO/IEC 18004: four).
const QUIET: usize = 4;
/// Pixels of a module in a PNG.
const SCALE: usize = 8;

/// The modules with their quiet zone, row by row; true is dark.
fn modules(text: &str) -> Result<(usize, Vec<bool>), CodeError> {
    let code = QrCode::new(text).map_err(|error| CodeError(error.to_string()))?;
    let inner = code.width();
    let width = inner + 2 * QUIET;
    let mut dark = vec![false; width * width];
    for (index, color) in code.to_colors().into_iter().enumerate() {
        dark[(index / inner + QUIET) * width + index % inner + QUIET] = color == Color::Dark;
    }
    Ok((width, dark))
}

/// The code as SVG, one path.
pub fn code_as_svg(text: &str) -> Result<String, CodeError> {
    let (width, dark) = modules(text)?;
    let mut path = String::new();
    for (row, line) in dark.chunks(width).enumerate() {
        for (column, _) in line.iter().enumerate().filter(|(_, dark)| **dark) {
            path += &format!("M{column},{row}h1v1h-1z");
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {width}\" width=\"{0}\" height=\"{0}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{width}\" height=\"{width}\" fill=\"#fff\"/>\
         <path d=\"{path}\" fill=\"#000\"/></svg>\n",
        width * SCALE
    ))
}

/// The code as PNG: greyscale of one bit, not compressed (RFC 2083, RFC 1950, RFC 1951 §3.2.4).
pub fn code_as_png(text: &str) -> Result<Vec<u8>, CodeError> {
    let (width, dark) = modules(text)?;
    let pixels = width * SCALE;
    let mut image = Vec::new();
    for line in dark.chunks(width) {
        let mut row = vec![0u8; pixels.div_ceil(8) + 1];
        // The first byte is the filter, none; a bit that is set is light.
        for x in 0..pixels {
            if !line[x / SCALE] {
                row[1 + x / 8] |= 0x80 >> (x % 8);
            }
        }
        for _ in 0..SCALE {
            image.extend_from_slice(&row);
        }
    }
    let side = u32::try_from(pixels).unwrap_or_default().to_be_bytes();
    let header = [&side[..], &side, &[1, 0, 0, 0, 0]].concat();
    let mut png = b"\x89PNG\r\n\x1A\n".to_vec();
    for (kind, content) in [(b"IHDR", header), (b"IDAT", stored(&image)), (b"IEND", Vec::new())] {
        png.extend_from_slice(&u32::try_from(content.len()).unwrap_or_default().to_be_bytes());
        let from = png.len();
        png.extend_from_slice(kind);
        png.extend_from_slice(&content);
        let check = crc32(&png[from..]);
        png.extend_from_slice(&check.to_be_bytes());
    }
    Ok(png)
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(0xFFFF).count();
    for (number, block) in data.chunks(0xFFFF).enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(number + 1 == blocks));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    stream.extend_from_slice(&(b << 16 | a).to_be_bytes());
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_the_specifications() {
        // The check values of CRC-32 (ISO 3309) and Adler-32 for "123456789" and "Wikipedia".
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(stored(b"Wikipedia")[16..], [0x11, 0xE6, 0x03, 0x98]);
    }

    #[test]
    fn pictures_have_the_code_and_its_quiet_zone() {
        let text = "LPA:1$smdp.example.com$OPERATOR-A";
        let (width, dark) = modules(text).unwrap();
        assert!(dark[..width * QUIET].iter().all(|dark| !dark));
        // The finder pattern: seven dark modules.
        assert!(dark[width * QUIET + QUIET..][..7].iter().all(|dark| *dark));
        let svg = code_as_svg(text).unwrap();
        assert_eq!(svg.matches("h1v1h-1z").count(), dark.iter().filter(|dark| **dark).count());
        let png = code_as_png(text).unwrap();
        assert_eq!(&png[12..16], b"IHDR");
        assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()) as usize, width * SCALE);
        assert!(png.ends_with(b"IEND\xAE\x42\x60\x82"));
        assert!(code_as_png(&"A".repeat(5000)).is_err());
    }
}
