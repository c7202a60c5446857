//! Dates of the Gregorian calendar, for clocks and time stamps.

/// A date and a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
}

const DAY: i64 = 86_400;

impl Calendar {
    /// From Unix seconds.
    pub(crate) fn from_unix(seconds: i64) -> Calendar {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years are counted from March, so that the day that may be missing is the last one.
        let days = days.saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        Calendar {
            year: year_of_era + era * 400 + i64::from(month >= 10),
            month: (if month < 10 { month + 3 } else { month - 9 }) as u32,
            day: (day_of_year - (153 * month + 2) / 5 + 1) as u32,
            hour: (rest / 3600) as u32,
            minute: (rest / 60 % 60) as u32,
            second: (rest % 60) as u32,
        }
    }

    /// To Unix seconds; `None` when there is no such day or time.
    pub(crate) fn to_unix(self) -> Option<i64> {
        let in_range = (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && (0..=9999).contains(&self.year);
        if !in_range {
            return None;
        }
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month = i64::from(if self.month > 2 { self.month - 3 } else { self.month + 9 });
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds = days * DAY + i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        // The 31st of a month that has none has become another day.
        (Calendar::from_unix(seconds) == self).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        // By `date -u -d @N`.
        for (seconds, year, month, day, hour, minute, second) in [
            (0, 1970, 1, 1, 0, 0, 0),
            (951_782_399, 2000, 2, 28, 23, 59, 59),
            (951_782_400, 2000, 2, 29, 0, 0, 0),
            (1_795_170_705, 2026, 11, 20, 10, 31, 45),
            (4_107_542_400, 2100, 3, 1, 0, 0, 0),
        ] {
            let calendar = Calendar { year, month, day, hour, minute, second };
            assert_eq!(Calendar::from_unix(seconds), calendar);
            assert_eq!(calendar.to_unix(), Some(seconds));
        }
        let wrong = Calendar { year: 2026, month: 2, day: 29, hour: 0, minute: 0, second: 0 };
        assert_eq!(wrong.to_unix(), None);
        assert_eq!(Calendar { month: 13, day: 1, ..wrong }.to_unix(), None);
        Calendar::from_unix(i64::MAX);
        Calendar::from_unix(i64::MIN);
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in -62_000_000_000i64..250_000_000_000) {
            let calendar = Calendar::from_unix(seconds);
            prop_assert_eq!(calendar.to_unix(), Some(seconds));
        }
    }
}
