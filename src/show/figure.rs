//! [`Figure`]: numbers on a grid as a picture with axes, ticks, title and colour bar.
//!
//! Invariants: every pixel of the picture has the colour of one cell, never of a mixture; what does not fit is cut
//! with dots. Called by [`super`], and by programs that have their numbers in memory.

use super::axis::{Axis, AxisKind, bar_ticks};
use super::canvas::{Canvas, Letters};
use super::colours::{Colours, MISSING};
use crate::error::{Error, Result};

/// Pixels between things.
const GAP: usize = 8;
/// Pixels of a tick.
const TICK: usize = 5;
/// Pixels across a colour bar.
const BAR: usize = 18;
/// The height of the cells' area: at most, and where it is not to scale, in parts of the room for its width.
pub(super) const HIGHEST: f64 = 0.9;
pub(super) const HIGH: f64 = 0.6;
/// Neither side of it is shorter than one of so many parts of the most.
pub(super) const SHORTEST: f64 = 5.0;
/// Least and most pixels along a side of a figure.
pub(super) const SIDES: std::ops::RangeInclusive<usize> = 240..=8192;

/// A picture in the making.
///
/// ```
/// use blockwise::show::{Axis, AxisKind, Figure};
/// let (latitudes, longitudes) = ([-45.0, 0.0, 45.0], [0.0, 90.0, 180.0, 270.0]);
/// let values = (0..12).map(|cell| f64::from(cell) / 11.0).collect();
/// let figure = Figure {
///     title: "made up".to_owned(),
///     units: "K".to_owned(),
///     ..Figure::new(
///         values,
///         Axis::of_coordinates("latitude", AxisKind::Latitude, latitudes.to_vec()),
///         Axis::of_coordinates("longitude", AxisKind::Longitude, longitudes.to_vec()),
///     )
/// };
/// let drawn = figure.draw()?;
/// assert!(drawn.png.starts_with(b"\x89PNG") && drawn.range == (0.0, 1.0));
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Figure {
    /// Row after row; NaN where there is nothing.
    pub values: Vec<f64>,
    /// Makes it a picture in colours of its own, of which `values` are red: as many numbers of green and of blue, from `low` (dark) to
    /// `high`. It has no colour bar.
    pub green_and_blue: Option<[Vec<f64>; 2]>,
    /// The rows: the first is the upper one, or the lower one if the axis has coordinates that rise.
    pub rows: Axis,
    /// The columns: the first is the left one, unless coordinates fall.
    pub columns: Axis,
    /// Above the picture.
    pub title: String,
    /// Beside the colour bar.
    pub units: String,
    /// By default [`Colours::diverging`] if values lie on both sides of zero, on neither more than four times as far as
    /// on the other, with zero in the middle; else [`Colours::sequential`].
    pub colours: Option<Colours>,
    /// The number that has the first colour; by default the smallest.
    pub low: Option<f64>,
    /// The number that has the last colour; by default the largest.
    pub high: Option<f64>,
    /// Pixels from left to right.
    pub width: usize,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// A PNG file.
    pub png: Vec<u8>,
    /// Pixels from left to right and from top to bottom.
    pub size: [usize; 2],
    /// The columns and rows of pixels that cells are drawn in.
    pub area: [std::ops::Range<usize>; 2],
    /// The numbers that have the first and the last colour.
    pub range: (f64, f64),
}

/// Which colours numbers have.
struct Scale {
    colours: Colours,
    low: f64,
    high: f64,
}

impl Scale {
    /// Where a number lies between the first colour's and the last one's.
    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn colour(&self, value: f64) -> [u8; 3] {
        if value.is_nan() { MISSING } else { self.colours.at(self.share(value)) }
    }
}

impl Figure {
    /// A figure 960 pixels wide without words.
    #[must_use]
    pub fn new(values: Vec<f64>, rows: Axis, columns: Axis) -> Self {
        let (title, units) = (String::new(), String::new());
        Self {
            values,
            green_and_blue: None,
            rows,
            columns,
            title,
            units,
            colours: None,
            low: None,
            high: None,
            width: 960,
        }
    }

    /// Draws it.
    ///
    /// # Errors
    /// If there are not as many values as rows times columns, no rows or columns, or the range is empty; if the width is
    /// not from 240 to 8192 pixels.
    pub fn draw(&self) -> Result<Drawn> {
        let (rows, columns) = (self.rows.centers.len(), self.columns.centers.len());
        let mut planes = std::iter::once(&self.values).chain(self.green_and_blue.iter().flatten());
        let wrong = planes.find(|plane| rows.checked_mul(columns) != Some(plane.len()) || plane.is_empty());
        if let Some(wrong) = wrong {
            let what = format!("{} values are no picture of {rows} x {columns} cells", wrong.len());
            return Err(refused(what));
        }
        if !SIDES.contains(&self.width) {
            let [least, most] = [SIDES.start(), SIDES.end()];
            return Err(refused(format!("a width of {} pixels; give {least} to {most}", self.width)));
        }
        let scale = self.scale()?;
        let small = Letters::Small;
        let widest =
            |ticks: &[super::axis::Tick]| ticks.iter().map(|tick| small.width(&tick.text)).max().unwrap_or(0);
        let has_bar = self.green_and_blue.is_none();
        let bar_ticks = if has_bar { bar_ticks(scale.low, scale.high, 8) } else { Vec::new() };
        let line = small.height();
        let left = GAP + line + GAP + widest(&self.rows.ticks(8)) + GAP / 2 + TICK;
        let right = match has_bar {
            true => GAP * 2 + BAR + TICK + GAP / 2 + widest(&bar_ticks) + GAP + line + GAP,
            false => GAP * 2,
        };
        let top = GAP + Letters::Large.height() + GAP;
        let bottom = TICK + GAP / 2 + line + GAP / 2 + line + GAP;
        let room = self.width.saturating_sub(left + right).max(64);
        let [wide, high] = self.area(room);
        let (x, y) = (left..left + wide, top..top + high);
        let (width, height) = (left + wide + right, top + high + bottom);
        let mut canvas = Canvas::new(width, height);

        let across: Vec<usize> = cells(wide, columns, self.columns.falls());
        let rises = self.rows.kind != AxisKind::Index && !self.rows.falls();
        for (row, pixel_y) in cells(high, rows, rises).into_iter().zip(y.clone()) {
            for (column, pixel_x) in across.iter().zip(x.clone()) {
                canvas.set(pixel_x, pixel_y, self.colour(&scale, row * columns + column));
            }
        }
        canvas.frame(x.clone(), y.clone());
        let title = Letters::Large.fitted(&self.title, width.saturating_sub(2 * GAP));
        let title_left = centered(left + wide / 2, Letters::Large.width(&title), width);
        canvas.text(&title, Letters::Large, title_left, GAP);
        self.draw_columns_axis(&mut canvas, &x, y.end, width);
        self.draw_rows_axis(&mut canvas, &y, x.start, rises);

        if has_bar {
            self.draw_bar(&mut canvas, &scale, &bar_ticks, (x.end, &y), [width, height]);
        }
        let png = canvas.png().map_err(|fault| refused(format!("encoding the PNG failed: {fault}")))?;
        Ok(Drawn { png, size: [width, height], area: [x, y], range: (scale.low, scale.high) })
    }

    /// The colour bar beside cells that end at `right` and take the rows `y`, in a picture of this width and height.
    fn draw_bar(
        &self,
        canvas: &mut Canvas,
        scale: &Scale,
        ticks: &[super::axis::Tick],
        (right, y): (usize, &std::ops::Range<usize>),
        [width, height]: [usize; 2],
    ) {
        let small = Letters::Small;
        let line = small.height();
        let bar = right + 2 * GAP..right + 2 * GAP + BAR;
        for pixel in y.clone() {
            let share = (y.end - 1 - pixel) as f64 / (y.len() - 1).max(1) as f64;
            canvas.fill(bar.clone(), pixel..pixel + 1, scale.colours.at(share));
        }
        canvas.frame(bar.clone(), y.clone());
        for tick in ticks {
            let at = y.end - 1 - (tick.place * (y.len() - 1) as f64).round() as usize;
            canvas.fill(bar.end..bar.end + TICK, at..at + 1, super::canvas::BLACK);
            canvas.text(&tick.text, small, bar.end + TICK + GAP / 2, at.saturating_sub(line / 2));
        }
        let units = small.fitted(&self.units, height.saturating_sub(y.start));
        let middle = y.start + y.len() / 2;
        canvas.text_upwards(
            &units,
            small,
            width - GAP - line,
            upwards_from(middle, small.width(&units), height),
        );
    }

    /// The colour of a cell.
    fn colour(&self, scale: &Scale, cell: usize) -> [u8; 3] {
        let of = |plane: &Vec<f64>| plane.get(cell).copied().unwrap_or(f64::NAN);
        let Some([green, blue]) = &self.green_and_blue else { return scale.colour(of(&self.values)) };
        let levels = [of(&self.values), of(green), of(blue)];
        if levels.iter().any(|level| level.is_nan()) {
            return MISSING;
        }
        levels.map(|level| (scale.share(level).clamp(0.0, 1.0) * 255.0).round() as u8)
    }

    fn draw_columns_axis(
        &self,
        canvas: &mut Canvas,
        x: &std::ops::Range<usize>,
        bottom: usize,
        width: usize,
    ) {
        let (small, wide) = (Letters::Small, x.len());
        let ticks = self.columns.ticks((wide / 90).clamp(2, 12));
        let mut free_from = 0;
        for tick in ticks {
            let place = if self.columns.falls() { 1.0 - tick.place } else { tick.place };
            let at = x.start + ((place * wide as f64) as usize).min(wide - 1);
            canvas.fill(at..at + 1, bottom..bottom + TICK, super::canvas::BLACK);
            let text_width = small.width(&tick.text);
            let left = centered(at, text_width, width);
            if left >= free_from {
                canvas.text(&tick.text, small, left, bottom + TICK + GAP / 2);
                free_from = left + text_width + GAP;
            }
        }
        let label = small.fitted(&self.columns.label, width.saturating_sub(2 * GAP));
        let left = centered(x.start + wide / 2, small.width(&label), width);
        canvas.text(&label, small, left, bottom + TICK + GAP + small.height());
    }

    fn draw_rows_axis(&self, canvas: &mut Canvas, y: &std::ops::Range<usize>, right: usize, rises: bool) {
        let (small, high) = (Letters::Small, y.len());
        let line = small.height();
        for tick in self.rows.ticks((high / 50).clamp(2, 8)) {
            let place = if rises { 1.0 - tick.place } else { tick.place };
            let at = y.start + ((place * high as f64) as usize).min(high - 1);
            canvas.fill(right.saturating_sub(1 + TICK)..right, at..at + 1, super::canvas::BLACK);
            let left = right.saturating_sub(1 + TICK + GAP / 2 + small.width(&tick.text));
            canvas.text(&tick.text, small, left, at.saturating_sub(line / 2));
        }
        let label = small.fitted(&self.rows.label, high + line);
        let bottom = upwards_from(y.start + high / 2, small.width(&label), y.end + 3 * line);
        canvas.text_upwards(&label, small, GAP, bottom);
    }

    /// The colours, and the numbers at their ends.
    fn scale(&self) -> Result<Scale> {
        let planes = || std::iter::once(&self.values).chain(self.green_and_blue.iter().flatten());
        let finite = || planes().flatten().copied().filter(|value| value.is_finite());
        let (least, most) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let (least, most) = if least <= most { (least, most) } else { (0.0, 1.0) };
        let is_two_sided = least < 0.0 && most > 0.0 && -least < 4.0 * most && most < -4.0 * least;
        let middle = self.colours.is_none() && is_two_sided && self.low.is_none() && self.high.is_none();
        let widest = most.max(-least);
        let (least, most) = if middle { (-widest, widest) } else { (least, most) };
        let (low, mut high) = (self.low.unwrap_or(least), self.high.unwrap_or(most));
        if self.high.is_none() && high <= low {
            // A constant has the first colour.
            high = low + low.abs().max(1.0) * 0.1;
        }
        if !(low < high && (high - low).is_finite()) {
            return Err(refused(format!(
                "colours from {low} to {high}: give numbers of which the first is smaller"
            )));
        }
        let fitting = if is_two_sided { Colours::diverging() } else { Colours::sequential() };
        Ok(Scale { colours: self.colours.unwrap_or(fitting), low, high })
    }

    /// Pixels across and down for the cells: degrees and positions are as long in both directions.
    fn area(&self, room: usize) -> [usize; 2] {
        let most = (room as f64, room as f64 * HIGHEST);
        let is_to_scale = is_to_scale(self.rows.kind, self.columns.kind);
        let (wide, high) = (self.columns.span(), self.rows.span());
        let (wide, high) = if is_to_scale { (wide, high) } else { (1.0, HIGH) };
        let scale = (most.0 / wide).min(most.1 / high);
        let pixels = |length: f64, most: f64| (length * scale).round().clamp(most / SHORTEST, most) as usize;
        [pixels(wide, most.0), pixels(high, most.1)]
    }
}

/// Whether rows and columns are measured alike: degrees, or positions.
pub(super) const fn is_to_scale(rows: AxisKind, columns: AxisKind) -> bool {
    matches!((rows, columns), (AxisKind::Index, AxisKind::Index) | (AxisKind::Latitude, AxisKind::Longitude))
}

/// For each of so many pixels the cell that is drawn there.
fn cells(pixels: usize, cells: usize, is_reversed: bool) -> Vec<usize> {
    let cell = |pixel: usize| ((2 * pixel + 1) * cells / (2 * pixels)).min(cells - 1);
    let forwards = (0..pixels).map(cell);
    if is_reversed { forwards.map(|cell| cells - 1 - cell).collect() } else { forwards.collect() }
}

/// Where a text of `length` pixels starts whose middle is at `middle`, within `room`.
fn centered(middle: usize, length: usize, room: usize) -> usize {
    middle.saturating_sub(length / 2).min(room.saturating_sub(length))
}

/// The lower end of such a text that is written upwards.
fn upwards_from(middle: usize, length: usize, room: usize) -> usize {
    centered(middle, length, room) + length
}

fn refused(what: String) -> Error {
    Error::Refused { path: "the picture".to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colours of pixels of a PNG file, by column and row.
    fn pixels(drawn: &Drawn) -> impl Fn(usize, usize) -> [u8; 3] {
        let mut reader = png::Decoder::new(std::io::Cursor::new(drawn.png.clone())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let size = [info.width as usize, info.height as usize];
        assert_eq!(
            (size, info.color_type, bytes.len()),
            (drawn.size, png::ColorType::Rgb, size[0] * size[1] * 3)
        );
        move |x, y| bytes[(y * size[0] + x) * 3..][..3].try_into().unwrap()
    }

    /// The pixel in the middle of a cell, counted from the left upper corner.
    fn middle(drawn: &Drawn, cells: [usize; 2], at: [usize; 2]) -> (usize, usize) {
        let [x, y] = &drawn.area;
        let inside = |range: &std::ops::Range<usize>, cells: usize, at: usize| {
            range.start + range.len() * (2 * at + 1) / (2 * cells)
        };
        (inside(x, cells[1], at[1]), inside(y, cells[0], at[0]))
    }

    #[test]
    fn cells_have_their_colours_and_lie_where_they_belong() {
        let mut values: Vec<f64> = (0..12).map(f64::from).collect();
        values[5] = f64::NAN;
        let figure = Figure {
            title: "t".repeat(500),
            ..Figure::new(values.clone(), Axis::of_index("y", 3, 1), Axis::of_index("x", 4, 1))
        };
        let drawn = figure.draw().unwrap();
        let [wide, high] = [drawn.area[0].len(), drawn.area[1].len()];
        assert!(drawn.range == (0.0, 11.0) && (3 * wide).abs_diff(4 * high) <= 4, "{wide} x {high}");
        let pixel = pixels(&drawn);
        for (at, value) in values.iter().enumerate() {
            let (x, y) = middle(&drawn, [3, 4], [at / 4, at % 4]);
            let wanted = if value.is_nan() { MISSING } else { Colours::sequential().at(value / 11.0) };
            assert_eq!(pixel(x, y), wanted, "{at}");
        }
        // Frame, colour bar from its lower end to its upper one, ticks, words.
        let [x, y] = drawn.area.clone();
        assert_eq!((pixel(x.start - 1, y.start), pixel(x.end, y.end)), ([0; 3], [0; 3]));
        let bar = x.end + 2 * GAP + BAR / 2;
        assert_eq!(pixel(bar, y.end - 1), Colours::sequential().at(0.0));
        assert_eq!(pixel(bar, y.start), Colours::sequential().at(1.0));
        assert_eq!(pixel(middle(&drawn, [3, 4], [0, 2]).0, y.end + 2), [0; 3]);
        let has_ink = |x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
            y.into_iter().any(|row| x.clone().any(|column| pixel(column, row) == [0; 3]))
        };
        assert!(has_ink(0..drawn.size[0], 0..y.start - 2) && has_ink(0..x.start - TICK - 2, y.clone()));
        assert!(has_ink(x.clone(), y.end + TICK + 2..drawn.size[1]));
    }

    #[test]
    fn rising_coordinates_go_up_and_right() {
        let rising = |kind| Axis::of_coordinates("", kind, vec![-30.0, 0.0, 30.0]);
        let falling = |kind| Axis::of_coordinates("", kind, vec![30.0, 0.0, -30.0]);
        let values: Vec<f64> = (0..9).map(f64::from).collect();
        for (rows, columns, first) in [
            (rising(AxisKind::Latitude), rising(AxisKind::Longitude), 6.0),
            (falling(AxisKind::Latitude), rising(AxisKind::Longitude), 0.0),
            (falling(AxisKind::Linear), falling(AxisKind::Linear), 2.0),
            (Axis::of_index("", 3, 1), Axis::of_index("", 3, 1), 0.0),
        ] {
            let drawn = Figure::new(values.clone(), rows, columns).draw().unwrap();
            let (x, y) = middle(&drawn, [3, 3], [0, 0]);
            assert_eq!(pixels(&drawn)(x, y), Colours::sequential().at(first / 8.0));
        }
    }

    #[test]
    fn pictures_in_colours_of_their_own_have_no_bar() {
        let plane = |first: f64| vec![first, 0.5, f64::NAN, 1.0, 0.25, 2.0];
        let grey = Figure::new(plane(0.0), Axis::of_index("y", 2, 1), Axis::of_index("x", 3, 1));
        let figure = Figure {
            green_and_blue: Some([plane(1.0), plane(0.2)]),
            low: Some(0.0),
            high: Some(1.0),
            ..grey.clone()
        };
        let drawn = figure.draw().unwrap();
        let pixel = pixels(&drawn);
        let colour = |at: [usize; 2]| {
            let (x, y) = middle(&drawn, [2, 3], at);
            pixel(x, y)
        };
        assert_eq!((colour([0, 0]), colour([0, 1]), colour([0, 2])), ([0, 255, 51], [128; 3], MISSING));
        assert_eq!((colour([1, 0]), colour([1, 1]), colour([1, 2])), ([255; 3], [64; 3], [255; 3]));
        assert!(drawn.area[0].len() > grey.draw().unwrap().area[0].len());
        assert!(Figure { green_and_blue: Some([vec![], vec![]]), ..grey }.draw().is_err());
    }

    #[test]
    fn colours_fit_the_numbers() {
        let figure = |values: &[f64]| {
            let columns = Axis::of_index("", values.len(), 1);
            Figure::new(values.to_vec(), Axis::of_index("", 1, 1), columns)
        };
        let scale = figure(&[-3.0, 1.0, 2.0]).scale().unwrap();
        assert_eq!((scale.low, scale.high, scale.colour(3.0)), (-3.0, 3.0, Colours::diverging().at(1.0)));
        let scale = figure(&[-1.0, 30.0]).scale().unwrap();
        assert_eq!((scale.low, scale.high, scale.colour(30.0)), (-1.0, 30.0, Colours::sequential().at(1.0)));
        assert!(figure(&[5.0, 5.0]).draw().is_ok() && figure(&[f64::NAN]).draw().is_ok());
        assert!(figure(&[f64::INFINITY, 0.0, 1.0]).draw().unwrap().range == (0.0, 1.0));
        assert!(Figure { low: Some(2.0), high: Some(2.0), ..figure(&[1.0]) }.draw().is_err());
        assert!(Figure { width: 10, ..figure(&[1.0]) }.draw().is_err());
        assert!(figure(&[]).draw().is_err());
        // A thousand columns in fewer pixels, one row in many: still a picture.
        let long = figure(&(0..5000).map(f64::from).collect::<Vec<_>>()).draw().unwrap();
        assert!(long.size[0] <= 960 && long.area[1].len() > 50);
    }
}
