//! A configuration file: TOML, in which the keys at the top hold for all logs and those of a table `[[log]]` for one.

use super::given::{Given, What, wrong_kind};
use super::keys::{self, KEYS, PATH};
use super::settings::{Origin, Problem, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The name of the tables.
const LOG: &str = "log";
const EXAMPLE: &str = "path = \"/var/log/app/app.log\"";

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// For all logs.
    pub top: Settings,
    /// Of each log.
    pub logs: Vec<Table>,
}

/// What a file says of one log.
#[derive(Clone, Debug)]
pub struct Table {
    /// The log.
    pub path: PathBuf,
    /// Where its path is said.
    pub origin: Origin,
    /// Its settings.
    pub settings: Settings,
}

/// Reads the text of a file of this name, in which relative paths begin at `base`; or all that is wrong with it.
pub fn read(name: &str, text: &str, base: &Path) -> Result<Layers, Vec<Problem>> {
    let mut reader = Reader { name: name.into(), ends: line_ends(text), base, problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in &errors {
        let at = e.span().map_or(0, |span| span.start);
        reader.complain(at, "", format!("not TOML: {}", e.message()));
    }
    let layers = if errors.is_empty() { reader.layers(table.get_ref()) } else { Layers::default() };
    if reader.problems.is_empty() {
        return Ok(layers);
    }
    reader.problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    Err(reader.problems)
}

fn line_ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect()
}

struct Reader<'a> {
    name: Arc<str>,
    ends: Vec<usize>,
    base: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        Origin::File(Arc::clone(&self.name), self.ends.partition_point(|end| *end < at) + 1)
    }

    fn complain(&mut self, at: usize, key: &str, text: String) {
        self.problems.push(Problem { origin: self.origin(at), key: key.into(), text });
    }

    fn layers(&mut self, table: &DeTable<'_>) -> Layers {
        let mut layers = Layers::default();
        let mut named = false;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                LOG => {
                    named = true;
                    layers.logs = self.logs(key, value);
                }
                PATH => self.complain(
                    key.span().start,
                    PATH,
                    format!("this is the path of one log: write it behind a line [[{LOG}]]"),
                ),
                _ => self.setting(key, value, &mut layers.top),
            }
        }
        if !named {
            self.complain(0, "", format!("no log is named: write a line [[{LOG}]], and below it {EXAMPLE}"));
        }
        layers
    }

    fn logs(&mut self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Vec<Table> {
        let at = key.span().start;
        let DeValue::Array(all) = value.get_ref() else {
            self.complain(at, LOG, format!("there can be several logs: write [[{LOG}]], with two brackets"));
            return Vec::new();
        };
        if all.is_empty() {
            self.complain(
                at,
                LOG,
                format!("no log is named: write a line [[{LOG}]], and below it {EXAMPLE}"),
            );
        }
        all.iter().filter_map(|one| self.log(one)).collect()
    }

    fn log(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Table> {
        let at = value.span().start;
        let DeValue::Table(table) = value.get_ref() else {
            self.complain(at, LOG, wrong_kind(&what(value.get_ref()), &format!("a table [[{LOG}]]")));
            return None;
        };
        let mut settings = Settings::default();
        let mut path = None;
        let mut named = false;
        for (key, value) in table {
            if key.get_ref() == PATH {
                named = true;
                path = self.path(value);
            } else {
                self.setting(key, value, &mut settings);
            }
        }
        if !named {
            self.complain(at, PATH, format!("this [[{LOG}]] has none: write {EXAMPLE}"));
        }
        path.map(|(path, origin)| Table { path, origin, settings })
    }

    fn path(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(PathBuf, Origin)> {
        let at = value.span().start;
        match (Given { what: &what(value.get_ref()), base: self.base }).path() {
            Ok(path) => Some((path, self.origin(at))),
            Err(e) => {
                self.complain(at, PATH, format!("{e}; for example: {EXAMPLE}"));
                None
            }
        }
    }

    fn setting(&mut self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>, to: &mut Settings) {
        let (at, name) = (key.span().start, key.get_ref().as_ref());
        let Some(known) = keys::find(name) else {
            self.complain(at, name, unknown(name));
            return;
        };
        let what = what(value.get_ref());
        match known.read(&Given { what: &what, base: self.base }) {
            Ok(setting) => to.put(setting, self.origin(at)),
            // What can be written as a text is said by whoever reads texts.
            Err(e) if matches!(what, What::Text(_)) => self.complain(at, name, e),
            Err(e) => self.complain(at, name, format!("{e}; for example: {name} = {}", known.example)),
        }
    }
}

fn unknown(name: &str) -> String {
    match keys::meant(name) {
        _ if name.eq_ignore_ascii_case("log") || name.eq_ignore_ascii_case("logs") => {
            format!("not a key: a log begins with a line [[{LOG}]]")
        }
        Some(meant) => format!("not a key: did you mean {meant}?"),
        None => {
            let all: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            format!("not a key: there are {PATH}, {}", all.join(", "))
        }
    }
}

fn what(value: &DeValue<'_>) -> What {
    match value {
        DeValue::String(text) => What::Text(text.clone().into_owned()),
        DeValue::Integer(number) => What::Number(number.as_str().to_owned(), number.radix()),
        DeValue::Boolean(yes) => What::Truth(*yes),
        DeValue::Table(rows) => {
            let row = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                (name.get_ref().to_string(), what(value.get_ref()))
            };
            What::Table(rows.iter().map(row).collect())
        }
        DeValue::Float(_) => What::Other("a number with a fraction"),
        DeValue::Datetime(_) => What::Other("a date or time"),
        DeValue::Array(_) => What::Other("a list"),
    }
}
