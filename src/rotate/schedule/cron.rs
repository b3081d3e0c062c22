//! The five fields of cron: minute, hour, day of the month, month, day of the week.
use super::parse::Problem;
use std::fmt;

/// A set of small numbers; bit n stands for n.
type Set = u64;

/// The five fields as sets. Its text is not what was typed but means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    pub(super) minutes: Set,
    pub(super) hours: Set,
    pub(super) days: Set,
    pub(super) months: Set,
    /// Sunday is 0.
    pub(super) weekdays: Set,
}

/// What a field may hold.
#[derive(Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// Three letters each, for the numbers from `first` on.
    names: &'static str,
}

pub(super) const MINUTE: Field = Field { name: "minute", first: 0, last: 59, names: "" };
pub(super) const HOUR: Field = Field { name: "hour", first: 0, last: 23, names: "" };
pub(super) const DAY: Field = Field { name: "day of the month", first: 1, last: 31, names: "" };
pub(super) const MONTH: Field =
    Field { name: "month", first: 1, last: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec" };
pub(super) const WEEKDAY: Field =
    Field { name: "day of the week", first: 0, last: 6, names: "sunmontuewedthufrisat" };

/// How many days the months have at most.
const MONTH_DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Field {
    /// Every number that the field may hold.
    pub(super) const fn all(self) -> Set {
        (u64::MAX >> (63 - self.last)) & (u64::MAX << self.first)
    }

    fn wrong(self, item: &str) -> Problem {
        let Self { name, first, last, .. } = self;
        Problem::Field { item: item.to_owned(), name, first, last }
    }

    fn parse(self, text: &str) -> Result<Set, Problem> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.item(item).ok_or_else(|| self.wrong(item))?))
    }

    /// `*`, `*/n`, `a`, `a-b`, `a-b/n`.
    fn item(self, item: &str) -> Option<Set> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, digits(step).filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            None if range == "*" => (self.first, self.last),
            None => (self.number(range)?, self.number(range)?),
        };
        // A step needs something to step through: cron's `5/10` is a riddle.
        if first > last || (first == last && item.contains('/')) {
            return None;
        }
        let numbers = (first..=last).step_by(step.into());
        Some(numbers.fold(0, |set, number| set | 1 << self.fold_sunday(number)))
    }

    fn number(self, text: &str) -> Option<u8> {
        if let Some(index) = self.named(text) {
            return Some(index);
        }
        let last = if self.is_weekday() { 7 } else { self.last };
        digits(text).filter(|number| (self.first..=last).contains(number))
    }

    fn named(self, text: &str) -> Option<u8> {
        let text = text.to_ascii_lowercase();
        let place = self.names.as_bytes().chunks(3).position(|name| name == text.as_bytes())?;
        u8::try_from(place).ok()?.checked_add(self.first)
    }

    const fn is_weekday(self) -> bool {
        self.last == 6
    }

    /// Cron calls Sunday both 0 and 7.
    const fn fold_sunday(self, number: u8) -> u8 {
        if self.is_weekday() && number == 7 { 0 } else { number }
    }

    /// The shortest text of a set: `*`, `*/n`, or numbers and ranges.
    fn text(self, set: Set) -> String {
        let stepped = |step: u8| (self.first..=self.last).step_by(step.into());
        let same = |step: &u8| {
            let numbers = stepped(*step);
            numbers.len() > 1 && numbers.fold(0, |all, number| all | 1 << number) == set
        };
        match (1..=self.last).find(same) {
            Some(1) => return "*".to_owned(),
            Some(step) => return format!("*/{step}"),
            None => {}
        }
        self.ranges(set).join(",")
    }

    fn ranges(self, set: Set) -> Vec<String> {
        let has = |number: u8| number <= self.last && set & (1 << number) != 0;
        let starts = (self.first..=self.last).filter(|n| has(*n) && (*n == 0 || !has(n - 1)));
        let runs =
            starts.map(|start| (start, (start..=self.last).take_while(|n| has(*n)).last().unwrap_or(start)));
        runs.map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect()
    }
}

/// Digits only: `u8::from_str` takes a sign, too.
fn digits(text: &str) -> Option<u8> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Cron {
    pub(super) fn parse(fields: [&str; 5]) -> Result<Self, Problem> {
        let [minutes, hours, days, months, weekdays] = fields;
        let cron = Self {
            minutes: MINUTE.parse(minutes)?,
            hours: HOUR.parse(hours)?,
            days: DAY.parse(days)?,
            months: MONTH.parse(months)?,
            weekdays: WEEKDAY.parse(weekdays)?,
        };
        if cron.ever() { Ok(cron) } else { Err(Problem::Never) }
    }

    /// Whether there is such a day at all: there is no 30 February.
    fn ever(&self) -> bool {
        let months = (1..).zip(MONTH_DAYS).filter(|(month, _)| self.months & (1 << month) != 0);
        let fits = |last: u8| self.days & (u64::MAX >> (63 - last)) != 0;
        self.either() || months.into_iter().any(|(_, last)| fits(last))
    }

    /// If both days are restricted, one of them is enough: so says cron.
    pub(super) const fn either(&self) -> bool {
        self.days != DAY.all() && self.weekdays != WEEKDAY.all()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [(MINUTE, self.minutes), (HOUR, self.hours), (DAY, self.days), (MONTH, self.months)];
        for (field, set) in fields {
            write!(f, "{} ", field.text(set))?;
        }
        f.write_str(&WEEKDAY.text(self.weekdays))
    }
}
