//! Functions of C libraries that are found at run time: all of them before the first is called.
//!
//! Invariant: an odd library is an error with the name of what it lacks, and no crash. Called by what binds the driver and NVRTC.

/// Declares a table of functions that all return an int, and how it is filled from a library.
macro_rules! functions {
    ($(#[$about:meta])* $($field:ident = $symbol:literal: ($($argument:ty),*);)*) => {
        $(#[$about])*
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) -> std::ffi::c_int,)*
        }

        impl Functions {
            /// Those of a library that is never unloaded; the name of one that it has not.
            fn find(library: &'static libloading::Library) -> std::result::Result<Self, &'static str> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is that of CUDA's documentation; the library is never unloaded.
                        let found = unsafe {
                            library.get::<unsafe extern "C" fn($($argument),*) -> std::ffi::c_int>($symbol)
                        };
                        *found.map_err(|_| $symbol)?
                    },)*
                })
            }
        }
    };
}
pub(crate) use functions;
