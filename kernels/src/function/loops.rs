//! Typed loops over tiles, and the macro that makes one for each type of a family.
//!
//! A kernel is a plain function pointer over bytes; the types are fixed when it is chosen. Invariant: the caller hands
//! slices that are aligned for their types and hold the same number of elements (a program's tiles do); of two or three
//! arguments some may hold one element, which then goes with all. Called by the
//! tables of the function families and by [`crate::program`]'s conversions.

use crate::simd::InstructionSet;
use bytemuck::Pod;
use pulp::NullaryFnOnce;
use std::marker::PhantomData;

/// One typed loop: writes the first slice from as many of the others as the function has arguments.
pub(crate) type Kernel = fn(InstructionSet, &mut [u8], [&[u8]; 3]);

/// A scalar function of one argument.
pub(crate) trait Unary {
    type A: Pod;
    type Out: Pod;
    fn apply(a: Self::A) -> Self::Out;
}

/// A scalar function of two arguments.
pub(crate) trait Binary {
    type A: Pod;
    type B: Pod;
    type Out: Pod;
    fn apply(a: Self::A, b: Self::B) -> Self::Out;
}

struct UnaryLoop<'a, O: Unary>(&'a mut [O::Out], &'a [O::A], PhantomData<O>);

impl<O: Unary> NullaryFnOnce for UnaryLoop<'_, O> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        unary_loop::<O>(self.0, self.1);
    }
}

// The loops are functions of their own so that the compiler knows the slices to be apart.
#[inline(always)]
fn unary_loop<O: Unary>(out: &mut [O::Out], a: &[O::A]) {
    for (out, a) in out.iter_mut().zip(a) {
        *out = O::apply(*a);
    }
}

struct BinaryLoop<'a, O: Binary>(&'a mut [O::Out], &'a [O::A], &'a [O::B], PhantomData<O>);

impl<O: Binary> NullaryFnOnce for BinaryLoop<'_, O> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        binary_loop::<O>(self.0, self.1, self.2);
    }
}

#[inline(always)]
fn binary_loop<O: Binary>(out: &mut [O::Out], a: &[O::A], b: &[O::B]) {
    match (a, b) {
        ([a], _) => with_first::<O>(out, *a, b),
        (_, [b]) => with_second::<O>(out, a, *b),
        _ => elementwise::<O>(out, a, b),
    }
}

#[inline(always)]
fn elementwise<O: Binary>(out: &mut [O::Out], a: &[O::A], b: &[O::B]) {
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = O::apply(*a, *b);
    }
}

#[inline(always)]
fn with_first<O: Binary>(out: &mut [O::Out], a: O::A, b: &[O::B]) {
    for (out, b) in out.iter_mut().zip(b) {
        *out = O::apply(a, *b);
    }
}

#[inline(always)]
fn with_second<O: Binary>(out: &mut [O::Out], a: &[O::A], b: O::B) {
    for (out, a) in out.iter_mut().zip(a) {
        *out = O::apply(*a, b);
    }
}

/// The loop of a function that does not care about vectors, in one piece of code.
fn plain_loop<O: Binary>(out: &mut [O::Out], a: &[O::A], b: &[O::B]) {
    let step = |len: usize| if len == 1 { 0 } else { usize::MAX };
    let (keep_a, keep_b) = (step(a.len()), step(b.len()));
    for (place, out) in out.iter_mut().enumerate() {
        *out = O::apply(a[place & keep_a], b[place & keep_b]);
    }
}

/// Bits that can be chosen without a branch.
pub(crate) trait Blend: Pod {
    /// `a` if `condition` is 1, `b` if it is 0.
    fn blend(condition: u8, a: Self, b: Self) -> Self;
}

macro_rules! blend {
    ($($t:ty)*) => {$(
        impl Blend for $t {
            #[inline(always)]
            fn blend(condition: u8, a: Self, b: Self) -> Self {
                let mask = Self::from(condition != 0).wrapping_neg();
                b ^ ((a ^ b) & mask)
            }
        }
    )*};
}
blend!(u8 u16 u32 u64);

impl<T: Blend> Blend for [T; 2] {
    #[inline(always)]
    fn blend(condition: u8, a: Self, b: Self) -> Self {
        [T::blend(condition, a[0], b[0]), T::blend(condition, a[1], b[1])]
    }
}

struct SelectLoop<'a, T>(&'a mut [T], &'a [u8], &'a [T], &'a [T]);

impl<T: Blend> NullaryFnOnce for SelectLoop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        select_loop(self.0, self.1, self.2, self.3);
    }
}

#[inline(always)]
fn select_loop<T: Blend>(out: &mut [T], condition: &[u8], a: &[T], b: &[T]) {
    match (condition, a, b) {
        ([condition], ..) => {
            let chosen = if *condition == 0 { b } else { a };
            match chosen {
                [value] => out.fill(*value),
                _ => out.copy_from_slice(chosen),
            }
        }
        (_, [a], [b]) => select_values(out, condition, *a, *b),
        (_, [a], _) => select_first(out, condition, *a, b),
        (_, _, [b]) => select_second(out, condition, a, *b),
        _ => select_elements(out, condition, a, b),
    }
}

#[inline(always)]
fn select_values<T: Blend>(out: &mut [T], condition: &[u8], a: T, b: T) {
    for (out, condition) in out.iter_mut().zip(condition) {
        *out = T::blend(*condition, a, b);
    }
}

#[inline(always)]
fn select_first<T: Blend>(out: &mut [T], condition: &[u8], a: T, b: &[T]) {
    for (out, (condition, b)) in out.iter_mut().zip(condition.iter().zip(b)) {
        *out = T::blend(*condition, a, *b);
    }
}

#[inline(always)]
fn select_second<T: Blend>(out: &mut [T], condition: &[u8], a: &[T], b: T) {
    for (out, (condition, a)) in out.iter_mut().zip(condition.iter().zip(a)) {
        *out = T::blend(*condition, *a, b);
    }
}

#[inline(always)]
fn select_elements<T: Blend>(out: &mut [T], condition: &[u8], a: &[T], b: &[T]) {
    for (out, (condition, (a, b))) in out.iter_mut().zip(condition.iter().zip(a.iter().zip(b))) {
        *out = T::blend(*condition, *a, *b);
    }
}

/// The loop of `O`, compiled for every instruction set: for what the compiler turns into vector instructions.
pub(crate) fn wide_unary<O: Unary>(set: InstructionSet, out: &mut [u8], [a, ..]: [&[u8]; 3]) {
    set.run(UnaryLoop::<O>(bytemuck::cast_slice_mut(out), bytemuck::cast_slice(a), PhantomData));
}

/// As [`wide_unary`], for two arguments.
pub(crate) fn wide_binary<O: Binary>(set: InstructionSet, out: &mut [u8], [a, b, _]: [&[u8]; 3]) {
    let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
    set.run(BinaryLoop::<O>(bytemuck::cast_slice_mut(out), a, b, PhantomData));
}

/// The loop of `O`, compiled once: for what runs element by element on any instruction set.
pub(crate) fn plain_unary<O: Unary>(_: InstructionSet, out: &mut [u8], [a, ..]: [&[u8]; 3]) {
    unary_loop::<O>(bytemuck::cast_slice_mut(out), bytemuck::cast_slice(a));
}

/// As [`plain_unary`], for two arguments.
pub(crate) fn plain_binary<O: Binary>(_: InstructionSet, out: &mut [u8], [a, b, _]: [&[u8]; 3]) {
    plain_loop::<O>(bytemuck::cast_slice_mut(out), bytemuck::cast_slice(a), bytemuck::cast_slice(b));
}

/// Chooses between two slices of `T` by a third of bools.
pub(crate) fn select<T: Blend>(set: InstructionSet, out: &mut [u8], [condition, a, b]: [&[u8]; 3]) {
    let (a, b) = (bytemuck::cast_slice::<_, T>(a), bytemuck::cast_slice(b));
    set.run(SelectLoop(bytemuck::cast_slice_mut(out), condition, a, b));
}

/// The kernel for a dtype, from one scalar function per family of types: `wide` ones are compiled for every
/// instruction set, `plain` ones once. In the functions, `T` is the type at hand (`u8`, 0 or 1, for bool).
macro_rules! kernels {
    ($dtype:expr; $($family:ident => $loop:tt;)+) => {{
        $(
            if let Some(kernel) = $crate::function::loops::family!($dtype, $family, $loop) {
                return Some(kernel);
            }
        )+
        None
    }};
}

/// The members of the families. `words` are all integers where signs do not matter.
macro_rules! family {
    ($dtype:expr, words, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop,
            I8 | U8: u8, I16 | U16: u16, I32 | U32: u32, I64 | U64: u64)
    };
    ($dtype:expr, signed, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop, I8: i8, I16: i16, I32: i32, I64: i64)
    };
    ($dtype:expr, unsigned, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop, U8: u8, U16: u16, U32: u32, U64: u64)
    };
    ($dtype:expr, integers, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop,
            I8: i8, I16: i16, I32: i32, I64: i64, U8: u8, U16: u16, U32: u32, U64: u64)
    };
    ($dtype:expr, floats, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop, F32: f32, F64: f64)
    };
    ($dtype:expr, complexes, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop,
            C64: num_complex::Complex<f32>, C128: num_complex::Complex<f64>)
    };
    ($dtype:expr, bools, $loop:tt) => {
        $crate::function::loops::member!($dtype, $loop, Bool: u8)
    };
    ($dtype:expr, f16, $loop:tt) => { $crate::function::loops::member!($dtype, $loop, F16: u16) };
    ($dtype:expr, bf16, $loop:tt) => { $crate::function::loops::member!($dtype, $loop, BF16: u16) };
}

macro_rules! member {
    ($dtype:expr, $loop:tt, $($($variant:ident)|+: $t:ty),+) => {
        match $dtype {
            $($(DType::$variant)|+ => {
                type T = $t;
                Some($crate::function::loops::one!($loop))
            })+
            _ => None,
        }
    };
}

macro_rules! one {
    (($speed:ident ($a:ident: $ta:ty) -> $out:ty $body:block)) => {{
        struct Op;
        impl $crate::function::loops::Unary for Op {
            type A = $ta;
            type Out = $out;
            #[inline(always)]
            fn apply($a: $ta) -> $out $body
        }
        $crate::function::loops::unary!($speed, Op)
    }};
    (($speed:ident ($a:ident: $ta:ty, $b:ident: $tb:ty) -> $out:ty $body:block)) => {{
        struct Op;
        impl $crate::function::loops::Binary for Op {
            type A = $ta;
            type B = $tb;
            type Out = $out;
            #[inline(always)]
            fn apply($a: $ta, $b: $tb) -> $out $body
        }
        $crate::function::loops::binary!($speed, Op)
    }};
}

macro_rules! unary {
    (wide, $op:ident) => {
        $crate::function::loops::wide_unary::<$op> as $crate::function::loops::Kernel
    };
    (plain, $op:ident) => {
        $crate::function::loops::plain_unary::<$op> as $crate::function::loops::Kernel
    };
}

macro_rules! binary {
    (wide, $op:ident) => {
        $crate::function::loops::wide_binary::<$op> as $crate::function::loops::Kernel
    };
    (plain, $op:ident) => {
        $crate::function::loops::plain_binary::<$op> as $crate::function::loops::Kernel
    };
}

pub(crate) use {binary, family, kernels, member, one, unary};
