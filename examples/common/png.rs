//! Pictures of eight bits per channel as PNG (W3C, "Portable network graphics", 2nd edition, sections 5, 9 and 11).

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// Writes a picture by rows: `pixels` has a byte for every pixel, grey, or three, red, green and blue.
pub fn write(path: &Path, width: usize, height: usize, pixels: &[u8]) -> io::Result<()> {
    let color = if pixels.len() == width * height { 0 } else { 2 };
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind.iter().chain(data));
        file.extend(crc.sum().to_be_bytes());
    };
    let size = [width as u32, height as u32].map(u32::to_be_bytes);
    chunk(b"IHDR", &[&size.concat()[..], &[8, color, 0, 0, 0]].concat());
    let mut packed = ZlibEncoder::new(vec![], Compression::default());
    for row in pixels.chunks_exact(pixels.len() / height) {
        // The row as it is, without a filter.
        packed.write_all(&[0])?;
        packed.write_all(row)?;
    }
    chunk(b"IDAT", &packed.finish()?);
    chunk(b"IEND", &[]);
    fs::write(path, file)
}
