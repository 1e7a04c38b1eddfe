//! [`Canvas`]: pixels, rectangles and text, and the PNG that they become.
//!
//! Letters are those of Noto Sans Mono, rasterised beforehand (crate `noto-sans-mono-bitmap`): no font is read from the system.
//! Invariant: whatever lies outside is cut off. Called by [`super::figure`].

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster, get_raster_width};

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

pub(super) const BLACK: Colour = [0; 3];

/// How letters look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    Small,
    Large,
}

impl Letters {
    const fn raster_height(self) -> RasterHeight {
        match self {
            Self::Small => RasterHeight::Size16,
            Self::Large => RasterHeight::Size20,
        }
    }

    /// Pixels from the top of a line to its bottom.
    pub(super) const fn height(self) -> usize {
        self.raster_height().val()
    }

    /// Pixels that a text takes.
    pub(super) fn width(self, text: &str) -> usize {
        text.chars().count() * get_raster_width(FontWeight::Regular, self.raster_height())
    }

    /// The text, or its beginning and dots where it is wider than `most` pixels.
    pub(super) fn fitted(self, text: &str, most: usize) -> String {
        if self.width(text) <= most {
            return text.to_owned();
        }
        let fits = most / get_raster_width(FontWeight::Regular, self.raster_height());
        text.chars().take(fits.saturating_sub(3)).chain("...".chars()).collect()
    }

    fn raster(self, letter: char) -> Option<RasterizedChar> {
        let found = |letter| get_raster(letter, FontWeight::Regular, self.raster_height());
        found(letter).or_else(|| found('?'))
    }
}

/// An image in the making.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A white one.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height * 3] }
    }

    pub(super) fn set(&mut self, x: usize, y: usize, colour: Colour) {
        if x < self.width
            && let Some(pixel) =
                self.pixels.get_mut((y * self.width + x) * 3..).and_then(|rest| rest.get_mut(..3))
        {
            pixel.copy_from_slice(&colour);
        }
    }

    /// Fills columns and rows.
    pub(super) fn fill(&mut self, x: std::ops::Range<usize>, y: std::ops::Range<usize>, colour: Colour) {
        for row in y {
            for column in x.clone() {
                self.set(column, row, colour);
            }
        }
    }

    /// A line of one pixel around columns and rows.
    pub(super) fn frame(&mut self, x: std::ops::Range<usize>, y: std::ops::Range<usize>) {
        let (left, top) = (x.start.saturating_sub(1), y.start.saturating_sub(1));
        self.fill(left..x.end + 1, top..top + 1, BLACK);
        self.fill(left..x.end + 1, y.end..y.end + 1, BLACK);
        self.fill(left..left + 1, top..y.end + 1, BLACK);
        self.fill(x.end..x.end + 1, top..y.end + 1, BLACK);
    }

    /// Writes black letters from their left upper corner on.
    pub(super) fn text(&mut self, text: &str, letters: Letters, left: usize, top: usize) {
        self.letters(text, letters, |x, y| Some((left + x, top + y)));
    }

    /// Writes black letters upwards, from the left lower corner of the line on.
    pub(super) fn text_upwards(&mut self, text: &str, letters: Letters, left: usize, bottom: usize) {
        self.letters(text, letters, |x, y| Some((left + y, bottom.checked_sub(x + 1)?)));
    }

    fn letters(
        &mut self,
        text: &str,
        letters: Letters,
        place: impl Fn(usize, usize) -> Option<(usize, usize)>,
    ) {
        let mut start = 0;
        for raster in text.chars().filter_map(|letter| letters.raster(letter)) {
            for (y, row) in raster.rows().enumerate() {
                for (x, ink) in row.iter().enumerate().filter(|(_, ink)| **ink > 0) {
                    if let Some((x, y)) = place(start + x, y) {
                        self.set(x, y, [255 - ink; 3]);
                    }
                }
            }
            start += raster.width();
        }
    }

    /// The image as a PNG file.
    pub(super) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        // Both sides were chosen here, far below the limit.
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}
