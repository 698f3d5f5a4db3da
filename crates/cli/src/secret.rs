//! Where passwords come from: a file, the environment, or the person; never the command line, which others can see.

use crate::failure::Failure;
use std::io::{self, IsTerminal};
use std::path::Path;
use zeroize::Zeroizing;

/// A secret from the first of: the file, the environment variable, a question. `Ok(None)`: nowhere, and nobody to ask.
pub(crate) fn read(
    file: Option<&Path>,
    variable: &str,
    question: Option<&str>,
) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        return Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())));
    }
    if let Ok(value) = std::env::var(variable) {
        return Ok(Some(Zeroizing::new(value)));
    }
    match question {
        Some(question) if io::stdin().is_terminal() => Ok(Some(Zeroizing::new(rpassword::prompt_password(question)?))),
        _ => Ok(None),
    }
}
