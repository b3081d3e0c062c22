use super::process::{own_start_time, parse_start, parse_uuid, shorten, start_time};
use super::{boot_id, monotonic_ns, pid, pid_namespace, process_gone, program_name, unix_ns, uuid};

#[test]
fn a_name_full_of_parentheses_does_not_hide_the_start_time() {
    let rest: Vec<String> = (4..=52).map(|field| (field * 10).to_string()).collect();
    for name in ["sh", "a b", ") S 1 (", "(((", ")"] {
        let stat = format!("17 ({name}) R {}\n", rest.join(" "));
        assert_eq!(parse_start(stat.as_bytes()), Some(220), "{name}");
    }
    for bad in ["", "17 (sh", "17 (sh) R 1 2", "17 (sh) \u{fffd}"] {
        assert_eq!(parse_start(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn we_are_not_gone_and_an_ended_child_is() {
    let start = start_time(pid()).unwrap();
    assert_eq!(own_start_time(), Some(start));
    assert!(!process_gone(pid(), start));
    assert!(!process_gone(pid(), 0), "an unknown start time proves nothing");
    assert!(process_gone(pid(), start + 1), "that was another process");
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let (gone, start) = (child.id(), start_time(child.id()).unwrap_or(0));
    child.wait().unwrap();
    assert!(process_gone(gone, start));
}

#[test]
fn impossible_pids_prove_nothing() {
    for pid in [0, u32::MAX, 1 << 31] {
        assert!(!process_gone(pid, 1), "{pid}");
    }
}

#[test]
fn identities_are_stable_and_random_ones_differ() {
    assert_ne!(pid_namespace(), 0);
    assert_eq!(pid_namespace(), pid_namespace());
    assert_eq!(boot_id(), boot_id());
    let (a, b) = (uuid().unwrap(), uuid().unwrap());
    assert_ne!(a, b);
    assert_eq!((a[6] >> 4, a[8] >> 6), (4, 2));
    let text = "00010203-0405-0607-0809-0a0b0c0d0e0f\n";
    assert_eq!(parse_uuid(text), Some(std::array::from_fn(|i| i as u8)));
    assert_eq!(parse_uuid("0001"), None);
}

#[test]
fn clocks_go_on() {
    assert!(monotonic_ns() <= monotonic_ns());
    assert!(unix_ns() > 1_600_000_000_000_000_000);
}

#[test]
fn a_name_is_cut_between_characters() {
    assert!(program_name().starts_with("crlog"));
    assert_eq!(shorten("a\nb"), "ab");
    let long = shorten(&"é".repeat(40));
    assert_eq!(long, "é".repeat(24));
}
