//! What peers send, in pieces of all sizes.
#![allow(clippy::unwrap_used)]

use super::zmtp::{Batch, Peer, Refused, hello};
use proptest::prelude::*;

const MAX: usize = 300;
/// A vector that grows has up to twice of what is in it.
const HELD_MAX: usize = 2 * (MAX + 1);

fn greeting(version: u8, mechanism: &[u8]) -> Vec<u8> {
    let mut bytes = hello().to_vec();
    bytes[10] = version;
    bytes[12..32].fill(0);
    bytes[12..12 + mechanism.len()].copy_from_slice(mechanism);
    bytes
}

fn command(body: &[u8]) -> Vec<u8> {
    [&[4, body.len() as u8], body].concat()
}

fn ready(socket: &[u8]) -> Vec<u8> {
    let size = (socket.len() as u32).to_be_bytes();
    command(&[b"\x05READY\x08Identity\0\0\0\0\x0bsocket-type", &size[..], socket].concat())
}

fn push_begins() -> Vec<u8> {
    [greeting(3, b"NULL"), ready(b"PUSH")].concat()
}

fn frame(body: &[u8], more: bool) -> Vec<u8> {
    let more = u8::from(more);
    match u8::try_from(body.len()) {
        Ok(size) => [&[more, size], body].concat(),
        Err(_) => [&[more | 2][..], &(body.len() as u64).to_be_bytes(), body].concat(),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: Vec<Vec<u8>>,
    too_long: u64,
    reply: Vec<u8>,
    refused: Option<Refused>,
    inside: bool,
}

fn hear(input: &[u8], piece: usize) -> Heard {
    let (mut peer, mut heard) = (Peer::new(MAX), Heard::default());
    let mut batch = Batch::default();
    for part in input.chunks(piece) {
        let result = peer.take(part, &mut batch, &mut heard.reply);
        heard.messages.extend(batch.messages().iter().map(|m| m.to_vec()));
        heard.too_long += batch.too_long;
        batch.clear();
        assert!(peer.held() <= HELD_MAX, "{} bytes are held", peer.held());
        if let Err(refused) = result {
            heard.refused = Some(refused);
            break;
        }
    }
    heard.inside = peer.is_inside_a_message();
    heard
}

/// The same in pieces of all sizes.
fn hear_all(input: &[u8]) -> Heard {
    let whole = hear(input, input.len());
    for piece in 1..input.len().min(80) {
        assert_eq!(hear(input, piece), whole, "pieces of {piece}");
    }
    whole
}

fn said(frames: &[Vec<u8>]) -> Heard {
    hear_all(&[push_begins(), frames.concat()].concat())
}

#[test]
fn messages_do_not_depend_on_how_they_are_read() {
    let long = vec![b'x'; MAX];
    let heard =
        said(&[frame(b"one", false), frame(b"", false), frame(&long, false), frame(b"two\r\n", false)]);
    assert_eq!(heard.messages, [&b"one"[..], b"", &long, b"two\r"]);
    assert_eq!((heard.too_long, heard.refused, heard.inside), (0, None, false));
    assert_eq!(heard.reply, command(b"\x05READY\x0bSocket-Type\0\0\0\x04PULL"));
}

#[test]
fn parts_are_joined_and_one_line_feed_at_the_end_is_taken_off() {
    let heard = said(&[
        frame(b"app.INFO", true),
        frame(b"hello\n", false),
        frame(b"a\n", true),
        frame(b"", true),
        frame(b"", false),
        frame(b"trace\nback\n\n", false),
    ]);
    assert_eq!(heard.messages, [&b"app.INFO hello"[..], b"a\n  ", b"trace\nback\n"]);
}

#[test]
fn a_message_too_long_is_left_out_whole_and_counted_once() {
    let limit = vec![b'y'; MAX];
    let with = |end: &[u8]| frame(&[&limit[..], end].concat(), false);
    let heard = said(&[
        with(b"\n"),
        with(b"z"),
        with(b"zz"),
        with(b"\n\n"),
        frame(&limit, true),
        frame(b"", true),
        frame(b"end", false),
        frame(b"fine", false),
    ]);
    assert_eq!(heard.messages, [&limit[..], b"fine"]);
    assert_eq!(heard.too_long, 4);
}

#[test]
fn a_message_that_claims_any_size_costs_nothing() {
    let heard = said(&[[&[2][..], &(i64::MAX as u64).to_be_bytes(), b"begun"].concat()]);
    assert_eq!((heard.refused, heard.inside), (None, true));
    let heard = said(&[[&[2][..], &u64::MAX.to_be_bytes(), b"begun"].concat()]);
    assert_eq!(heard.refused, Some(Refused::Broken("a frame with an impossible size")));
}

#[test]
fn parts_without_end_cost_no_more_than_one_record() {
    let (mut peer, mut batch, mut reply) = (Peer::new(MAX), Batch::default(), Vec::new());
    peer.take(&push_begins(), &mut batch, &mut reply).unwrap();
    let parts = [frame(b"", true), frame(&[b'm'; 40], true)].concat().repeat(10_000);
    peer.take(&parts, &mut batch, &mut reply).unwrap();
    assert!(batch.messages().is_empty() && peer.is_inside_a_message());
    assert!(peer.held() <= HELD_MAX, "{} bytes are held", peer.held());
    peer.take(&frame(b"", false), &mut batch, &mut reply).unwrap();
    assert_eq!((batch.messages().len(), batch.too_long), (0, 1));
}

#[test]
fn a_ping_is_answered_with_what_it_brought() {
    let heard = said(&[command(b"\x04PING\0\x64context"), frame(b"m", false), command(b"\x09SUBSCRIBEx")]);
    assert!(heard.reply.ends_with(&command(b"\x04PONGcontext")), "{:?}", heard.reply);
    assert_eq!(heard.messages, [b"m"]);
}

#[test]
fn a_peer_that_pings_and_never_reads_fills_no_memory() {
    let heard = hear(&[push_begins(), command(b"\x04PING\0\0").repeat(100_000)].concat(), 4096);
    assert!(heard.reply.len() < 1100, "{}", heard.reply.len());
}

#[test]
fn what_is_no_push_socket_is_refused_and_it_is_said_why() {
    let refused = |bytes: &[u8]| hear_all(bytes).refused.map(|r| r.to_string()).unwrap_or_default();
    assert!(refused(b"GET / HTTP/1.1\r\n\r\n").contains("does not speak ZeroMQ"));
    assert!(refused(b"\xff\0\0\0\0\0\0\0\x01\x7e").contains("does not speak ZeroMQ"));
    assert!(refused(&greeting(1, b"NULL")).contains("version 1"));
    assert!(refused(&greeting(3, b"CURVE")).contains("CURVE"));
    assert!(refused(&[greeting(3, b"NULL"), ready(b"REQ")].concat()).contains("\"REQ\""));
    assert!(refused(&[greeting(3, b"NULL"), frame(b"m", false)].concat()).contains("before it said"));
    assert!(refused(&[greeting(3, b"NULL"), command(b"\x05READY")].concat()).contains("does not say"));
    assert!(refused(&[greeting(3, b"NULL"), command(b"\x05READY\xffx")].concat()).contains("properties"));
    assert!(refused(&[push_begins(), vec![0x80, 1, 1]].concat()).contains("flags"));
    assert!(refused(&[push_begins(), vec![4, 0, 0]].concat()).contains("impossible size"));
}

#[test]
fn what_came_before_the_garbage_is_kept() {
    let heard = said(&[frame(b"good", false), vec![0xee; 30]]);
    assert_eq!(heard.messages, [b"good"]);
    assert!(heard.refused.is_some());
}

/// Line feeds at the end are frequent.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![Just(vec![]), Just(b"\n".to_vec()), Just(b"\n\n".to_vec())];
    (proptest::collection::vec(any::<u8>(), 0..MAX), end).prop_map(|(bytes, end)| [bytes, end].concat())
}

proptest! {
    #[test]
    fn any_bytes_are_heard_the_same_in_all_pieces(
        bytes in proptest::collection::vec(prop_oneof![0u8..9, any::<u8>()], 0..900), begun in 0usize..3, piece in 1usize..90,
    ) {
        let before = [vec![], greeting(3, b"NULL"), push_begins()][begun].clone();
        let input = [before, bytes].concat();
        let whole = hear(&input, input.len().max(1));
        prop_assert!(whole.messages.iter().all(|m| m.len() <= MAX));
        prop_assert_eq!(hear(&input, piece), whole);
    }

    #[test]
    fn messages_of_any_parts_arrive(
        messages in proptest::collection::vec(proptest::collection::vec(part(), 1..4), 0..8),
        piece in 1usize..400,
    ) {
        let mut input = push_begins();
        let (mut expected, mut too_long) = (Vec::new(), 0);
        for parts in &messages {
            for (i, part) in parts.iter().enumerate() {
                input.extend(frame(part, i + 1 < parts.len()));
            }
            let joined = parts.join(&b' ');
            let record = joined.strip_suffix(b"\n").unwrap_or(&joined).to_vec();
            if record.len() > MAX { too_long += 1 } else { expected.push(record) }
        }
        let heard = hear(&input, piece);
        prop_assert_eq!(heard.messages, expected);
        prop_assert_eq!((heard.too_long, heard.refused, heard.inside), (too_long, None, false));
    }
}
