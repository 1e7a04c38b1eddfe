//! OME-XML: what the description of the first page of an OME-TIFF says of its images.
//!
//! Read as a stream of tags, for there may be one for every page. Invariants: a text that is no XML says nothing; pages are believed to
//! lie in the order that an image names only where no tag says otherwise. The format is OME's, schema 2016-06. Called by
//! [`super::open_file`], for [`super::axes`] and [`super::sizes`].

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
    planes: Vec<Plane>,
    /// The file that pages are in, where that is said.
    file: Option<String>,
    has_several_files: bool,
}

/// Where a page of an image stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plane {
    page: u64,
    at: [u64; 3],
}

/// Names of `counts`.
pub(super) const AXES: [&str; 3] = ["c", "z", "t"];

/// All images of a description, in order; none if it is no OME-XML.
pub(super) fn images(text: &str) -> Vec<Image> {
    if !text.contains("<OME") && !text.contains(":OME") {
        return Vec::new();
    }
    read(text).unwrap_or_default()
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
    for image in &mut images {
        if image.channel_names.iter().all(String::is_empty) {
            image.channel_names.clear();
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
            b"Channel" => self.channel_names.push(attribute(tag, "Name").unwrap_or_default()),
            b"TiffData" => {
                let at = |name: &str| number(tag, name).unwrap_or(0);
                let at = ["FirstC", "FirstZ", "FirstT"].map(at);
                // Without a page, all of them follow each other.
                self.planes.extend(number(tag, "IFD").map(|page| Plane { page, at }));
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
            && self.counts[0].is_multiple_of(geometry.samples)
    }

    /// The axes of its pages, with their lengths, from the fastest to the slowest, where a pixel has so many samples.
    pub(super) fn axes(&self, samples: u64) -> [(&'static str, u64); 3] {
        self.order.map(|place| (AXES[place], self.count(place, samples)))
    }

    fn count(&self, place: usize, samples: u64) -> u64 {
        // Samples of a pixel are channels too.
        self.counts[place] / if place == 0 { samples.max(1) } else { 1 }
    }

    /// Its pages; `None` if they are more than 64 bits count.
    pub(super) fn pages(&self, samples: u64) -> Option<u64> {
        self.axes(samples).iter().try_fold(1_u64, |product, (_, count)| product.checked_mul(*count))
    }

    /// The first page that it names.
    pub(super) fn first_page(&self) -> u64 {
        self.planes.iter().map(|plane| plane.page).min().unwrap_or(0)
    }

    /// Whether its pages lie in this one file, in its order, from page `first` on.
    pub(super) fn is_in_order(&self, first: u64, samples: u64) -> bool {
        let is_next = |plane: &Plane| {
            let (mut page, mut stride) = (first, 1_u64);
            for place in self.order {
                let at = plane.at[place] / if place == 0 { samples.max(1) } else { 1 };
                page = page.saturating_add(at.saturating_mul(stride));
                stride = stride.saturating_mul(self.count(place, samples));
            }
            page == plane.page
        };
        !self.has_several_files && self.planes.iter().all(is_next)
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
    fn images_have_sizes_channels_and_pages_in_order() {
        let [image] = images(PLAIN).try_into().unwrap();
        assert_eq!(image.axes(1), [("z", 3), ("c", 2), ("t", 1)]);
        assert_eq!((image.page_shape, image.pages(1)), ((5, 4), Some(6)));
        assert_eq!(image.channel_names, ["DAPI & more", ""]);
        let unit = |letter, size, unit: &str| (letter, size, unit.to_owned());
        let sizes =
            [unit('x', 0.325, "µm"), unit('y', 325.0, "nm"), unit('z', 2.0, "µm"), unit('t', 0.5, "s")];
        assert_eq!(image.sizes, sizes);
        assert!(image.is_in_order(0, 1) && !image.is_in_order(6, 1));
    }

    #[test]
    fn pages_out_of_order_or_in_other_files_are_noticed() {
        for (from, to) in [
            ("IFD=\"5\"", "IFD=\"4\""),
            ("IFD=\"5\" PlaneCount=\"1\"><UUID FileName=\"x", "IFD=\"5\"><UUID FileName=\"y"),
        ] {
            assert!(PLAIN.contains(from));
            let [image] = images(&PLAIN.replace(from, to)).try_into().unwrap();
            assert!(!image.is_in_order(0, 1), "{to}");
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
            assert_eq!(images(text), [], "{text}");
        }
    }
}
