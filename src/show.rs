//! The job behind `show`: a plane of a stored array as a picture.
//!
//! Invariants: only the plane (or what is projected on it) is read, and averaged down to the cells that the picture has room for
//! while it is; rows and columns follow their coordinates; the file appears whole, by one rename. Called by the command line;
//! programs draw numbers that they have in memory by [`Figure`].

mod axis;
mod canvas;
mod cells;
mod colours;
mod dates;
mod figure;
mod labels;
mod plane;
mod slicing;
mod thumbnail;

pub use axis::{Axis, AxisKind};
pub use colours::Colours;
pub use figure::{Drawn, Figure};
pub(crate) use labels::kind_of;
pub use slicing::Slicing;
pub(crate) use thumbnail::thumbnail;

use crate::claim::give_back;
use crate::error::{Error, Result};
use crate::evaluate::{EvalInput, EvalOptions, Evaluation};
use crate::expression::Labelled;
use crate::location::Location;
use crate::transfer::refused_output;
use crate::watch::Watcher;
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{Plan, PlanSummary, Resources};
use blockwise_core::{Array, Cancellation, DType, Session, Sink, exec};
use blockwise_io::publish::{Publication, PublishOptions};
use labels::Side;
use plane::{Cut, Plane};
use std::path::Path;
use std::sync::Arc;

/// What a picture is of, and how it looks.
#[derive(Clone, Debug)]
pub struct ShowOptions {
    /// What is taken of the dimensions. Of those that are left over, the first position is taken.
    pub slices: Vec<Slicing>,
    /// What dimensions that are left over are reduced by, instead: `mean`, `max`, `min`, `sum`, `std`; NaN are left out.
    pub project: Option<String>,
    /// Colours; see [`Figure::colours`].
    pub colours: Option<Colours>,
    /// The number that has the first colour; by default the smallest.
    pub low: Option<f64>,
    /// The number that has the last colour; by default the largest.
    pub high: Option<f64>,
    /// Pixels from left to right.
    pub width: usize,
    /// Above the picture, instead of what the array is called and where it is cut.
    pub title: Option<String>,
    /// Replace a file that is there.
    pub overwrite: bool,
}

impl Default for ShowOptions {
    fn default() -> Self {
        Self {
            slices: Vec::new(),
            project: None,
            colours: None,
            low: None,
            high: None,
            width: 960,
            title: None,
            overwrite: false,
        }
    }
}

/// A picture ready to be computed, drawn and stored.
pub struct ShowJob {
    label: String,
    plan: Plan,
    /// Of cells; of a colour picture their red, green and blue.
    numbers: Vec<Held>,
    /// What is the brightest colour, unless options say it.
    full: f64,
    sides: [Side; 2],
    /// Of rows and columns.
    coordinates: [Option<Held>; 2],
    /// Words of the title; where a dimension was cut, and the coordinate there.
    name: String,
    cuts: Vec<Cut<Held>>,
    units: String,
    options: ShowOptions,
    publication: Option<Publication>,
}

type Held = Arc<MemoryArray>;

/// A picture that was stored.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The picture.
    pub drawn: Drawn,
    /// Rows and columns of cells in it.
    pub cells: [usize; 2],
    /// What stands above it.
    pub title: String,
}

impl ShowJob {
    /// Opens the array, finds the plane and plans what is read. Three or four samples of a pixel, as of colour TIFF, are its colours
    /// unless a position of theirs or a colour map is asked for. Nothing is read yet, and with `open.plan_only` nothing written.
    ///
    /// # Errors
    /// If it cannot be opened, has no plane, or is of complex numbers; if a slice does not fit it; if the output is no `.png`, or is
    /// there and not to be replaced; if the budget is too small.
    pub fn open(
        location: &Location,
        output: &Path,
        options: &ShowOptions,
        open: &EvalOptions,
        resources: &Resources,
    ) -> Result<Self> {
        if !output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
            let what = "pictures are PNG files; name the output .png".to_owned();
            return Err(Error::Usage { path: output.display().to_string(), what });
        }
        let input = EvalInput { name: "x".to_owned(), location: location.clone() };
        let evaluation = Evaluation::open("x", &[input], open)?;
        let mut job = Self::of(location, &evaluation, options, resources, |whole, evaluation| {
            Plane::of(whole, options, evaluation, |_| 0)
        })?;
        job.publication = match open.plan_only {
            true => None,
            false => {
                let publish = PublishOptions { overwrite: options.overwrite, ..PublishOptions::default() };
                Publication::begin(output, &publish).map_err(refused_output)?
            }
        };
        Ok(job)
    }

    /// A picture of what `plane` finds in the one result of an evaluation, which is stored nowhere yet.
    fn of(
        location: &Location,
        evaluation: &Evaluation,
        options: &ShowOptions,
        resources: &Resources,
        plane: impl FnOnce(&Labelled, &Evaluation) -> Result<Plane>,
    ) -> Result<Self> {
        let label = location.to_string();
        let usage = |what: String| Error::Usage { path: label.clone(), what };
        let whole = evaluation.results.first().map(|result| result.value.clone());
        let whole = whole.ok_or_else(|| usage("it holds no array".to_owned()))?;
        let name = evaluation.inputs().next().map(|input| input.label).unwrap_or_default();
        let found = plane(&whole, evaluation);
        let Plane { array, green_and_blue, sides, cuts, projected } =
            found.map_err(|error| error.in_array(&label))?;
        if array.dtype().kind() == 'c' {
            return Err(usage(
                "complex numbers have no colours; evaluate abs(x) into a file first".to_owned(),
            ));
        }

        let mut targets: Vec<(Array, Arc<dyn Sink>)> = Vec::new();
        let mut hold = |array: &Array| -> Result<Held> {
            let array = array.astype(DType::F64);
            let held = Arc::new(MemoryArray::zeros(&label, DType::F64, array.grid().clone())?);
            targets.push((array, Arc::clone(&held) as Arc<dyn Sink>));
            Ok(held)
        };
        let most = cells_for(&array.shape(), &sides, options.width);
        let full = plane::full(array.dtype()).unwrap_or(1.0);
        let planes = std::iter::once(array).chain(green_and_blue.into_iter().flatten());
        let numbers =
            planes.map(|plane| hold(&cells::averaged(&plane, most)?)).collect::<Result<Vec<_>>>()?;
        let coordinates =
            [&sides[0], &sides[1]].map(|side| side.coordinates.as_ref().map(&mut hold).transpose());
        let [of_rows, of_columns] = coordinates;
        let coordinates = [of_rows?, of_columns?];
        let cuts = cuts
            .into_iter()
            .map(|(text, coordinate)| {
                let held = coordinate.map(|(array, clock)| Ok::<_, Error>((hold(&array)?, clock)));
                Ok((text, held.transpose()?))
            })
            .collect::<Result<Vec<_>>>()?;
        let plan = Session::new(resources.clone()).plan(&targets)?;
        let attributes = whole.attributes.as_deref();
        let (what, units) = labels::quantity(attributes, &name);
        let units = match (projected, units.is_empty()) {
            (None, _) => units,
            (Some(by), true) => by,
            (Some(by), false) => format!("{by}, {units}"),
        };
        Ok(Self {
            label,
            plan,
            numbers,
            full,
            sides,
            coordinates,
            name: what,
            cuts,
            units,
            options: options.clone(),
            publication: None,
        })
    }

    /// What is read, and how.
    #[must_use]
    pub fn plan(&self) -> &PlanSummary {
        self.plan.summary()
    }

    /// Computes the cells, draws them and stores the picture.
    ///
    /// # Errors
    /// If something cannot be read or written, or colours are to go from a number to a smaller one.
    pub fn run(
        mut self,
        resources: &Resources,
        watcher: &dyn Watcher,
        cancellation: &Cancellation,
    ) -> Result<Shown> {
        let Some(publication) = self.publication.take() else {
            let message = "a job that was only planned cannot run".to_owned();
            return Err(blockwise_core::Error::Internal { message }.into());
        };
        let shown = (|| {
            watcher.array_started(0, 1, &self.label, &self.plan);
            exec::run(&self.plan, resources, watcher, cancellation)?;
            let shown = self.drawn()?;
            let path = publication.partial().payload_path();
            std::fs::write(path, &shown.drawn.png).map_err(|source| Error::Os {
                path: path.display().to_string(),
                action: "writing",
                source,
            })?;
            Ok(shown)
        })();
        match shown {
            Ok(_) => publication.commit()?,
            Err(_) => give_back(publication),
        }
        shown
    }

    fn drawn(&self) -> Result<Shown> {
        let values = |held: &Held| held.to_elements::<f64>().unwrap_or_default();
        let [rows, columns] = self.numbers.first().map_or([0, 0], |held| cells::shape(held));
        let [of_rows, of_columns] = &self.sides;
        let [at_rows, at_columns] = self.coordinates.each_ref().map(|held| held.as_ref().map(values));
        let cuts = self.cuts.iter().map(|(text, held)| {
            let found = held.as_ref().and_then(|(held, clock)| Some((*values(held).first()?, clock)));
            match found {
                Some((at, clock)) => {
                    let date = clock.as_ref().and_then(|clock| clock.text(at));
                    format!("{text} ({})", date.unwrap_or_else(|| at.to_string()))
                }
                None => text.clone(),
            }
        });
        let title = std::iter::once(self.name.clone()).chain(cuts).collect::<Vec<_>>().join(", ");
        let mut planes = self.numbers.iter().map(values);
        let red = planes.next().unwrap_or_default();
        let green_and_blue = planes.next().zip(planes.next()).map(<[_; 2]>::from);
        let (dark, bright) = green_and_blue.as_ref().map(|_| (0.0, self.full)).unzip();
        let figure = Figure {
            title: self.options.title.clone().unwrap_or(title),
            units: self.units.clone(),
            colours: self.options.colours,
            low: self.options.low.or(dark),
            high: self.options.high.or(bright),
            width: self.options.width,
            green_and_blue,
            ..Figure::new(red, of_rows.axis(rows, at_rows), of_columns.axis(columns, at_columns))
        };
        let drawn = figure.draw().map_err(|error| error.in_array(&self.label))?;
        Ok(Shown { drawn, cells: [rows, columns], title: figure.title })
    }
}

/// At most how many rows and columns of cells there is room for: no more than pixels, as [`Figure`] will have them.
fn cells_for(shape: &[u64], sides: &[Side; 2], width: usize) -> [u64; 2] {
    // Beside the cells there are words.
    let room = width as f64 * 0.8;
    let [rows, columns] = [0, 1].map(|axis| shape.get(axis).copied().unwrap_or(1).max(1) as f64);
    let pixels = if figure::is_to_scale(sides[0].kind, sides[1].kind) {
        let scale = (room / columns).min(figure::HIGHEST * room / rows);
        [rows * scale, columns * scale]
    } else {
        [figure::HIGH * room, room]
    };
    pixels.map(|pixels| pixels.max(room / figure::SHORTEST) as u64)
}

impl Drop for ShowJob {
    /// A job that never ran leaves nothing behind.
    fn drop(&mut self) {
        if let Some(publication) = self.publication.take() {
            give_back(publication);
        }
    }
}
