//! A call later, taken back when it is dropped.

use js_sys::global;
use wasm_bindgen::prelude::*;
use web_sys::WorkerGlobalScope;

/// A browser counts the wait in 32 bits.
const WAIT_MAX_MS: u64 = 60_000;

pub(super) struct Timer {
    handle: i32,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    /// Calls `callback` once after about so many milliseconds, or after a minute if they are more.
    pub(super) fn start(after_ms: u64, callback: impl FnMut() + 'static) -> Option<Self> {
        let callback = Closure::new(callback);
        let wait = i32::try_from(after_ms.min(WAIT_MAX_MS)).unwrap_or_default();
        let scope: WorkerGlobalScope = global().unchecked_into();
        let function = callback.as_ref().unchecked_ref();
        let handle = scope.set_timeout_with_callback_and_timeout_and_arguments_0(function, wait).ok()?;
        Some(Self { handle, _callback: callback })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let scope: WorkerGlobalScope = global().unchecked_into();
        scope.clear_timeout_with_handle(self.handle);
    }
}
