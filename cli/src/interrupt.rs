//! SIGINT and SIGTERM: the first asks the run to stop cleanly, the second ends the program at once.
//!
//! Called by the commands that run plans, which pass the cancellation on, and by [`crate::exit`].

use blockwise::core::Cancellation;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// The flag of this process, for those who wait for servers. Nothing sets it before [`cancellation`] was called.
pub(crate) fn flag() -> Cancellation {
    static FLAG: OnceLock<Cancellation> = OnceLock::new();
    FLAG.get_or_init(Cancellation::new).clone()
}

/// The flag, which the first signal sets from now on.
pub(crate) fn cancellation() -> Cancellation {
    let cancellation = flag();
    let flag = cancellation.clone();
    // Without the handler a signal still ends the program, only less tidily; so a failure here is not one.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if RECEIVED.swap(signal, Ordering::SeqCst) != 0 {
                    // No destructors: the user has asked twice. Outputs are published by rename, so none is torn.
                    signal_hook::low_level::exit(i32::from(exit_code(signal)));
                }
                // Who is told to end by the system, as before a time limit, is not told to throw away what is done.
                if signal == SIGTERM {
                    blockwise::cluster::leave_when_cancelled();
                }
                flag.cancel();
            }
        });
    }
    cancellation
}

/// The signal that stopped the run; SIGINT if none is known.
pub(crate) fn received() -> i32 {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => SIGINT,
        signal => signal,
    }
}

/// 128 and the signal's number, as shells say it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}
