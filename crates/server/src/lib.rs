//! The mifengd process: api, gateway, jobs, configuration.
