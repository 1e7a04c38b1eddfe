//! Sorting, ranking and selecting along an axis: NumPy's `sort`, stable `argsort`, quantiles, top elements, uniques.
//!
//! Values are mapped to unsigned keys in whose order they sort (`order/key.rs`): NaN last, whatever its sign, and complex numbers
//! as NumPy orders them. Lines that lie apart in memory are gathered, a panel of them at a time, so that each cache line
//! is read once; each is then sorted by radix, or its ranks are found by a histogram of its keys.
//!
//! Invariants: equal elements keep their order wherever positions are asked for (0.0 and -0.0 are equal, and so are all
//! NaN); nothing depends on the instruction set. Sources: D. Knuth, "The Art of Computer Programming" vol. 3 for radix
//! sorting and distribution counting; R. Hyndman and Y. Fan, "Sample quantiles in statistical packages" (1996) for the
//! methods of quantiles. Called by core's tasks for whole lines; merging of longer ones is core's.

mod key;
mod method;
mod narrow;
mod quantile;
mod radix;
mod search;
mod select;
mod sort;
mod top;
mod unique;

pub use method::QuantileMethod;
pub use narrow::Narrowing;
pub use quantile::Quantile;
pub use search::{Side, search_sorted};
pub use sort::{argsort, sort, sort_scratch_bytes};
pub use top::TopK;
pub use unique::Unique;
