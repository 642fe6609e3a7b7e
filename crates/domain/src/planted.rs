//! Faults that are planted to prove that the tests would see them. With the feature `planted`, which only
//! tests turn on, one fault at a time can be selected on a thread; without it [`planted`] is `false` for the
//! compiler, and nothing of the faults is in the program.

#[cfg(feature = "planted")]
thread_local! {
    static SELECTED: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Whether the fault of this name is to happen here.
#[cfg(feature = "planted")]
pub fn planted(fault: &str) -> bool {
    SELECTED.get() == Some(fault)
}

/// Whether the fault of this name is to happen here: never.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_fault: &str) -> bool {
    false
}

/// Selects the fault that happens on this thread from here on.
#[cfg(feature = "planted")]
pub fn plant(fault: Option<&'static str>) {
    SELECTED.set(fault);
}
