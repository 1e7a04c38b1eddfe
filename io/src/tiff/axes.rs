//! The axes of a stack of pages: what ImageJ, OME-XML and tifffile write of them into the description of the first page.
//!
//! Invariant: a description is believed only where it accounts for every page; otherwise pages are one axis. Axes are always given in
//! the order time, channels, depth, whatever the order of the pages. Called by [`super::open_file`].

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

/// The axes of `pages` pages, those of one position left out; `images` are those of OME that have pages of this geometry.
pub(super) fn of(
    description: Option<&str>,
    images: &[&Image],
    pages: u64,
    geometry: &Geometry,
) -> Vec<PageAxis> {
    let text = description.unwrap_or("");
    let found = shaped(text, geometry).or_else(|| image_j(text));
    let counted = |axes: &Vec<PageAxis>| {
        let product = axes.iter().try_fold(1_u64, |product, axis| product.checked_mul(axis.length));
        product == Some(pages)
    };
    let mut axes = found
        .filter(counted)
        .or_else(|| ome(images, pages, geometry.samples))
        .unwrap_or_else(|| vec![PageAxis { name: "page".to_owned(), length: pages, stride: 1 }]);
    axes.retain(|axis| axis.length != 1);
    axes
}

/// How many pages a description speaks of, where only the first one has a directory and the others follow it in the file: what
/// ImageJ does beyond 4 GiB, and tifffile if it is told to truncate. 1 where nothing says so.
pub(super) fn claimed_pages(description: Option<&str>, geometry: &Geometry) -> u64 {
    let text = description.unwrap_or("");
    let found = shaped(text, geometry).or_else(|| image_j(text)).unwrap_or_default();
    found.iter().try_fold(1_u64, |product, axis| product.checked_mul(axis.length)).unwrap_or(1)
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

/// OME: the axes of an image; before them that of images, which all have the same, where there are several.
fn ome(images: &[&Image], pages: u64, samples: u64) -> Option<Vec<PageAxis>> {
    let first = images.first()?;
    let of_image = first.pages(samples)?;
    let count = images.len() as u64;
    let alike = images.iter().all(|image| image.axes(samples) == first.axes(samples));
    if !alike || of_image.checked_mul(count) != Some(pages) {
        return None;
    }
    // Pages of other geometries may stand before.
    let start = first.first_page();
    let starts = (0..count).map(|number| start + number * of_image);
    if !images.iter().zip(starts).all(|(image, start)| image.is_in_order(start, samples)) {
        return None;
    }
    let mut axes = vec![PageAxis { name: "image".to_owned(), length: count, stride: of_image }];
    axes.extend(ordered(&first.axes(samples)));
    Some(axes)
}

/// tifffile, and what is written here: `{"shape": [2, 30, 512, 512], "axes": "CZYX"}`; pages in C order.
fn shaped(text: &str, geometry: &Geometry) -> Option<Vec<PageAxis>> {
    let json = sizes::shaped(text)?;
    let shape: Vec<u64> =
        json.get("shape")?.as_array()?.iter().map(serde_json::Value::as_u64).collect::<Option<_>>()?;
    let mut page = vec![geometry.height, geometry.width];
    if geometry.samples > 1 {
        page.insert(if geometry.is_planar { 0 } else { 2 }, geometry.samples);
    }
    let leading = shape.strip_suffix(page.as_slice())?;
    let letters: Vec<char> = json.get("axes").and_then(|axes| axes.as_str()).unwrap_or("").chars().collect();
    let is_named = letters.len() == shape.len();
    let mut stride = 1_u64;
    let mut axes = Vec::new();
    for (n, length) in leading.iter().enumerate().rev() {
        let letter = letters.get(n).filter(|letter| is_named && "TCZ".contains(**letter));
        let name = letter.map_or_else(|| format!("page{n}"), |letter| letter.to_lowercase().to_string());
        axes.push(PageAxis { name, length: *length, stride });
        stride = stride.checked_mul(*length)?;
    }
    if let [only] = axes.as_mut_slice()
        && only.name.starts_with("page")
    {
        "page".clone_into(&mut only.name);
    }
    axes.reverse();
    Some(axes)
}

#[cfg(test)]
mod tests {
    use super::super::ome::images;
    use super::super::page::{Compression, Predictor};
    use super::*;
    use blockwise_kernels::DType;

    fn named(text: &str, pages: u64, samples: u64) -> Vec<(String, u64, u64)> {
        let geometry = Geometry {
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
        };
        of(Some(text), &images(text).iter().collect::<Vec<_>>(), pages, &geometry)
            .into_iter()
            .map(|axis| (axis.name, axis.length, axis.stride))
            .collect()
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
        let two = ome.replace("</Image>", "</Image><Image/>").replacen(
            "<Image/>",
            &ome["<OME>".len()..ome.len() - "</OME>".len()],
            1,
        );
        assert_eq!(named(&two, 36, 1), [axis("image", 2, 18), axis("c", 6, 3), axis("z", 3, 1)]);
        let shaped = r#"{"shape": [2, 3, 4, 5], "axes": "CZYX"}"#;
        assert_eq!(named(shaped, 6, 1), [axis("c", 2, 3), axis("z", 3, 1)]);
        assert_eq!(named(r#"{"shape": [6, 4, 5]}"#, 6, 1), [axis("page", 6, 1)]);
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
