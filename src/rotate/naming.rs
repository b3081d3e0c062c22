//! The names of a log's files: as they are made now, and as they were made before.
//!
//! Which templates a log had is not to be told from a directory, so the [manifest](super::manifest) remembers them. A name that
//! several kinds could have made is one of those that are made now, or else of the youngest template, of the chain, of a date.
use super::Scheme;
use super::name::Packing;
use super::name::{Member, Standing};
use super::schedule::{Dated, Precision};
use super::template::{Template, TemplateError};
use jiff::civil::DateTime;
use std::cmp::Reverse;

/// What is before and behind the number of an archive of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    before: String,
    behind: String,
}

impl Chained {
    /// `<log>.1` and so on.
    #[must_use]
    pub fn plain(log: &str) -> Self {
        Self { before: format!("{log}."), behind: String::new() }
    }

    fn name(&self, what: &str, packing: Packing) -> String {
        format!("{}{what}{}{}", self.before, self.behind, packing.ending())
    }

    /// The name of a member that is not the log.
    #[must_use]
    pub fn of(&self, member: Member) -> String {
        match member.number {
            Member::OUT => self.name(Member::OUT_NAME, member.packing),
            Member::WAITING => self.name(Member::WAITING_NAME, member.packing),
            number => self.name(&number.to_string(), member.packing),
        }
    }

    /// The member that has this name. Exactly the names that [`Chained::of`] makes are recognized: no sign, no leading zero, no
    /// number 0, none that `u32` has no room for.
    #[must_use]
    pub fn parse(&self, name: &str) -> Option<Member> {
        let rest = name.strip_prefix(self.before.as_str())?;
        let (rest, packing) = Packing::strip(rest);
        let digits = rest.strip_suffix(self.behind.as_str())?;
        match digits {
            Member::OUT_NAME => return Some(Member { number: Member::OUT, packing }),
            Member::WAITING_NAME => return Some(Member { number: Member::WAITING, packing }),
            _ => {}
        }
        let ours = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        let number = digits.parse().ok().filter(|number| ours && *number <= Member::LAST)?;
        Some(Member { number, packing })
    }
}

/// What the files of a log are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    log: String,
    scheme: Scheme,
    /// What is made now; `None`: what the scheme has by itself.
    template: Option<Template>,
    /// The chain as it is made now, or would be.
    chain: Chained,
    /// Templates from before, the youngest last.
    former: Vec<Template>,
}

impl Naming {
    /// The names of a log whose file name is `log`, without a template.
    #[must_use]
    pub fn plain(log: &str, scheme: Scheme) -> Self {
        Self { log: log.to_owned(), scheme, template: None, chain: Chained::plain(log), former: Vec::new() }
    }

    /// Names from a template.
    pub fn from_template(log: &str, text: &str) -> Result<Self, TemplateError> {
        let template = Template::new(text, log)?;
        let around = template.around_number();
        let scheme = if around.is_some() { Scheme::Numbered } else { Scheme::Dated };
        let chain = around.map_or_else(|| Chained::plain(log), |(before, behind)| Chained { before, behind });
        Ok(Self { scheme, template: Some(template), chain, ..Self::plain(log, scheme) })
    }

    /// What the configuration says; a template that is not one for this log counts as none.
    #[must_use]
    pub fn new(log: &str, scheme: Scheme, template: Option<&str>) -> Self {
        let made = template.and_then(|text| Self::from_template(log, text).ok());
        made.filter(|made| made.scheme == scheme).unwrap_or_else(|| Self::plain(log, scheme))
    }

    /// These are names of the log, too: templates that it once had, the youngest last.
    #[must_use]
    pub fn with_former<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let now = self.template.as_ref().map(|template| template.text().to_owned());
        let former = texts.into_iter().filter(|text| Some(*text) != now.as_deref());
        self.former = former.filter_map(|text| Template::new(text, &self.log).ok()).collect();
        self
    }

    /// The log's file name.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// What becomes of names.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The template by which names are made, as it was written.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.template.as_ref().map(Template::text)
    }

    /// The templates from before.
    pub fn former(&self) -> impl Iterator<Item = &str> {
        self.former.iter().map(Template::text)
    }

    /// The name of a member of the chain.
    #[must_use]
    pub fn member(&self, member: Member) -> String {
        if member == Member::LOG { self.log.clone() } else { self.chain.of(member) }
    }

    /// The member of the present chain that has this name; not the log.
    #[must_use]
    pub fn as_member(&self, name: &str) -> Option<Member> {
        self.chain.parse(name).filter(|_| name != self.log)
    }

    /// The stamp of a period that began then.
    #[must_use]
    pub fn stamp(&self, start: DateTime, precision: Precision) -> String {
        let by_template = self.template.as_ref().and_then(|template| template.stamp(start));
        by_template.unwrap_or_else(|| precision.stamp(start))
    }

    /// The name of the `copy`-th archive of a period that began then.
    #[must_use]
    pub fn dated(&self, start: DateTime, precision: Precision, copy: u32) -> String {
        let by_template = self.template.as_ref().and_then(|template| template.name(start, copy));
        let plain = || {
            let stamp = precision.stamp(start);
            Dated { stamp, copy, packing: Packing::Plain }.name(&self.log)
        };
        by_template.unwrap_or_else(plain)
    }

    /// The archive that has this name, if it is one as they are made now.
    #[must_use]
    pub fn present(&self, name: &str) -> Option<Standing> {
        match (self.scheme, &self.template) {
            _ if name == self.log => None,
            (Scheme::Numbered, _) => self.chain.parse(name).map(Standing::Numbered),
            (Scheme::Dated, None) => dated(Dated::parse(&self.log, name)),
            (Scheme::Dated, Some(template)) => dated(template.parse(name)),
        }
    }

    /// Which file of the log has this name, unless it is a stranger's.
    #[must_use]
    pub fn standing(&self, name: &str) -> Option<Standing> {
        if name == self.log {
            return Some(Standing::Log);
        }
        let former = || self.former.iter().rev().find_map(|template| by(template, name));
        let plain = || Standing::of(&self.log, name);
        self.present(name).or_else(former).or_else(plain)
    }
}

impl Naming {
    /// The same, with what was called otherwise before behind all that is called as names are made now: so they are in the order
    /// from the newest to the oldest.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<(bool, Standing)> {
        let standing = self.standing(name)?;
        Some((standing != Standing::Log && self.present(name).is_none(), standing))
    }
}

fn dated(found: Option<Dated>) -> Option<Standing> {
    found.map(|found| Standing::Dated(Reverse(found)))
}

fn by(template: &Template, name: &str) -> Option<Standing> {
    match template.around_number() {
        Some((before, behind)) => Chained { before, behind }.parse(name).map(Standing::Numbered),
        None => dated(template.parse(name)),
    }
}

#[cfg(test)]
#[path = "naming_tests.rs"]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests;
