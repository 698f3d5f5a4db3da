//! Empty on purpose: see the patch section of the workspace manifest.
