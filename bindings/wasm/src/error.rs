//! Errors, as JavaScript throws them: an `Error` whose `name` is a stable code and whose `message` is for people.

use js_sys::Error;
use wasm_bindgen::JsValue;

/// The error that JavaScript catches.
pub(crate) fn thrown(code: &str, error: &dyn std::error::Error) -> JsValue {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let thrown = Error::new(&message);
    thrown.set_name(code);
    thrown.into()
}

/// A call that the brain refuses, or that failed, perhaps because the disk is full.
pub(crate) fn from_client(error: &client::Error) -> JsValue {
    let code = match error {
        client::Error::Database(client::DatabaseError::Full) => "full",
        _ if error.is_usage() => "refused",
        _ => "failed",
    };
    thrown(code, error)
}

/// What was given is not what it should be.
pub(crate) fn malformed(what: &str) -> JsValue {
    let thrown = Error::new(&format!("not {what}"));
    thrown.set_name("malformed");
    thrown.into()
}
