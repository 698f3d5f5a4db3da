//! Pictures that are sent: made anew from their pixels, so that where and when and by whom they were taken stays here.

use crate::failure::Failure;
use client::content::Preview;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::fmt::Display;
use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

/// Pixels in either direction.
const SIDE_MAX: u32 = 16_384;
/// Memory that decoding may take.
const MEMORY_MAX_BYTES: u64 = 1 << 30;
const QUALITY: u8 = 88;
const THUMBNAIL_SIDE: u32 = 192;
const THUMBNAIL_QUALITY: u8 = 60;

/// A picture that was made anew.
pub(super) struct Picture {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: &'static str,
    pub(super) preview: Preview,
    ending: &'static str,
}

impl Picture {
    /// The picture's name: what it was called, with the ending of what it is now.
    pub(super) fn name(&self, before: &str) -> String {
        let stem = Path::new(before).file_stem().unwrap_or_default().to_string_lossy();
        format!("{stem}.{}", self.ending)
    }
}

/// The picture in a file: a photograph (JPEG), a drawing (PNG) or either (WebP); `None` when it is none of these. One that
/// cannot be made anew is an error: as it is, it may tell more than its sender means to.
pub(super) fn read(path: &Path) -> Result<Option<Picture>, Failure> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let Ok(reader) = reader else { return Ok(None) };
    match reader.format() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => {
            let pixels = decode(reader).ok_or_else(|| unencodable("it is damaged, or too large"))?;
            encode(&pixels, format).map(Some)
        }
        _ => Ok(None),
    }
}

/// The pixels, upright; `None` when they cannot be read within the limits.
fn decode<R: BufRead + Seek>(mut reader: ImageReader<R>) -> Option<DynamicImage> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(MEMORY_MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let orientation = decoder.orientation().ok()?;
    let mut pixels = DynamicImage::from_decoder(decoder).ok()?;
    pixels.apply_orientation(orientation);
    Some(pixels)
}

fn encode(pixels: &DynamicImage, format: ImageFormat) -> Result<Picture, Failure> {
    let is_photograph = format == ImageFormat::Jpeg || !pixels.color().has_alpha() && format == ImageFormat::WebP;
    let (bytes, media_type, ending) = if is_photograph {
        (jpeg(pixels, QUALITY)?, "image/jpeg", "jpg")
    } else {
        let mut bytes = Cursor::new(Vec::new());
        pixels.write_to(&mut bytes, ImageFormat::Png).map_err(unencodable)?;
        (bytes.into_inner(), "image/png", "png")
    };
    let thumbnail = jpeg(&pixels.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE), THUMBNAIL_QUALITY)?;
    let preview = Preview { width: pixels.width(), height: pixels.height(), thumbnail };
    Ok(Picture { bytes, media_type, preview, ending })
}

fn jpeg(pixels: &DynamicImage, quality: u8) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&pixels.to_rgb8()).map_err(unencodable)?;
    Ok(bytes)
}

fn unencodable(error: impl Display) -> Failure {
    Failure::usage(format!("this picture cannot be made anew: {error}")).hint("--as-it-is sends it as any file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};

    fn reader(bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap()
    }

    fn stored(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    /// Red to the left, blue to the right, and an EXIF block that says to turn it, and where it was taken.
    fn photograph() -> Vec<u8> {
        let pixels = RgbImage::from_fn(64, 32, |x, _| if x < 32 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
        exif.extend_from_slice(b"canary: 48.8584 N, 2.2945 E");
        encoder.set_exif_metadata(exif).unwrap();
        encoder.encode_image(&pixels).unwrap();
        bytes
    }

    #[test]
    fn a_photograph_is_upright_and_says_nothing_but_its_pixels() {
        let bytes = photograph();
        let says = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"canary");
        assert!(says(&bytes), "the control");
        let (_folder, path) = stored("holiday.jpeg", &bytes);
        let picture = read(&path).unwrap().unwrap();
        assert!(!says(&picture.bytes) && !says(&picture.preview.thumbnail));
        assert!(!picture.bytes.windows(4).any(|window| window == b"Exif"));
        assert_eq!((picture.preview.width, picture.preview.height), (32, 64), "it was turned");
        let upright = decode(reader(&picture.bytes)).unwrap().to_rgb8();
        assert!(upright.get_pixel(16, 5)[0] > 200 && upright.get_pixel(16, 60)[2] > 200);
        assert_eq!((picture.name("holiday.jpeg").as_str(), picture.media_type), ("holiday.jpg", "image/jpeg"));
        assert!(picture.preview.thumbnail.len() < 4_096 && picture.preview.media_type() == Some("image/jpeg"));
    }

    #[test]
    fn a_drawing_keeps_its_transparency() {
        let pixels = RgbaImage::from_pixel(20, 20, Rgba([1, 2, 3, 0]));
        let mut bytes = Cursor::new(Vec::new());
        pixels.write_to(&mut bytes, ImageFormat::Png).unwrap();
        let (_folder, path) = stored("x.png", &bytes.into_inner());
        let picture = read(&path).unwrap().unwrap();
        assert_eq!(picture.media_type, "image/png");
        assert_eq!(decode(reader(&picture.bytes)).unwrap().to_rgba8().get_pixel(3, 3)[3], 0);
    }

    #[test]
    fn c4_what_is_too_much_of_a_picture_is_refused_and_what_is_none_is_any_file() {
        for bytes in [b"not a picture".as_slice(), b"", b"<svg onload='alert(1)'/>"] {
            let (_folder, path) = stored("x.txt", bytes);
            assert!(read(&path).unwrap().is_none());
        }
        let (_folder, path) = stored("x.jpg", b"\xff\xd8\xff\xe0cut short");
        assert!(read(&path).is_err());
        // A header that claims 60,000 times 60,000 pixels.
        let mut bomb = Vec::new();
        image::codecs::png::PngEncoder::new(&mut bomb)
            .write_image(&[0; 3], 1, 1, image::ExtendedColorType::Rgb8)
            .unwrap();
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let (_folder, path) = stored("bomb.png", &bomb);
        assert!(read(&path).err().unwrap().text(false).contains("--as-it-is"));
    }
}
