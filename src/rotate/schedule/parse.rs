//! From what a person types to a [`Trigger`].
//!
//! ```text
//! hourly [ZONE]                        WHEN [INTERVAL] [at HH:MM[:SS]] [ZONE]
//! [daily] HH:MM[:SS] [ZONE]              WHEN: S M H D MIDNIGHT W0 .. W6, at: MIDNIGHT and W0 .. W6 only
//! weekly DAY [HH:MM[:SS]] [ZONE]
//! monthly DAY [HH:MM[:SS]] [ZONE]      MINUTE HOUR DAY MONTH WEEKDAY [ZONE]      (cron)
//! ```
//! An `at` may stand before each time.
use super::cron::Cron;
use super::trigger::{Calendar, Std, Trigger, Unit, When, Zone};
use jiff::civil::{Time, Weekday};
use std::num::NonZeroU32;
use std::str::FromStr;

/// A text that is no trigger, and what could have stood there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time to rotate at: {problem}")]
pub struct TriggerError {
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a text, and what can be typed in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The first word is unknown.
    #[error(
        "write `hourly`, `daily 03:00`, `weekly Monday 03:00`, `monthly 1 00:00`, five fields like cron's \
         `*/15 * * * *`, or as in Python S, M, H, D, MIDNIGHT, W0 (Monday) to W6, like `H 6`; \
         each may be followed by a time zone, like `daily 03:00 Europe/Berlin`"
    )]
    Kind,
    /// A time of the day was expected.
    #[error("{0:?} is no time; write HH:MM or HH:MM:SS, from 00:00 to 23:59:59")]
    Time(String),
    /// A day of the week was expected.
    #[error("{0:?} is no day of the week; write Monday to Sunday, or Mon to Sun, like `weekly Monday 03:00`")]
    Weekday(String),
    /// A day of a month was expected.
    #[error("{0:?} is no day of a month; write 1 to 31, like `monthly 1 00:00`")]
    MonthDay(String),
    /// An interval was expected.
    #[error("{0:?} is no interval; write a number from 1 to 4294967295, like `H 6`")]
    Interval(String),
    /// Python's weekly triggers name a day.
    #[error("{0:?} names no day; write W0 (Monday) to W6 (Sunday)")]
    PythonWeek(String),
    /// A time of the day for a trigger that counts from the last rotation.
    #[error("`at` goes with MIDNIGHT and W0 to W6 only; write for example `daily 03:00`")]
    At,
    /// A field of cron.
    #[error("{item:?} is no {name}; write {first}-{last}, *, */2, 1-5 or a list like 1,3")]
    Field {
        /// The item of the field.
        item: String,
        /// What the field is called.
        name: &'static str,
        /// Its lowest number.
        first: u8,
        /// Its highest number.
        last: u8,
    },
    /// Not five fields.
    #[error("there are five fields, minute hour day month weekday, like `0 3 * * 1`, and then a time zone")]
    Fields,
    /// Cron fields that name a day which no year has.
    #[error("there is no such day in any year")]
    Never,
    /// A word where a zone, or nothing, was expected.
    #[error("{0:?} is no name of a time zone; write one like Europe/Berlin, UTC, or none for the local time")]
    Zone(String),
    /// More words than there is a meaning for.
    #[error("nothing can follow the time zone, but there is {0:?}")]
    Rest(String),
}

impl FromStr for Trigger {
    type Err = TriggerError;

    fn from_str(text: &str) -> Result<Self, TriggerError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        parse(&words).map_err(|problem| TriggerError { text: text.to_owned(), problem })
    }
}

fn parse(words: &[&str]) -> Result<Trigger, Problem> {
    let (first, rest) = words.split_first().ok_or(Problem::Kind)?;
    let (when, rest) = match first.to_ascii_lowercase().as_str() {
        "hourly" => (calendar(Calendar::Hourly), rest),
        "daily" => daily(rest)?,
        "weekly" => weekly(rest)?,
        "monthly" => monthly(rest)?,
        _ if first.contains(':') => daily(words)?,
        _ if first.starts_with(|c: char| c == '*' || c.is_ascii_digit()) => cron(words)?,
        _ => std(unit(first)?, rest)?,
    };
    Ok(Trigger { when, zone: zone(rest)? })
}

const fn calendar(calendar: Calendar) -> When {
    When::Calendar(calendar)
}

type Parsed<'w> = Result<(When, &'w [&'w str]), Problem>;

fn daily<'w>(words: &'w [&'w str]) -> Parsed<'w> {
    let (at, rest) = time(words)?;
    Ok((calendar(Calendar::Daily { at }), rest))
}

fn weekly<'w>(words: &'w [&'w str]) -> Parsed<'w> {
    let (word, rest) = words.split_first().ok_or_else(|| Problem::Weekday(String::new()))?;
    let day = weekday(word).ok_or_else(|| Problem::Weekday((*word).to_owned()))?;
    let (at, rest) = time(rest)?;
    Ok((calendar(Calendar::Weekly { day, at }), rest))
}

fn monthly<'w>(words: &'w [&'w str]) -> Parsed<'w> {
    let (word, rest) = words.split_first().ok_or_else(|| Problem::MonthDay(String::new()))?;
    let day = number(word).and_then(|day| u8::try_from(day).ok()).filter(|day| (1..=31).contains(day));
    let day = day.ok_or_else(|| Problem::MonthDay((*word).to_owned()))?;
    let (at, rest) = time(rest)?;
    Ok((calendar(Calendar::Monthly { day, at }), rest))
}

fn cron<'w>(words: &'w [&'w str]) -> Parsed<'w> {
    let (fields, rest) = words.split_first_chunk::<5>().ok_or(Problem::Fields)?;
    Ok((calendar(Calendar::Cron(Cron::parse(*fields)?)), rest))
}

fn unit(word: &str) -> Result<Unit, Problem> {
    match word.to_ascii_uppercase().as_str() {
        "S" => Ok(Unit::Second),
        "M" => Ok(Unit::Minute),
        "H" => Ok(Unit::Hour),
        "D" => Ok(Unit::Day),
        "MIDNIGHT" => Ok(Unit::Midnight),
        upper if upper == "W" || is_w_and_digits(upper) => {
            let day = upper.strip_prefix('W').and_then(|digit| digit.parse::<i8>().ok());
            let day =
                day.filter(|_| upper.len() == 2).and_then(|day| Weekday::from_monday_zero_offset(day).ok());
            day.map(Unit::Week).ok_or_else(|| Problem::PythonWeek(word.to_owned()))
        }
        _ => Err(Problem::Kind),
    }
}

fn is_w_and_digits(word: &str) -> bool {
    word.strip_prefix('W').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn std<'w>(unit: Unit, words: &'w [&'w str]) -> Parsed<'w> {
    let (interval, rest) = match words.split_first() {
        Some((word, rest)) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            let interval = number(word).and_then(NonZeroU32::new);
            (interval.ok_or_else(|| Problem::Interval((*word).to_owned()))?, rest)
        }
        _ => (NonZeroU32::MIN, words),
    };
    let (at, rest) = match rest.split_first() {
        Some((word, rest)) if word.eq_ignore_ascii_case("at") => {
            let word = rest.first().copied().unwrap_or_default();
            let at = clock(word).ok_or_else(|| Problem::Time(word.to_owned()))?;
            (Some(at), rest.get(1..).unwrap_or_default())
        }
        _ => (None, rest),
    };
    let aligned = matches!(unit, Unit::Midnight | Unit::Week(_));
    if at.is_some() && !aligned {
        Err(Problem::At)
    } else {
        Ok((When::Std(Std { unit, interval, at }), rest))
    }
}

/// A time of the day if one stands there; midnight if a zone or nothing does.
fn time<'w>(words: &'w [&'w str]) -> Result<(Time, &'w [&'w str]), Problem> {
    if let Some((word, rest)) = words.split_first()
        && word.eq_ignore_ascii_case("at")
    {
        let word = rest.first().copied().unwrap_or_default();
        let at = clock(word).ok_or_else(|| Problem::Time(word.to_owned()))?;
        return Ok((at, rest.get(1..).unwrap_or_default()));
    }
    match words.split_first() {
        Some((word, rest)) if !starts_with_letter(word) => {
            Ok((clock(word).ok_or_else(|| Problem::Time((*word).to_owned()))?, rest))
        }
        _ => Ok((Time::midnight(), words)),
    }
}

fn clock(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour = parts.next().filter(|part| part.len() <= 2).and_then(number)?;
    let minute = parts.next().filter(|part| part.len() == 2).and_then(number)?;
    let second = match parts.next() {
        Some(part) => Some(part).filter(|part| part.len() == 2).and_then(number)?,
        None => 0,
    };
    let small = |number: u32| i8::try_from(number).ok();
    let time = Time::new(small(hour)?, small(minute)?, small(second)?, 0).ok()?;
    Some(time).filter(|_| parts.next().is_none())
}

/// Digits only: `u32::from_str` takes a sign, too.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn weekday(word: &str) -> Option<Weekday> {
    let days = Weekday::Monday.cycle_forward().take(7);
    let is = |day: &Weekday| {
        let name = format!("{day:?}").to_ascii_lowercase();
        let word = word.to_ascii_lowercase();
        word == name || (word.len() == 3 && name.starts_with(&word))
    };
    days.into_iter().find(is)
}

fn zone(words: &[&str]) -> Result<Zone, Problem> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(Zone::Local);
    };
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    if !starts_with_letter(name) || !name.bytes().all(of_a_name) {
        return Err(Problem::Zone((*name).to_owned()));
    }
    if let Some(word) = rest.first() {
        return Err(Problem::Rest((*word).to_owned()));
    }
    let utc = name.eq_ignore_ascii_case("UTC");
    Ok(if utc { Zone::Utc } else { Zone::Named((*name).to_owned()) })
}

fn starts_with_letter(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
}
