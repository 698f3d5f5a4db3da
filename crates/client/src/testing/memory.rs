//! SQLCipher locks every allocation in memory, at two system calls each: half of the time of these tests, in which there is
//! nobody's secret. So the tests answer these calls themselves, in the place of the C library.

#![expect(unsafe_code, reason = "the names are the C library's, and so is the form; nothing is read or written")]

use std::ffi::{c_int, c_void};

#[unsafe(no_mangle)]
const extern "C" fn mlock(_address: *const c_void, _length: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
const extern "C" fn munlock(_address: *const c_void, _length: usize) -> c_int {
    0
}
