//! OME-XML: what the description of the first page of an OME-TIFF says of its images.
//!
//! Read as a stream of tags, for there may be one for every page. Invariants: a text that is no XML says nothing; an image has as many
//! planes as its counts say, each of them on one page at most. The format is OME's, schema 2016-06. Called by [`super::open_file`], for
//! [`super::axes`] and [`super::sizes`].

use super::page::Geometry;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// An image, which OME also calls a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Image {
    /// Elements along x and y.
    pub(super) page_shape: (u64, u64),
    /// Positions of channels (samples among them), depth and time.
    counts: [u64; 3],
    /// The places in `counts` from the fastest to the slowest.
    order: [usize; 3],
    /// Sizes of an element along `x`, `y`, `z` and `t`, with the unit's symbol.
    pub(super) sizes: Vec<(char, f64, String)>,
    /// Names of the channels; none if none has one.
    pub(super) channel_names: Vec<String>,
    /// Elements of a pixel, channels too; 0 while it is not said.
    samples: u64,
    runs: Vec<Run>,
    /// The file that pages are in, where that is said.
    file: Option<String>,
    has_several_files: bool,
}

/// Planes that stand on pages one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    first_page: u64,
    /// Channel, depth and time of the first plane.
    at: [u64; 3],
    /// All that are left, if it is not said.
    planes: Option<u64>,
}

/// Names of `counts`.
const AXES: [&str; 3] = ["c", "z", "t"];

/// All images of a description, in order; none if it is no OME-XML. A pixel has so many samples unless it is said.
pub(super) fn images(text: &str, samples: u64) -> Vec<Image> {
    if !text.contains("<OME") && !text.contains(":OME") {
        return Vec::new();
    }
    let mut images = read(text).unwrap_or_default();
    for image in &mut images {
        if image.samples == 0 {
            image.samples = if image.counts[0].is_multiple_of(samples) { samples } else { 1 };
        }
        if image.channel_names.iter().all(String::is_empty) {
            image.channel_names.clear();
        }
    }
    images
}

fn read(text: &str) -> Option<Vec<Image>> {
    let mut reader = Reader::from_str(text);
    let mut images: Vec<Image> = Vec::new();
    // Other elements than pixels have channels too.
    let mut is_in_pixels = false;
    loop {
        match reader.read_event().ok()? {
            Event::Eof => break,
            Event::End(tag) if tag.local_name().as_ref() == b"Pixels" => is_in_pixels = false,
            Event::Start(tag) if tag.local_name().as_ref() == b"Pixels" => {
                images.push(Image::of(&tag)?);
                is_in_pixels = true;
            }
            Event::Empty(tag) if tag.local_name().as_ref() == b"Pixels" => images.push(Image::of(&tag)?),
            Event::Start(tag) | Event::Empty(tag) if is_in_pixels => images.last_mut()?.take(&tag)?,
            _ => {}
        }
    }
    Some(images)
}

/// An attribute of a tag; `None` if it has none of the name, or it is damaged.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok()??;
    Some(found.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &str) -> Option<u64> {
    attribute(tag, name)?.parse().ok()
}

impl Image {
    /// The image of a tag `Pixels`; `None` if that lacks what it must have.
    fn of(tag: &BytesStart<'_>) -> Option<Self> {
        let count = |name: &str| number(tag, name).filter(|count| *count > 0);
        let order = attribute(tag, "DimensionOrder")?;
        let mut places = order.strip_prefix("XY")?.chars().map(|letter| "CZT".find(letter));
        let order = [places.next()??, places.next()??, places.next()??];
        if (0..3).any(|place| !order.contains(&place)) {
            return None;
        }
        let mut sizes = Vec::new();
        for (letter, name, usual_unit) in [
            ('x', "PhysicalSizeX", "µm"),
            ('y', "PhysicalSizeY", "µm"),
            ('z', "PhysicalSizeZ", "µm"),
            ('t', "TimeIncrement", "s"),
        ] {
            if let Some(size) = attribute(tag, name).and_then(|size| size.parse().ok()) {
                let unit = attribute(tag, &format!("{name}Unit")).unwrap_or_else(|| usual_unit.to_owned());
                sizes.push((letter, size, unit));
            }
        }
        Some(Self {
            page_shape: (count("SizeX")?, count("SizeY")?),
            counts: [count("SizeC")?, count("SizeZ")?, count("SizeT")?],
            order,
            sizes,
            ..Self::default()
        })
    }

    /// Takes in a tag of its pixels.
    fn take(&mut self, tag: &BytesStart<'_>) -> Option<()> {
        match tag.local_name().as_ref() {
            b"Channel" => {
                self.channel_names.push(attribute(tag, "Name").unwrap_or_default());
                self.samples = number(tag, "SamplesPerPixel").unwrap_or(self.samples);
            }
            b"TiffData" => {
                let at = |name: &str| number(tag, name).unwrap_or(0);
                let page = number(tag, "IFD");
                let planes = number(tag, "PlaneCount").or(page.map(|_| 1));
                let at = ["FirstC", "FirstZ", "FirstT"].map(at);
                self.runs.push(Run { first_page: page.unwrap_or(0), at, planes });
            }
            b"UUID" => {
                let file = attribute(tag, "FileName");
                self.has_several_files |= self.file.is_some() && file != self.file;
                self.file = file.or_else(|| self.file.take());
            }
            _ => {}
        }
        Some(())
    }

    /// Whether pages like these can be its own.
    pub(super) const fn fits(&self, geometry: &Geometry) -> bool {
        self.page_shape.0 == geometry.width
            && self.page_shape.1 == geometry.height
            && self.samples == geometry.samples
    }

    /// Whether some of its planes are said to be in another file than others.
    pub(super) const fn has_several_files(&self) -> bool {
        self.has_several_files
    }

    /// The axes of its planes, with their lengths, from the fastest to the slowest.
    pub(super) fn axes(&self) -> [(&'static str, u64); 3] {
        self.order.map(|place| (AXES[place], self.count(place)))
    }

    fn count(&self, place: usize) -> u64 {
        // Samples of a pixel are channels too.
        if place == 0 { self.counts[0] / self.samples } else { self.counts[place] }
    }

    /// The page of the file that each plane stands on, the first axis fastest, if there is one; `None` if there are more than `most`
    /// planes, if they are in several files, or if what is said of them cannot be.
    pub(super) fn pages(&self, most: u64) -> Option<Vec<Option<u64>>> {
        let counted = self.axes().iter().try_fold(1_u64, |product, (_, count)| product.checked_mul(*count));
        let count = usize::try_from(counted.filter(|count| *count <= most)?).ok()?;
        if self.has_several_files || !self.counts[0].is_multiple_of(self.samples) {
            return None;
        }
        if self.runs.is_empty() {
            return Some((0..count as u64).map(Some).collect());
        }
        let mut pages = vec![None; count];
        for run in &self.runs {
            let (mut first, mut stride) = (0_u64, 1_u64);
            for place in self.order {
                let at = run.at[place] / if place == 0 { self.samples } else { 1 };
                if at >= self.count(place) {
                    return None;
                }
                (first, stride) = (first + at * stride, stride * self.count(place));
            }
            let own = pages.get_mut(usize::try_from(first).ok()?..)?;
            let planes = run.planes.map_or(own.len(), |planes| usize::try_from(planes).unwrap_or(usize::MAX));
            for (n, page) in own.get_mut(..planes)?.iter_mut().enumerate() {
                if page.is_some() {
                    return None;
                }
                *page = Some(run.first_page.checked_add(n as u64)?);
            }
        }
        Some(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?><OME UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="P"
        DimensionOrder="XYZCT" SizeX="5" SizeY="4" SizeC="2" SizeZ="3" SizeT="1" Type="uint8" PhysicalSizeX="0.325"
        PhysicalSizeY="325" PhysicalSizeYUnit="nm" PhysicalSizeZ="2" TimeIncrement="0.5">
        <Channel ID="Channel:0:0" Name="DAPI &amp; more" SamplesPerPixel="1"><LightPath/></Channel><Channel ID="Channel:0:1"/>
        <TiffData FirstC="0" FirstZ="0" FirstT="0" IFD="0" PlaneCount="1"><UUID FileName="x.ome.tif">urn:uuid:1</UUID></TiffData>
        <TiffData FirstC="1" FirstZ="2" FirstT="0" IFD="5" PlaneCount="1"><UUID FileName="x.ome.tif">urn:uuid:1</UUID></TiffData>
        </Pixels></Image><Instrument><Channel Name="none"/></Instrument></OME>"#;

    #[test]
    fn images_have_sizes_channels_and_pages() {
        let [image] = images(PLAIN, 1).try_into().unwrap();
        assert_eq!((image.page_shape, image.axes()), ((5, 4), [("z", 3), ("c", 2), ("t", 1)]));
        assert_eq!(image.channel_names, ["DAPI & more", ""]);
        let unit = |letter, size, unit: &str| (letter, size, unit.to_owned());
        let sizes =
            [unit('x', 0.325, "µm"), unit('y', 325.0, "nm"), unit('z', 2.0, "µm"), unit('t', 0.5, "s")];
        assert_eq!(image.sizes, sizes);
        // Planes of which nothing is said were never taken.
        assert_eq!(image.pages(6), Some(vec![Some(0), None, None, None, None, Some(5)]));
        assert_eq!(image.pages(5), None);
    }

    fn pages(data: &str, counts: &str) -> Option<Vec<Option<u64>>> {
        let text = format!(
            "<OME><Pixels DimensionOrder=\"XYCZT\" SizeX=\"5\" SizeY=\"4\" {counts} SizeT=\"1\">{data}</Pixels></OME>"
        );
        let [image] = images(&text, 1).try_into().unwrap();
        image.pages(100)
    }

    #[test]
    fn planes_stand_on_the_pages_that_are_said() {
        let counts = "SizeC=\"2\" SizeZ=\"2\"";
        let all = |pages: [u64; 4]| Some(pages.map(Some).to_vec());
        assert_eq!(pages("", counts), all([0, 1, 2, 3]));
        assert_eq!(pages("<TiffData/>", counts), all([0, 1, 2, 3]));
        assert_eq!(pages("<TiffData IFD=\"3\" PlaneCount=\"4\"/>", counts), all([3, 4, 5, 6]));
        let turned = "<TiffData IFD=\"4\" FirstZ=\"1\" PlaneCount=\"2\"/><TiffData IFD=\"9\"/><TiffData IFD=\"1\" FirstC=\"1\"/>";
        assert_eq!(pages(turned, counts), all([9, 1, 4, 5]));
        let colours =
            "<Channel SamplesPerPixel=\"3\"/><TiffData IFD=\"0\"/><TiffData IFD=\"1\" FirstC=\"3\"/>";
        assert_eq!(pages(colours, "SizeC=\"6\" SizeZ=\"1\""), Some(vec![Some(0), Some(1)]));
    }

    #[test]
    fn planes_that_cannot_be_are_not_believed() {
        let counts = "SizeC=\"2\" SizeZ=\"2\"";
        for wrong in [
            "<TiffData IFD=\"0\" FirstZ=\"2\"/>",
            "<TiffData IFD=\"0\" PlaneCount=\"5\"/>",
            "<TiffData IFD=\"0\"/><TiffData IFD=\"1\"/>",
            "<TiffData IFD=\"0\"><UUID FileName=\"a\"/></TiffData><TiffData IFD=\"0\" FirstZ=\"1\"><UUID FileName=\"b\"/></TiffData>",
        ] {
            assert_eq!(pages(wrong, counts), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_ome_says_nothing() {
        for text in [
            "",
            "<OME",
            "<OME><Pixels/></OME>",
            "<html>:OME</b></html>",
            "<OME><Pixels DimensionOrder=\"XYZZT\"/>",
        ] {
            assert_eq!(images(text, 1), [], "{text}");
        }
    }
}
