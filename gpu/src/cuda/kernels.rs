//! [`Kernels`]: generated texts, compiled and loaded once.
//!
//! Invariant: a kernel is compiled by one thread, others that want it wait, and hold no slot among threads meanwhile; what could not be
//! compiled is not tried again, but what the device had no memory to load is. Called by [`super::task`], and beforehand by whoever knows what
//! will be wanted.

use super::driver::{Context, Module, is_out_of_memory, waiting};
use crate::cache::Cubins;
use crate::compile::{Compiler, Target};
use crate::jit::{ENTRY, Kernel};
use crate::{Error, Result};
use blockwise_core::TaskContext;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// A kernel that is, or will be, loaded.
type Slot = Arc<OnceLock<std::result::Result<Arc<Module>, Arc<Error>>>>;

pub(super) struct Kernels {
    context: Arc<Context>,
    compiler: Compiler,
    target: Target,
    cubins: Option<Cubins>,
    loaded: Mutex<HashMap<Kernel, Slot>>,
    /// Threads that compile what will be wanted.
    compiling: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kernels for {:?}", self.target)
    }
}

impl Kernels {
    pub(super) fn new(context: Arc<Context>, compiler: Compiler, target: Target) -> Self {
        // Without a folder every process compiles anew.
        let cubins = Cubins::default_folder().and_then(|folder| Cubins::new(&folder).ok());
        Self { context, compiler, target, cubins, loaded: Mutex::default(), compiling: Mutex::default() }
    }

    /// The kernel of a text, loaded.
    pub(super) fn get(&self, kernel: &Kernel, cx: Option<&TaskContext<'_>>) -> Result<Arc<Module>> {
        let slot: Slot = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            match loaded.get(kernel) {
                Some(slot) => Arc::clone(slot),
                None => Arc::clone(loaded.entry(kernel.clone()).or_default()),
            }
        };
        let load = || self.load(&kernel.source()).map(Arc::new).map_err(Arc::new);
        let found = match slot.get() {
            Some(found) => found.clone(),
            None => waiting(cx, || slot.get_or_init(load).clone()),
        };
        if found.as_ref().is_err_and(|error| is_out_of_memory(error)) {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if loaded.get(kernel).is_some_and(|own| Arc::ptr_eq(own, &slot)) {
                loaded.remove(kernel);
            }
        }
        found.map_err(|cause| Error::Kernel { cause })
    }

    fn load(&self, source: &str) -> Result<Module> {
        self.load_named(source, ENTRY)
    }

    /// Compiles a text, and loads the kernel of a name in it.
    pub(super) fn load_named(&self, source: &str, entry: &str) -> Result<Module> {
        let code = match &self.cubins {
            Some(cubins) => self.compiler.cached(cubins, source, self.target)?,
            None => self.compiler.code(source, self.target)?,
        };
        Module::load(&self.context, &code, entry)
    }

    /// Has a thread of its own see to a kernel that will be wanted.
    pub(super) fn compile_meanwhile(self: &Arc<Self>, kernel: &Kernel) {
        let (own, kernel) = (Arc::clone(self), kernel.clone());
        let compile = move || {
            let _ = own.get(&kernel, None); // whoever wants it is told the error
        };
        let mut compiling = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        compiling.retain(|thread| !thread.is_finished());
        match std::thread::Builder::new().name("compiler of kernels".to_owned()).spawn(compile) {
            Ok(thread) => compiling.push(thread),
            Err(error) => tracing::debug!(%error, "kernels are compiled when they are wanted"),
        }
    }

    /// Waits for the threads that compile: none is to call the driver or the compiler while the process ends.
    pub(super) fn end(&self) {
        let compiling = std::mem::take(&mut *self.compiling.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in compiling {
            let _ = thread.join(); // what it found out is known to the kernel's slot
        }
    }
}
