//! Reading the file and laying the environment over it.

use super::{Config, ConfigError, environment};
use std::{fs, path::Path};

/// The file's name in the data directory.
pub const FILE_NAME: &str = "mifengd.toml";

/// What `init` writes: every key with its default and what it means.
pub const TEMPLATE: &str = include_str!("template.toml");

/// Reads the data directory's configuration, lays the environment's overrides over it and validates the whole.
///
/// # Errors
/// [`ConfigError`].
pub fn load(data: &Path, overrides: &environment::Overrides) -> Result<Config, ConfigError> {
    let path = data.join(FILE_NAME);
    let text = fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    parse(&path, &text, overrides)
}

/// As [`load`], from the file's text.
///
/// # Errors
/// [`ConfigError`].
pub fn parse(path: &Path, text: &str, overrides: &environment::Overrides) -> Result<Config, ConfigError> {
    let wrong = |error: toml::de::Error| ConfigError::Parse { path: path.into(), text: error.to_string() };
    // By itself first: only the text still has lines to name.
    let _: Config = toml::from_str(text).map_err(wrong)?;
    let mut table: toml::Table = toml::from_str(text).map_err(wrong)?;
    for (name, section, key, value) in overrides.entries() {
        let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(entry) = entry.as_table_mut() {
            entry.insert(key.to_owned(), value);
        }
        let checked: Result<Config, _> = table.clone().try_into();
        checked
            .map_err(|error| ConfigError::Environment { name: name.to_owned(), text: error.message().to_owned() })?;
    }
    let config: Config = table.try_into().map_err(wrong)?;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Overrides;
    use std::path::PathBuf;

    fn parsed(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let overrides = Overrides::from_variables(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        parse(&PathBuf::from("mifengd.toml"), text, &overrides.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_says_the_defaults() {
        assert_eq!(parsed(TEMPLATE, &[]), Ok(Config::default()));
        assert_eq!(parsed("", &[]), Ok(Config::default()));
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        for (text, key, line) in [
            ("[clients]\nlisten = \"127.0.0.1:1\"\nlisen = 3\n", "lisen", "line 3"),
            ("\n\n[client]\n", "client", "line 3"),
            ("[limits]\nconnections = \"many\"\n", "connections", "line 2"),
            ("[limits]\nsession_rate = { burst = 1, per_secnd = 1 }\n", "per_secnd", "line 2"),
            ("[log]\nlevel = \"loud\"\n", "loud", "line 2"),
        ] {
            let error = parsed(text, &[]).unwrap_err();
            assert!(error.contains(key) && error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let error = parsed("[limits]\nqueue_bytes = 10\n", &[]).unwrap_err();
        assert!(error.contains("limits.queue_bytes"), "{error}");
        let error = parsed("[limits]\nmessage_rate = { burst = 0, per_second = 1 }\n", &[]).unwrap_err();
        assert!(error.contains("limits.message_rate"), "{error}");
        let error = parsed("[archive]\nuser_bytes = 131071\n", &[]).unwrap_err();
        assert!(error.contains("archive.user_bytes"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = parsed(
            "[clients]\nlisten = \"127.0.0.1:1\"\n",
            &[
                ("MIFENG_CLIENTS_LISTEN", "127.0.0.1:0"),
                ("MIFENG_LIMITS_CONNECTIONS", "7"),
                ("MIFENG_LOG_FORMAT", "json"),
                ("MIFENG_ARCHIVE_DAYS", "90"),
                ("MIFENG_BLOBS_DAYS", "30"),
            ],
        )
        .unwrap();
        assert_eq!(config.clients.listen.port(), 0);
        assert_eq!(config.limits.connections, 7);
        assert_eq!((config.archive.days, config.blobs.days), (90, 30));
        assert_eq!(config.log.format, crate::config::LogFormat::Json);
    }

    #[test]
    fn an_unknown_or_wrong_variable_is_named() {
        let error = parsed("", &[("MIFENG_CLIENTS_LISTN", "127.0.0.1:0")]).unwrap_err();
        assert!(error.contains("MIFENG_CLIENTS_LISTN"), "{error}");
        let error = parsed("", &[("MIFENG_LIMITS_CONNECTIONS", "many")]).unwrap_err();
        assert!(error.contains("MIFENG_LIMITS_CONNECTIONS"), "{error}");
        assert!(parsed("", &[("MIFENG_HOME", "/elsewhere"), ("PATH", "/bin")]).is_ok());
    }
}
