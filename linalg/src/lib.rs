//! Linear algebra on chunked arrays: blocked algorithms over [`Array`](blockwise_core::Array), as free functions that return
//! lazy arrays.
//!
//! A folder an algorithm. All are built of core's functions of whole blocks and of the leaves of a device
//! ([`Dense`](blockwise_core::dense::Dense)); [`dense`] has those of a CPU, by faer. Errors are core's: faults of shapes and
//! dtypes show when an array is made, those of elements when it is computed.
//!
//! Called by programs through `blockwise::linalg`, and by `eval`.

mod cholesky;
mod compressed;
mod contract;
pub mod dense;
mod einsum;
mod gram;
mod leaf;
mod lstsq;
mod lu;
mod matmul;
mod norm;
mod pca;
mod qr;
mod svd;
mod tensordot;
mod triangular;

pub use cholesky::cholesky;
pub use compressed::{Compressed, Compression};
pub use einsum::einsum;
pub use gram::gram;
pub use lstsq::{Lstsq, lstsq};
pub use lu::{Assume, Lu, inv, lu, solve, solve_with};
pub use matmul::{dot, inner, matmul, matmul_as};
pub use norm::{Norm, norm};
pub use pca::{Pca, PrincipalComponents, Scaling, eof, pca};
pub use qr::{Qr, qr};
pub use svd::{Svd, pinv, svd, svdvals};
pub use tensordot::tensordot;
pub use triangular::solve_triangular;
