//! Lengths of time as people write them: `30s`, `5m`, `2h`, `1d`, `4w`.

/// Seconds of a text like `5m`; `None` when it is not one, or longer than a year.
pub(crate) fn parse(text: &str) -> Option<u32> {
    const YEAR: u32 = 366 * 86_400;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.parse::<u32>().ok()?.checked_mul(unit).filter(|seconds| (1..=YEAR).contains(seconds))
}

/// The same, or `off`, which is 0.
pub(crate) fn parse_timer(text: &str) -> Option<u32> {
    if text == "off" { Some(0) } else { parse(text) }
}

/// `1 day`, `90 minutes`: in the largest unit that divides it.
pub(crate) fn in_words(seconds: u32) -> String {
    let units = [(7 * 86_400, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    let number = seconds / unit;
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// What somebody did who set a conversation's timer: `set messages to disappear 1 day after reading`.
pub(crate) fn timer_set(seconds: u32) -> String {
    match seconds {
        0 => "set messages to stay".into(),
        seconds => format!("set messages to disappear {} after reading", in_words(seconds)),
    }
}

/// `3d`, `5h`, `59s`: about how long, in three columns or so.
pub(crate) fn short(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        3_600..=86_399 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400), ("4w", 2_419_200)] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for text in ["", "s", "5", "-5m", "5x", "0s", "9999999999d", "400d", "1.5h", "五m", "5µ"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!((parse_timer("off"), parse_timer("1h"), parse_timer("on")), (Some(0), Some(3_600), None));
        assert_eq!(
            (in_words(86_400), in_words(5_400), in_words(1)),
            ("1 day".into(), "90 minutes".into(), "1 second".into())
        );
        assert_eq!((short(59), short(3_600), short(200_000)), ("59s".into(), "1h".into(), "2d".into()));
    }
}
