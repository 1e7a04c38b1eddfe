//! [`Colours`]: maps from numbers to colours, by their names in matplotlib.
//!
//! The maps are those of the crate `colorous`: viridis, magma, inferno and plasma by S. van der Walt and N. Smith, cividis by J. Nuñez,
//! C. Anderton and R. Renslow, turbo by A. Mikhailov, the diverging ones and greys by C. Brewer. Called by [`super::figure`].

use super::canvas::Colour;
use crate::error::Error;
use colorous::Gradient;

/// Where there is no number.
pub(super) const MISSING: Colour = [216; 3];

/// Names and maps; `true`: from its end to its start, as matplotlib has it.
const MAPS: [(&str, Gradient, bool); 11] = [
    ("viridis", colorous::VIRIDIS, false),
    ("magma", colorous::MAGMA, false),
    ("inferno", colorous::INFERNO, false),
    ("plasma", colorous::PLASMA, false),
    ("cividis", colorous::CIVIDIS, false),
    ("turbo", colorous::TURBO, false),
    ("gray", colorous::GREYS, true),
    ("RdBu", colorous::RED_BLUE, false),
    ("BrBG", colorous::BROWN_GREEN, false),
    ("PuOr", colorous::PURPLE_ORANGE, true),
    ("PRGn", colorous::PURPLE_GREEN, false),
];

/// A map from numbers to colours.
///
/// ```
/// use blockwise::show::Colours;
/// let colours: Colours = "viridis".parse()?;
/// assert_eq!(colours.at(0.0), [68, 1, 84]);
/// assert_eq!(colours.at(1.0), "viridis_r".parse::<Colours>()?.at(0.0));
/// assert!("rainbows".parse::<Colours>().is_err());
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Colours {
    gradient: Gradient,
    is_reversed: bool,
}

impl Colours {
    /// Viridis: for values on one side of zero, or where zero means nothing.
    #[must_use]
    pub const fn sequential() -> Self {
        Self { gradient: colorous::VIRIDIS, is_reversed: false }
    }

    /// From blue over white to red: for values on both sides of zero.
    #[must_use]
    pub const fn diverging() -> Self {
        Self { gradient: colorous::RED_BLUE, is_reversed: true }
    }

    /// Red, green and blue at `share`, from 0 to 1.
    #[must_use]
    pub fn at(&self, share: f64) -> [u8; 3] {
        let share = share.clamp(0.0, 1.0);
        let colour = self.gradient.eval_continuous(if self.is_reversed { 1.0 - share } else { share });
        [colour.r, colour.g, colour.b]
    }
}

impl std::str::FromStr for Colours {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, is_turned) = text.strip_suffix("_r").map_or((text, false), |name| (name, true));
        let found = MAPS.iter().find(|(own, ..)| own.eq_ignore_ascii_case(name));
        let (_, gradient, is_reversed) = found.ok_or_else(|| {
            let names: Vec<&str> = MAPS.iter().map(|(name, ..)| *name).collect();
            let why = format!("there is {}, each also with _r", names.join(", "));
            Error::Argument { what: "colour map", text: text.to_owned(), why }
        })?;
        Ok(Self { gradient: *gradient, is_reversed: *is_reversed != is_turned })
    }
}
