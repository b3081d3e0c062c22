//! `docs/format.md` says what the source says: offsets, sizes, orders; `docs/ordering.md` has every named ordering. Both are read as text, so that a constant
//! that somebody adds must be described, and what is described must exist.

use crate::options::{CHUNK_BYTES, DEFAULT_RING_BYTES, Options, PROCESSES_MAX};
use crate::ring::layout::{CELL_WORDS, COUNTERS, LAYOUT_VERSION, LEVELS, death, journal, lease, slot, word};
use std::collections::BTreeMap;

const FORMAT: &str = include_str!("../docs/format.md");
const OPERATING: &str = include_str!("../docs/operating.md");
const ORDERING: &str = include_str!("../docs/ordering.md");
const LAYOUT: &str = include_str!("ring/layout.rs");
/// Lengths among the constants that are offsets otherwise.
const LENGTHS: [&str; 3] = ["BYTES", "NAME_BYTES", "CONFIG_BYTES"];

fn number(text: &str) -> Option<usize> {
    let text = text.trim().replace([',', '_'], "");
    match text.strip_prefix("0x") {
        Some(hex) => usize::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn with_commas(n: usize) -> String {
    let digits = n.to_string();
    let group = |(i, c): (usize, char)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([c])
    };
    digits.chars().enumerate().flat_map(group).collect()
}

/// The text of a section, up to the next heading of any depth.
fn section(title: &str) -> &'static str {
    let from = FORMAT.find(&format!("# {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
    let text = &FORMAT[from + 2..];
    &text[..text.find("\n#").unwrap_or(text.len())]
}

/// Rows of the tables of a section, as cells.
fn rows(title: &str) -> Vec<Vec<&'static str>> {
    let is_row = |line: &&str| line.starts_with("| ");
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    section(title).lines().filter(is_row).map(cells).collect()
}

/// Name and offset, from rows `| offset | NAME | …`.
fn described(title: &str) -> BTreeMap<&'static str, usize> {
    rows(title).into_iter().filter_map(|row| Some((row[1], number(row[0])?))).collect()
}

/// Name and value of the constants of a module of `layout.rs` that are plain numbers.
fn declared(module: &str) -> BTreeMap<&'static str, usize> {
    let from = LAYOUT.find(&format!("pub mod {module} {{\n")).unwrap();
    let text = &LAYOUT[from..];
    let text = &text[..text.find("\n}\n").unwrap()];
    let constant = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("pub const ")?.split_once(": usize = ")?;
        Some((name, number(value.trim_end_matches(';'))?))
    };
    text.lines().filter_map(constant).filter(|(name, _)| !LENGTHS.contains(name)).collect()
}

#[test]
fn every_word_of_the_segment_is_described_where_it_stands() {
    for (module, title, at_least) in [
        ("header", "Header (page 0)", 15),
        ("word", "Shared words (page 1)", 30),
        ("death", "Death table", 8),
        ("slot", "Slot (256 bytes)", 13),
        ("lease", "Descriptor of a chunk (64 bytes)", 6),
    ] {
        let declared = declared(module);
        assert!(declared.len() >= at_least, "the reader of layout.rs found only {declared:?}");
        assert_eq!(described(title), declared, "{title}");
    }
}

#[test]
fn the_counters_are_listed_in_their_order() {
    let text = section("Counters");
    let list = text.split_once("in this order:").unwrap().1.split_once('.').unwrap().0;
    let listed: Vec<&str> = list.split(',').map(str::trim).collect();
    let from = LAYOUT.find("pub enum Counter {").unwrap();
    let body = &LAYOUT[from..from + LAYOUT[from..].find("\n}\n").unwrap()];
    let variant = |line: &str| {
        let name = line.trim().strip_suffix(',')?.split(' ').next()?;
        name.starts_with(char::is_uppercase).then(|| snake(name))
    };
    let declared: Vec<String> = body.lines().filter_map(variant).collect();
    assert_eq!(declared.len(), COUNTERS);
    assert_eq!(listed, declared);
    for name in listed {
        assert!(
            OPERATING.contains(&format!("`{name}`")),
            "operating.md does not say what the counter {name} means"
        );
    }
}

fn snake(name: &str) -> String {
    let mut s = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !s.is_empty() {
            s.push('_');
        }
        s.extend(c.to_lowercase());
    }
    s
}

#[test]
fn the_journal_cell_has_as_many_words_as_are_described() {
    let described = rows("Journal cell")
        .iter()
        .filter(|row| row[0].starts_with(|c: char| c.is_ascii_digit()))
        .fold(0, |next, row| {
            let (first, last) = row[0].split_once(" to ").unwrap_or((row[0], row[0]));
            assert_eq!(number(first), Some(next), "a word is missing before {row:?}");
            number(last).unwrap() + 1
        });
    assert_eq!(described, CELL_WORDS);
    let at = format!("Cell 0 at {:#x}, cell 1 at {:#x}.", journal(0, 0), journal(1, 0));
    assert!(section("Journal cell").contains(&at), "{at}");
}

#[test]
fn the_default_segment_is_described_as_large_as_it_is() {
    let g = Options::new("x").geometry().unwrap();
    let at = |name: &str| {
        let row = rows("Sizes")
            .into_iter()
            .find(|row| row.len() == 4 && row[0] == name)
            .unwrap_or_else(|| panic!("no row {name}"));
        number(row[3]).unwrap()
    };
    assert_eq!(at("slots"), g.slot(0));
    assert_eq!(at("descriptors"), g.state(0));
    assert_eq!(at("drain words"), g.drain(0));
    assert_eq!(at("chunks"), g.chunk(0));
    let whole = with_commas(g.segment_bytes());
    let mib = g.segment_bytes() as f64 / 1_048_576.0;
    let chunks = g.chunks();
    let ring = with_commas(DEFAULT_RING_BYTES as usize);
    for said in [
        format!("The default segment has {whole} bytes ({mib:.1} MiB)."),
        format!("| slots | {} (", with_commas(PROCESSES_MAX as usize)),
        format!("| chunk bytes | {} (", with_commas(CHUNK_BYTES as usize)),
        format!("rounded up; {chunks} by default"),
        format!("; {ring} by default"),
        format!("slots x {} |", slot::BYTES),
        format!("chunks x {} |", lease::START + 8),
    ] {
        assert!(section("Sizes").contains(&said), "format.md does not say: {said}");
    }
    let fixed = with_commas(g.state(0));
    let longest = with_commas(g.record_max());
    for said in [
        format!("the default size ({whole} bytes each)"),
        format!("The default ring has {chunks} chunks"),
        format!("{longest} bytes with the\n  default"),
        format!("4.5 bytes per KiB of it, and {fixed} bytes"),
    ] {
        assert!(OPERATING.contains(&said), "operating.md does not say: {said}");
    }
}

#[test]
fn versions_and_tables_are_those_of_the_source() {
    assert!(FORMAT.contains(&format!("Layout version **{LAYOUT_VERSION}**")));
    let encoded = Options::new("x").config().unwrap().encode();
    assert!(
        section("Configuration (0x0100)").contains(&format!("version of the configuration: {}", encoded[0]))
    );
    let said = format!("{} entries of {} bytes from {:#x}.", death::KEPT, death::BYTES, word::DEATH_TABLE);
    assert!(section("Death table").contains(&said), "{said}");
    let when_full = format!("| 6 to {} | when full, a word for each severity", 6 + LEVELS - 1);
    assert!(section("Configuration (0x0100)").contains(&when_full));
}

/// The names in `// ORDER name/side` comments of the source, and the files they stand in.
fn orderings(dir: &std::path::Path, found: &mut BTreeMap<String, Vec<String>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            orderings(&path, found);
        } else if file.ends_with(".rs") && file != "format_tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            for (_, rest) in text.match_indices("// ORDER ").map(|(i, m)| text[i..].split_at(m.len())) {
                let name = rest.split('/').next().unwrap().to_owned();
                found.entry(name).or_default().push(file.clone());
            }
        }
    }
}

/// What `docs/ordering.md` says of a name: its rows, or the paragraph that begins with it.
fn justified(name: &str) -> String {
    let rows = ORDERING.lines().filter(|line| line.starts_with(&format!("| `{name}`")));
    let about = ORDERING.split("\n\n").filter(|text| text.contains(&format!("**{name}** (")));
    rows.chain(about).collect()
}

#[test]
fn every_named_ordering_is_justified_for_the_files_it_stands_in() {
    let mut found = BTreeMap::new();
    orderings(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (name, files) in found {
        let text = justified(&name);
        for file in files {
            assert!(text.contains(&format!("`{file}")), "ordering.md does not say why {name} is in {file}");
        }
    }
}
