//! Dates of the Gregorian calendar, extended backwards, from days since 2000-01-01.

const DAY_US: i64 = 86_400_000_000;

pub(crate) fn date_text(days: i64) -> String {
    // Eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
    let shifted = days + 730_425;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

pub(crate) fn time_text(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { clock } else { format!("{clock}.{fraction:06}").trim_end_matches('0').to_owned() }
}

pub(crate) fn timestamp_text(micros: i64) -> String {
    format!("{} {}", date_text(micros.div_euclid(DAY_US)), time_text(micros.rem_euclid(DAY_US)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (days, text) in [
            (0, "2000-01-01"),
            (-1, "1999-12-31"),
            (59, "2000-02-29"),
            (60, "2000-03-01"),
            (8_825, "2024-02-29"),
            (-10_957, "1970-01-01"),
            (-730_119, "0001-01-01"),
            (2_921_939, "9999-12-31"),
        ] {
            assert_eq!(date_text(days), text);
        }
        assert_eq!(timestamp_text(-1), "1999-12-31 23:59:59.999999");
        assert_eq!(time_text(1_500_000), "00:00:01.5");
    }
}
