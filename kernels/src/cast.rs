//! Conversion of elements from one dtype to another, with the meaning of NumPy 2's `astype`.
//!
//! | from, to | rule |
//! |---|---|
//! | integer, integer | wraps |
//! | anything, bool | `!= 0`, so NaN is true; bool to a number is 0 or 1 |
//! | number, float | rounds to nearest even, too large is infinite; payloads of NaN are not kept |
//! | number, bfloat16 | through float32, as ml_dtypes does: two roundings for float64 and wide integers |
//! | float, integer | truncates; see below for what does not fit |
//! | complex, real | drops the imaginary part (bool: either part is non-zero) |
//!
//! What does not fit an integer is C's undefined behaviour, and NumPy's on each machine. Here it is, on every
//! machine, what NumPy 2.4 gives on x86-64. For `int8 int16 int32 uint8 uint16`: the value as int32, wrapped; NaN and
//! what is outside of int32 count as -2^31. For `uint32` the same through int64 and -2^63 (NumPy's own vector loops
//! differ from its scalar loop there beyond 2^32; this is the scalar one). `int64`: -2^63. `uint64`: values from
//! -2^63 up wrap; 2^64 and more give 0; NaN and the rest 2^63.
//!
//! Invariant: no value, however odd, is an error; a bool byte other than 0 and 1 is read as true. Called by io (CF
//! packing, dtype changes on convert) and core (promotion).

mod convert;

use crate::dtype::{DType, DTypeVisitor, Element};
pub(crate) use convert::Convert;
use convert::Wide;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::marker::PhantomData;

/// The two sides of a cast do not hold the same number of elements. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{src_len_bytes} bytes of {src_dtype} do not convert to {dst_len_bytes} bytes of {dst_dtype}; both must hold the same whole number of elements"
)]
pub struct CastError {
    /// Bytes to write.
    pub dst_len_bytes: usize,
    /// Type to write.
    pub dst_dtype: DType,
    /// Bytes to read.
    pub src_len_bytes: usize,
    /// Type to read.
    pub src_dtype: DType,
}

/// Converts every element of `src` and writes them to `dst`, both in the machine's byte order and of any alignment.
///
/// ```
/// use blockwise_kernels::{DType, Element, cast};
/// let mut dst = [0_u8; 3];
/// cast(&mut dst, DType::U8, f32::as_bytes(&[1.9, -1.0, f32::NAN]), DType::F32)?;
/// assert_eq!(dst, [1, 255, 0]);
/// # Ok::<(), blockwise_kernels::cast::CastError>(())
/// ```
///
/// # Errors
/// [`CastError`] if the slices do not hold the same whole number of elements.
pub fn cast(dst: &mut [u8], dst_dtype: DType, src: &[u8], src_dtype: DType) -> Result<(), CastError> {
    let count = src.len() / src_dtype.size();
    let whole = src.len().is_multiple_of(src_dtype.size()) && dst.len().is_multiple_of(dst_dtype.size());
    if !whole || count != dst.len() / dst_dtype.size() {
        return Err(CastError { dst_len_bytes: dst.len(), dst_dtype, src_len_bytes: src.len(), src_dtype });
    }
    let integer = |dtype: DType| matches!(dtype.kind(), 'i' | 'u');
    let same_width_integers =
        integer(src_dtype) && integer(dst_dtype) && src_dtype.size() == dst_dtype.size();
    if same_width_integers || (src_dtype == dst_dtype && src_dtype != DType::Bool) {
        dst.copy_from_slice(src);
    } else if src_dtype == DType::F16 {
        from_f16(dst, dst_dtype, src);
    } else if dst_dtype == DType::F16 && !matches!(src_dtype, DType::F64 | DType::C128) {
        to_f16(dst, src, src_dtype);
    } else {
        convert(dst, dst_dtype, src, src_dtype);
    }
    Ok(())
}

/// Converts slices whose lengths agree.
fn convert(dst: &mut [u8], dst_dtype: DType, src: &[u8], src_dtype: DType) {
    src_dtype.dispatch(From { dst, dst_dtype, src });
}

/// Elements that go through float32 at a time, on the stack.
const STAGED: usize = 256;

/// From float16 by way of float32, which is exact: `half` converts slices with the processor's own instructions.
fn from_f16(dst: &mut [u8], dst_dtype: DType, src: &[u8]) {
    let (mut halves, mut floats) = ([f16::ZERO; STAGED], [0_f32; STAGED]);
    for (to, from) in dst.chunks_mut(STAGED * dst_dtype.size()).zip(src.chunks(STAGED * size_of::<f16>())) {
        let count = from.len() / size_of::<f16>();
        bytemuck::cast_slice_mut(&mut halves[..count]).copy_from_slice(from);
        halves[..count].convert_to_f32_slice(&mut floats[..count]);
        convert(to, dst_dtype, bytemuck::cast_slice(&floats[..count]), DType::F32);
    }
}

/// To float16 by way of float32. Not for doubles, which would be rounded twice; integers that float32 rounds are
/// infinite in float16.
fn to_f16(dst: &mut [u8], src: &[u8], src_dtype: DType) {
    let (mut halves, mut floats) = ([f16::ZERO; STAGED], [0_f32; STAGED]);
    for (to, from) in dst.chunks_mut(STAGED * size_of::<f16>()).zip(src.chunks(STAGED * src_dtype.size())) {
        let count = to.len() / size_of::<f16>();
        convert(bytemuck::cast_slice_mut(&mut floats[..count]), DType::F32, from, src_dtype);
        halves[..count].convert_from_f32_slice(&floats[..count]);
        to.copy_from_slice(bytemuck::cast_slice(&halves[..count]));
    }
}

/// The source type is known, the destination's not yet.
struct From<'a> {
    dst: &'a mut [u8],
    dst_dtype: DType,
    src: &'a [u8],
}

impl DTypeVisitor for From<'_> {
    type Output = ();
    fn visit<S: Element>(self) {
        self.dst_dtype.dispatch(Pair { dst: self.dst, src: self.src, from: PhantomData::<S> });
    }
}

struct Pair<'a, S> {
    dst: &'a mut [u8],
    src: &'a [u8],
    from: PhantomData<S>,
}

impl<S: Element> DTypeVisitor for Pair<'_, S> {
    type Output = ();
    fn visit<D: Element>(self) {
        let from = self.src.chunks_exact(size_of::<S::Raw>());
        let to = self.dst.chunks_exact_mut(size_of::<D::Raw>());
        for (to, from) in to.zip(from) {
            let raw: S::Raw = bytemuck::pod_read_unaligned(from);
            to.copy_from_slice(bytemuck::bytes_of(&S::widen(raw).narrow::<D>()));
        }
    }
}
