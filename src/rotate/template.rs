//! Names from a template: `{stem}.{date:%Y-%m-%d}.{seq}{ext}`.
//!
//! A template is read once for a log: what depends on the log's name is put in, and what is left are texts, dates and at most one
//! number. It is either one of a chain (`{n}`: names change at each rotation), or one of names that are given for good.
//!
//! **Stamps.** Of a name with a date the manifest keeps the [stamp](Dated), which must tell periods apart and should sort by time. It
//! is the date in the form `2026-05-01_00-00-00`, if that can be told from the name and says as much as the name does; else, with
//! `%d` or `%I` alone, the text in the name stands behind it or in its place. Names without a date all have the empty stamp.
//!
//! **Invariant:** [`Template::parse`] finds in a name exactly what [`Template::name`] made it of, and nothing in other names. What
//! could not be read back (a number beside a number, `%Z`) is refused when the template is read, by trying it with some times.
use super::name::Packing;
use super::schedule::Dated;
use jiff::civil::{Date, DateTime, Time, Weekday, date};
use jiff::fmt::strtime::{self, BrokenDownTime};

/// Longest name that file systems have, in bytes.
const NAME_MAX: usize = 255;
/// Room for a number behind a name, and for the ending of a packed one.
const BEHIND: usize = 16;
/// What joins the dates of a name that has several.
const JOIN: &str = "|";
const SECONDS: &str = "%Y-%m-%d_%H-%M-%S";

/// Why a template is not possible: a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names {text:?} are not possible: {why}")]
pub struct TemplateError {
    text: String,
    why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// As of strftime.
    Date(String),
    Seq,
    Number,
}

/// What archives of a log are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

impl Template {
    /// Reads a template, for a log whose file name is `log`.
    pub fn new(text: &str, log: &str) -> Result<Self, TemplateError> {
        let refused = |why: String| TemplateError { text: text.to_owned(), why };
        let pieces = read(text, log).map_err(refused)?;
        let template = Self { text: text.to_owned(), pieces };
        let problem = template.conflict().or_else(|| template.problem(log));
        problem.map_or(Ok(template), |why| Err(refused(why)))
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before and behind the number, of a chain.
    #[must_use]
    pub fn around_number(&self) -> Option<(String, String)> {
        let at = self.pieces.iter().position(|piece| *piece == Piece::Number)?;
        let texts = |pieces: &[Piece]| {
            let text =
                |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { String::new() };
            pieces.iter().map(text).collect::<String>()
        };
        Some((texts(&self.pieces[..at]), texts(&self.pieces[at + 1..])))
    }

    fn has_seq(&self) -> bool {
        self.pieces.contains(&Piece::Seq)
    }

    fn formats(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Date(format) => Some(format.as_str()),
            Piece::Text(_) | Piece::Seq | Piece::Number => None,
        })
    }

    /// The name of the `copy`-th file of a period that began then, counted from 0. `None` for a time that cannot be written so.
    #[must_use]
    pub fn name(&self, start: DateTime, copy: u32) -> Option<String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Date(format) => name.push_str(&strtime::format(format, start).ok()?),
                Piece::Seq | Piece::Number => name.push_str(&(u64::from(copy) + 1).to_string()),
            }
        }
        if copy > 0 && !self.has_seq() {
            name.push_str(&format!(".{copy}"));
        }
        Some(name)
    }

    /// The stamp of a period that began then.
    #[must_use]
    pub fn stamp(&self, start: DateTime) -> Option<String> {
        let texts = self.formats().map(|format| strtime::format(format, start).ok());
        Some(self.stamp_of(&texts.collect::<Option<Vec<String>>>()?))
    }

    /// The archive that has this file name, packed or not; `None` if it is not a name of this template, or one of a chain.
    #[must_use]
    pub fn parse(&self, name: &str) -> Option<Dated> {
        let (mut rest, packing) = Packing::strip(name);
        let (mut texts, mut seq) = (Vec::new(), None);
        for piece in &self.pieces {
            let len = match piece {
                Piece::Text(text) => rest.strip_prefix(text.as_str()).map(|_| text.len())?,
                Piece::Date(format) => date_at(format, rest)?,
                Piece::Seq => rest.bytes().take_while(u8::is_ascii_digit).count(),
                Piece::Number => return None,
            };
            let (found, behind) = rest.split_at_checked(len)?;
            match piece {
                Piece::Date(_) => texts.push(found.to_owned()),
                Piece::Seq => seq = Some(number(found)?.checked_sub(1)?),
                Piece::Text(_) | Piece::Number => {}
            }
            rest = behind;
        }
        let copy = match seq {
            Some(seq) => Some(seq).filter(|_| rest.is_empty())?,
            None if rest.is_empty() => 0,
            None => number(rest.strip_prefix('.')?)?,
        };
        Some(Dated { stamp: self.stamp_of(&texts), copy, packing })
    }

    fn stamp_of(&self, texts: &[String]) -> String {
        let formats: Vec<&str> = self.formats().collect();
        let (format, text) = (formats.join(JOIN), texts.join(JOIN));
        let start = BrokenDownTime::parse(&format, &text).ok().and_then(start_of);
        let Some(start) = start else { return text };
        let stamp = start.strftime(SECONDS).to_string();
        let same = strtime::format(&format, start).is_ok_and(|again| again == text);
        if same { stamp } else { format!("{stamp}~{text}") }
    }

    /// What fields do not go together.
    fn conflict(&self) -> Option<String> {
        let count = |is: fn(&Piece) -> bool| self.pieces.iter().filter(|piece| is(piece)).count();
        let numbers = count(|piece| *piece == Piece::Number);
        let seqs = count(|piece| *piece == Piece::Seq);
        let dates = self.formats().count();
        let why = match (numbers, seqs, dates) {
            (0, 0, 0) => "all archives would have one name: put {n}, {date:%Y-%m-%d} or {seq} into it",
            (1, 0, 0) | (0, 0 | 1, _) => return None,
            (0, ..) => "{seq} can stand there once only",
            (_, 0, 0) => "{n} can stand there once only",
            _ => {
                "names with {n} change at each rotation, those with {date} or {seq} never do: take {n} alone, or leave it out"
            }
        };
        Some(why.to_owned())
    }

    /// What is wrong with the names that it makes.
    fn problem(&self, log: &str) -> Option<String> {
        for (start, copy) in probes() {
            let Some(name) = self.name(start, copy) else {
                return Some(format!(
                    "{} cannot be written: only dates and times of day are known of a period, no zone",
                    self.formats().collect::<Vec<_>>().join(" ")
                ));
            };
            if let Some(why) = self.unusable(&name, log) {
                return Some(why);
            }
            let stamp = self.stamp(start).unwrap_or_default();
            let made = Dated { stamp, copy, packing: Packing::Plain };
            if self.around_number().is_none() && self.parse(&name) != Some(made) {
                return Some(format!(
                    "{name:?} could not be read back: put something that is no digit between numbers, and use only dates that can be read, such as %Y-%m-%d"
                ));
            }
        }
        let is_log = match self.around_number() {
            Some((before, behind)) => {
                let middle = log.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&behind));
                middle.is_some_and(|middle| number(middle).is_some())
            }
            None => self.parse(log).is_some(),
        };
        is_log.then(|| format!("the log itself is called so: {log:?}"))
    }

    fn unusable(&self, name: &str, log: &str) -> Option<String> {
        if name.contains(['/', '\0']) {
            return Some(
                "archives stand beside the log: leave out slashes, also in dates (%F for %D)".into(),
            );
        }
        if name.starts_with('.') && !log.starts_with('.') {
            return Some("names that begin with a dot are hidden: begin with {name} or {stem}".into());
        }
        if Packing::strip(name).1 != Packing::Plain {
            return Some(format!(
                "{name:?} ends like a packed file: these endings are put behind everything when archives are packed"
            ));
        }
        if name.len() > NAME_MAX - BEHIND {
            return Some(format!(
                "{name:?} has {} bytes: at most {} are possible",
                name.len(),
                NAME_MAX - BEHIND
            ));
        }
        // As the chain's own, with the newest archive at the other end.
        let (before, seq_last) = (format!("{log}."), self.pieces.last() == Some(&Piece::Seq));
        let like_chain = self.formats().next().is_none()
            && seq_last
            && name.strip_prefix(&before).is_some_and(|n| number(n).is_some());
        like_chain.then(|| format!("{name:?} is a name of numbered archives, of which 1 is the newest: take {{stem}}.{{seq}}{{ext}}, or {{name}}.s{{seq}}"))
    }
}

/// Times with one digit and with two, before noon and after.
fn probes() -> impl Iterator<Item = (DateTime, u32)> {
    let times = [
        date(2026, 1, 2).at(3, 4, 5, 0),
        date(2026, 9, 30).at(0, 0, 0, 0),
        date(2027, 12, 31).at(23, 59, 58, 0),
    ];
    times.into_iter().flat_map(|time| [0, 1, 9, 99].map(|copy| (time, copy)))
}

/// Exactly a number as we write them, from 1.
fn number(digits: &str) -> Option<u32> {
    let ours = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| ours)
}

/// Length of the date at the beginning of a text, if it is written as this format writes it.
fn date_at(format: &str, text: &str) -> Option<usize> {
    let (time, len) = BrokenDownTime::parse_prefix(format, text).ok()?;
    let found = text.get(..len)?;
    let again = |time: &BrokenDownTime| time.to_string(format).is_ok_and(|again| again == found);
    // A week says nothing of its days, and half a day nothing of the other half.
    let whole = |time| start_of(time).and_then(|start| strtime::format(format, start).ok());
    (again(&time) || whole(time).is_some_and(|again| again == found)).then_some(len)
}

/// The first moment of what is known of it; without a year it is none.
fn start_of(time: BrokenDownTime) -> Option<DateTime> {
    let known = |part: Option<i8>| part.unwrap_or(0);
    let clock = Time::new(known(time.hour()), known(time.minute()), known(time.second()), 0).ok()?;
    Some(first_day(time)?.to_datetime(clock))
}

fn first_day(mut time: BrokenDownTime) -> Option<Date> {
    if let Ok(day) = time.to_date() {
        return Some(day);
    }
    let in_year = |time: &BrokenDownTime| {
        Date::new(time.year()?, time.month().unwrap_or(1), time.day().unwrap_or(1)).ok()
    };
    if time.weekday().is_some() || time.month().is_some() {
        return in_year(&time);
    }
    time.set_weekday(Some(Weekday::Monday));
    time.to_date().ok().or_else(|| in_year(&time))
}

/// The pieces of a template.
fn read(text: &str, log: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            put(&mut pieces, &c.to_string());
            rest = behind;
        } else if c == '{' {
            let (field, behind) = rest[1..]
                .split_once('}')
                .ok_or("a field does not end: write } behind it, or {{ for a brace")?;
            field_of(field, log, &mut pieces)?;
            rest = behind;
        } else if c == '}' {
            return Err("} stands there without a {: write }} for a brace".into());
        } else {
            put(&mut pieces, &rest[..c.len_utf8()]);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(pieces)
}

fn put(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn field_of(field: &str, log: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
    let dot = log.rfind('.').filter(|at| *at > 0).unwrap_or(log.len());
    let (stem, ext) = log.split_at(dot);
    match field.split_once(':') {
        None if field == "name" => put(pieces, log),
        None if field == "stem" => put(pieces, stem),
        None if field == "ext" => put(pieces, ext),
        None if field == "n" => pieces.push(Piece::Number),
        None if field == "seq" => pieces.push(Piece::Seq),
        Some(("date", "")) | None if field.starts_with("date") => {
            return Err("a date needs a format, such as {date:%Y-%m-%d}".into());
        }
        Some(("date", format)) => date_piece(format, pieces)?,
        _ => {
            return Err(format!(
                "{{{field}}} is not known: fields are {{name}}, {{stem}}, {{ext}}, {{n}}, {{seq}} and {{date:%Y-%m-%d}}"
            ));
        }
    }
    Ok(())
}

/// A format that always writes the same is a text.
fn date_piece(format: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
    let write =
        |time: DateTime| strtime::format(format, time).map_err(|e| format!("{format} is no date: {e}"));
    let mut written = probes().map(|(time, _)| write(time));
    let first = written.next().unwrap_or_else(|| Ok(String::new()))?;
    let others = written.collect::<Result<Vec<String>, String>>()?;
    if others.iter().all(|other| *other == first) {
        return Err(format!("{format} is the same at all times: a date is written like %Y-%m-%d"));
    }
    pieces.push(Piece::Date(format.to_owned()));
    Ok(())
}

#[cfg(test)]
#[path = "template_tests.rs"]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests;
