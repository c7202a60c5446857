//! Dates of the Gregorian calendar and Unix seconds.

const DAY: i64 = 86_400;

/// Unix seconds of a date: year, then month, day, hour, minute, second. `None` when there is no such moment.
pub(super) fn from_civil(year: i64, [month, day, hour, minute, second]: [i64; 5]) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719 468 days lie between 1 March of the year 0 and 1 January 1970.
    let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Unix seconds as a date for a person: `2026-11-20 09:46:06 UTC`.
pub(super) fn to_text(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(DAY) as i128 + 719_468, seconds.rem_euclid(DAY));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    let year = year + era * 400 + year_of_era;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", time / 3600, time / 60 % 60, time % 60)
}

/// Unix seconds as the UTCTime or GeneralizedTime of a certificate, DER (RFC 5280 §4.1.2.5: from 2050 on the latter).
pub fn encode_time(seconds: i64) -> Vec<u8> {
    let digits: String = to_text(seconds).chars().filter(char::is_ascii_digit).collect();
    let (tag, digits) = match digits.strip_prefix("20") {
        Some(short) if digits.as_str() < "2050" => (0x17u32, short),
        _ => (0x18, digits.as_str()),
    };
    crate::tlv::encode(tag, format!("{digits}Z").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        // From `date -u -d ... +%s`.
        for (year, rest, seconds, text) in [
            (1970, [1, 1, 0, 0, 0], 0, "1970-01-01 00:00:00 UTC"),
            (2020, [2, 29, 23, 59, 59], 1_583_020_799, "2020-02-29 23:59:59 UTC"),
            (2026, [11, 20, 9, 46, 6], 1_795_167_966, "2026-11-20 09:46:06 UTC"),
            (7496, [1, 24, 9, 48, 58], 174_385_734_538, "7496-01-24 09:48:58 UTC"),
            (9999, [12, 31, 23, 59, 59], 253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (1950, [1, 1, 0, 0, 0], -631_152_000, "1950-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(from_civil(year, rest), Some(seconds));
            assert_eq!(to_text(seconds), text);
        }
        // As OpenSSL writes them.
        assert_eq!(encode_time(1_795_167_966), b"\x17\x0D261120094606Z");
        assert_eq!(encode_time(174_385_734_538), b"\x18\x0F74960124094858Z");
        assert_eq!(encode_time(-631_152_000), b"\x18\x0F19500101000000Z");
        assert_eq!(from_civil(2023, [2, 29, 0, 0, 0]), None);
        assert_eq!(from_civil(2023, [13, 1, 0, 0, 0]), None);
        assert_eq!(from_civil(2023, [4, 31, 0, 0, 0]), None);
        assert_eq!(from_civil(2023, [1, 1, 24, 0, 0]), None);
        assert_eq!(from_civil(2023, [0, 0, 0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_number_of_seconds_has_a_text(seconds in any::<i64>()) {
            let _ = to_text(seconds);
        }
    }
}
