//! The axes of a stack of pages: what ImageJ, OME-XML and tifffile write of them into the description of the first page.
//!
//! Invariant: a description is believed only where it accounts for every page; otherwise pages are one axis. Axes are given in the order
//! time, channels, depth, whatever the order of the pages, but where a description names those of the array as a whole.
//! Called by [`super::open_file`].

use super::ome::Image;
use super::page::Geometry;
use super::sizes;

/// An axis of which each position is another page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageAxis {
    pub(super) name: String,
    pub(super) length: u64,
    /// Pages from one position to the next.
    pub(super) stride: u64,
}

/// The axes of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axes {
    pub(super) of_pages: Vec<PageAxis>,
    /// Names of rows, columns and samples.
    pub(super) within: [String; 3],
}

impl Axes {
    fn of(of_pages: Vec<PageAxis>) -> Self {
        Self { of_pages, within: ["y", "x", "sample"].map(str::to_owned) }
    }

    fn pages(&self) -> Option<u64> {
        self.of_pages.iter().try_fold(1_u64, |product, axis| product.checked_mul(axis.length))
    }
}

/// The axes of `pages` pages; those of OME of the `image` that they are the planes of, in order. What a description says of another
/// number of pages is passed over, with a warning about the stack `label`.
pub(super) fn of(
    description: Option<&str>,
    image: Option<&Image>,
    pages: u64,
    geometry: &Geometry,
    label: &str,
) -> Axes {
    let text = description.unwrap_or("");
    let plain = || Axes::of(vec![PageAxis { name: "page".to_owned(), length: pages, stride: 1 }]);
    if let Some(axes) = shaped(text, geometry).filter(|axes| axes.pages() == Some(pages)) {
        return axes; // its axes of one position too
    }
    let said = image.map(|image| ordered(&image.axes())).or_else(|| image_j(text)).map(Axes::of);
    let said = said.or_else(|| shaped(text, geometry));
    if said.as_ref().is_some_and(|axes| axes.pages() != Some(pages)) {
        let claimed = said.as_ref().and_then(Axes::pages).unwrap_or(u64::MAX);
        tracing::warn!(
            "{label}: its description speaks of {claimed} pages, but it has {pages}; they are read as one axis"
        );
    }
    let mut axes = said.filter(|axes| axes.pages() == Some(pages)).unwrap_or_else(plain);
    axes.of_pages.retain(|axis| axis.length != 1);
    axes
}

/// How many pages a description speaks of, where only the first one has a directory and the others follow it in the file: what
/// ImageJ does beyond 4 GiB, and tifffile if it is told to truncate. 1 where nothing says so.
pub(super) fn claimed_pages(description: Option<&str>, geometry: &Geometry) -> u64 {
    let text = description.unwrap_or("");
    let found = shaped(text, geometry).or_else(|| image_j(text).map(Axes::of));
    found.and_then(|axes| axes.pages()).unwrap_or(1)
}

/// Axes from the fastest to the slowest, in the order that images have here.
fn ordered(fastest_first: &[(&str, u64)]) -> Vec<PageAxis> {
    let mut stride = 1_u64;
    let mut axes = Vec::new();
    for (name, length) in fastest_first {
        axes.push(PageAxis { name: (*name).to_owned(), length: *length, stride });
        stride = stride.saturating_mul(*length);
    }
    let place = |name: &str| ["t", "c", "z"].iter().position(|known| *known == name);
    axes.sort_by_key(|axis| place(&axis.name));
    axes
}

/// ImageJ: lines `channels=2`, `slices=30`, `frames=5`; channels change fastest.
fn image_j(text: &str) -> Option<Vec<PageAxis>> {
    if !text.starts_with("ImageJ=") {
        return None;
    }
    let number = |name: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value.map_or(Some(1), |value| value.trim().parse::<u64>().ok().filter(|number| *number > 0))
    };
    let (c, z, t) = (number("channels")?, number("slices")?, number("frames")?);
    let images = number("images")?;
    // Plain stacks say how many images there are, and nothing else.
    let z = if c == 1 && z == 1 && t == 1 { images } else { z };
    Some(ordered(&[("c", c), ("z", z), ("t", t)]))
}

/// tifffile, and what is written here: `{"shape": [2, 30, 512, 512], "axes": "CZYX"}`; pages in C order.
fn shaped(text: &str, geometry: &Geometry) -> Option<Axes> {
    let json = sizes::shaped(text)?;
    let shape: Vec<u64> =
        json.get("shape")?.as_array()?.iter().map(serde_json::Value::as_u64).collect::<Option<_>>()?;
    // Rows, columns and samples, by their places in a page.
    let (mut page, mut places) = (vec![geometry.height, geometry.width], vec![0, 1]);
    if geometry.samples > 1 {
        let at = if geometry.is_planar { 0 } else { 2 };
        page.insert(at, geometry.samples);
        places.insert(at, 2);
    }
    let leading = shape.strip_suffix(page.as_slice())?;
    let letters: Vec<char> = json.get("axes").and_then(|axes| axes.as_str()).unwrap_or("").chars().collect();
    let is_distinct = |letter: &char| letters.iter().filter(|own| *own == letter).count() == 1;
    // Q is any axis and I a sequence: no names.
    let name_of = |n: usize| {
        let letter = letters.get(n).filter(|_| letters.len() == shape.len())?;
        let is_name = letter.is_ascii_alphabetic() && !"QI".contains(*letter) && is_distinct(letter);
        is_name.then(|| if *letter == 'S' { "sample".to_owned() } else { letter.to_lowercase().to_string() })
    };
    let mut stride = 1_u64;
    let mut axes = Axes::of(Vec::new());
    for (n, length) in leading.iter().enumerate().rev() {
        let name = name_of(n).unwrap_or_else(|| match leading.len() {
            1 => "page".to_owned(),
            _ => format!("page{n}"),
        });
        axes.of_pages.push(PageAxis { name, length: *length, stride });
        stride = stride.checked_mul(*length)?;
    }
    axes.of_pages.reverse();
    for (n, place) in places.iter().enumerate() {
        if let (Some(name), Some(own)) = (name_of(leading.len() + n), axes.within.get_mut(*place)) {
            *own = name;
        }
    }
    Some(axes)
}

#[cfg(test)]
mod tests {
    use super::super::ome::images;
    use super::super::page::{Compression, Predictor};
    use super::*;
    use blockwise_kernels::DType;

    fn geometry(samples: u64) -> Geometry {
        Geometry {
            width: 5,
            height: 4,
            samples,
            is_planar: false,
            dtype: DType::U8,
            packed_bits: None,
            compression: Compression::None,
            predictor: Predictor::None,
            piece: (5, 4),
            is_tiled: false,
        }
    }

    fn named(text: &str, pages: u64, samples: u64) -> Vec<(String, u64, u64)> {
        let found = images(text, samples);
        let image =
            found.first().filter(|image| image.pages(pages).is_some_and(|own| own.len() as u64 == pages));
        of(Some(text), image, pages, &geometry(samples), "x")
            .of_pages
            .into_iter()
            .map(|axis| (axis.name, axis.length, axis.stride))
            .collect()
    }

    fn within(text: &str, pages: u64) -> [String; 3] {
        of(Some(text), None, pages, &geometry(1), "x").within
    }

    fn axis(name: &str, length: u64, stride: u64) -> (String, u64, u64) {
        (name.to_owned(), length, stride)
    }

    #[test]
    fn descriptions_say_what_pages_are() {
        let image_j = "ImageJ=1.53t\nimages=12\nchannels=2\nslices=3\nframes=2\nhyperstack=true\n";
        assert_eq!(named(image_j, 12, 1), [axis("t", 2, 6), axis("c", 2, 1), axis("z", 3, 2)]);
        assert_eq!(named("ImageJ=1.53t\nimages=7\n", 7, 1), [axis("z", 7, 1)]);
        let ome = r#"<OME><Image><Pixels ID="P" DimensionOrder="XYZCT" SizeX="5" SizeY="4" SizeC="6" SizeZ='3' SizeT="1"/></Image></OME>"#;
        assert_eq!(named(ome, 18, 1), [axis("c", 6, 3), axis("z", 3, 1)]);
        assert_eq!(named(ome, 6, 3), [axis("c", 2, 3), axis("z", 3, 1)]);
        let shaped = r#"{"shape": [2, 3, 4, 5], "axes": "CZYX"}"#;
        assert_eq!(named(shaped, 6, 1), [axis("c", 2, 3), axis("z", 3, 1)]);
        assert_eq!(named(r#"{"shape": [6, 4, 5]}"#, 6, 1), [axis("page", 6, 1)]);
        // Axes of one position are an array's own, where its shape is told.
        assert_eq!(
            named(r#"{"shape": [1, 6, 4, 5], "axes": "CZYX"}"#, 6, 1),
            [axis("c", 1, 6), axis("z", 6, 1)]
        );
        let shaped = r#"{"shape": [6, 4, 5], "axes": "YXC"}"#;
        assert_eq!(
            (named(shaped, 6, 1), within(shaped, 6)),
            (vec![axis("y", 6, 1)], ["x", "c", "sample"].map(String::from))
        );
    }

    #[test]
    fn what_does_not_fit_is_passed_over() {
        let wrong = [
            "ImageJ=1\nimages=5\nchannels=2\nslices=3\n",
            "ImageJ=1\nchannels=0\n",
            "<OME><Pixels DimensionOrder=\"XYZZT\" SizeC=\"7\" SizeZ=\"1\" SizeT=\"1\"/>",
            "<OME><Pixels SizeC=\"7\"/><Pixels/>",
            "{\"shape\": [7, 4, 6]}",
            "{\"shape\": 7",
            "é",
            "<OME><Pixels",
        ];
        for text in wrong {
            assert_eq!(named(text, 7, 1), [axis("page", 7, 1)], "{text}");
        }
        assert_eq!(named("", 1, 1), []);
    }
}
