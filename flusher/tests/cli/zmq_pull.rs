//! `crlog zmq-pull`, with peers that are written out byte by byte; `python/tests/test_zmq.py` has those of pyzmq.

use super::common::*;

#[cfg(not(feature = "zmq"))]
#[test]
fn a_build_without_zeromq_says_how_to_get_it() {
    let place = Place::new();
    let said = place.run(CRLOG, "zmq-pull --bind tcp://127.0.0.1:0", b"");
    assert_ended(&said, 1, "cargo install --path flusher --features zmq");
}

#[test]
fn what_is_no_endpoint_is_refused() {
    let place = Place::new();
    assert_ended(&place.run(CRLOG, "zmq-pull", b""), 2, "--bind");
    assert_ended(&place.run(CRLOG, "zmq-pull --bind tcp://127.0.0.1", b""), 2, "a port is missing");
}

#[cfg(feature = "zmq")]
mod served {
    use super::*;
    use rustix::process::Signal;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::time::Duration;

    const TCP: &str = "zmq-pull --bind tcp://127.0.0.1:0";

    /// A server, and the address that it says.
    fn serve(place: &Place, args: &str) -> (Running, String) {
        let mut server = place.start(CRLOG, args);
        let said = server.line();
        let at = said.strip_prefix("listening at ").unwrap().trim_start_matches("tcp://").to_string();
        (server, at)
    }

    fn greeting() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        (bytes[0], bytes[9], bytes[10]) = (0xff, 0x7f, 3);
        bytes[12..16].copy_from_slice(b"NULL");
        bytes
    }

    fn ready(socket: &[u8]) -> Vec<u8> {
        let body = [b"\x05READY\x0bSocket-Type", &(socket.len() as u32).to_be_bytes()[..], socket].concat();
        [&[4, body.len() as u8], &body[..]].concat()
    }

    fn frame(body: &[u8], more: bool) -> Vec<u8> {
        [&[2 | u8::from(more)][..], &(body.len() as u64).to_be_bytes(), body].concat()
    }

    /// A PUSH socket that has introduced itself.
    fn push<S: Read + Write>(mut stream: S) -> S {
        stream.write_all(&[greeting(), ready(b"PUSH")].concat()).unwrap();
        let mut heard = [0; 64 + 2 + 26];
        stream.read_exact(&mut heard).unwrap();
        assert!(heard.ends_with(b"PULL"), "{heard:?}");
        stream
    }

    fn push_to(at: &str) -> TcpStream {
        push(TcpStream::connect(at).unwrap())
    }

    fn send(stream: &mut impl Write, messages: &[impl AsRef<[u8]>]) {
        let frames: Vec<u8> = messages.iter().flat_map(|m| frame(m.as_ref(), false)).collect();
        stream.write_all(&frames).unwrap();
    }

    /// The server closes the connection.
    fn assert_closed(mut stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let closed = stream.read_to_end(&mut Vec::new());
        assert!(closed.is_ok() || closed.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }

    fn stop(mut server: Running, status: i32, says: &str) {
        server.signal(Signal::TERM);
        assert_ended(&server.end(b""), status, says);
    }

    fn said(output: &std::process::Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn memory_peak(server: &Running) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A bit for each signal that was sent and not taken yet.
    fn pending_signals(server: &Running) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("ShdPnd:")).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    }

    #[test]
    fn four_peers_at_once_lose_and_mix_nothing() {
        let place = Place::new();
        let (server, at) = serve(&place, &format!("{TCP} --max-bytes 500kB --backups 60"));
        let inputs = four_inputs();
        let peers = inputs.clone().into_iter().map(|lines| {
            let at = at.clone();
            std::thread::spawn(move || {
                let mut peer = push_to(&at);
                lines.chunks(7).for_each(|some| send(&mut peer, some));
            })
        });
        peers.collect::<Vec<_>>().into_iter().for_each(|p| p.join().unwrap());
        stop(server, 0, "");
        let found = place.lines();
        for (p, lines) in inputs.iter().enumerate() {
            let tag = format!("{p} ");
            let of_this_one: Vec<&String> = found.iter().filter(|l| l.starts_with(&tag)).collect();
            assert!(of_this_one.iter().copied().eq(lines), "peer {p}: not its messages in their order");
        }
        assert_eq!(found.len(), inputs.iter().map(Vec::len).sum::<usize>(), "lines of nobody");
        let files = crlog_flusher::stress::verify::files_of(&place.log()).unwrap();
        assert!(files.len() > 5, "{} files", files.len());
        assert!(files.iter().all(|f| f.metadata().unwrap().len() <= 500_000));
    }

    #[test]
    fn a_message_is_a_record_without_one_line_feed_at_its_end() {
        let place = Place::new();
        let (server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        send(&mut peer, &[&b"one"[..], b"", b"two\n", b"windows\r\n", b"\xff\xfe \0 not text", b"a\nb\n\n"]);
        let parts = [frame(b"app.WARNING", true), frame(b"x.py:3 - low\n", false)].concat();
        peer.write_all(&parts).unwrap();
        drop(peer);
        stop(server, 0, "");
        let bytes = b"one\n\ntwo\nwindows\r\n\xff\xfe \0 not text\na\nb\n\napp.WARNING x.py:3 - low\n";
        assert_eq!(String::from_utf8_lossy(&place.bytes()), String::from_utf8_lossy(bytes));
    }

    #[test]
    fn a_message_is_in_the_file_while_its_peer_stays() {
        let place = Place::new();
        let (server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        for line in ["first", "second"] {
            send(&mut peer, &[line]);
            eventually(line, || place.lines().last().is_some_and(|l| l == line));
        }
        stop(server, 0, "");
    }

    #[test]
    fn strangers_are_refused_and_cost_neither_memory_nor_messages() {
        let place = Place::new();
        let (mut server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        send(&mut peer, &["before"]);
        eventually("the first message is there", || place.lines() == ["before"]);
        let before = memory_peak(&server);
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 200], &[greeting(), ready(b"REQ")].concat()] {
            let mut stranger = TcpStream::connect(&at).unwrap();
            stranger.write_all(garbage).unwrap();
            assert_closed(stranger);
        }
        let mut liar = push_to(&at);
        liar.write_all(&[&[2][..], &u64::MAX.to_be_bytes()].concat()).unwrap();
        assert_closed(liar);
        // A size that no memory has, and parts without an end: 200 MB of each.
        let mut huge = push_to(&at);
        huge.write_all(&[&[2][..], &(1u64 << 46).to_be_bytes()].concat()).unwrap();
        let mut endless = push_to(&at);
        let (some, part) = (vec![b'x'; 1 << 20], frame(&vec![b'y'; 1 << 20], true));
        for _ in 0..200 {
            huge.write_all(&some).unwrap();
            endless.write_all(&part).unwrap();
        }
        send(&mut peer, &["after"]);
        eventually("the next message is there", || place.lines() == ["before", "after"]);
        let grown = memory_peak(&server) - before;
        assert!(grown < 32_000, "{grown} KiB more");
        server.signal(Signal::TERM);
        let output = server.end(b"");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("a peer was refused: it does not speak ZeroMQ"), "{}", said(&output));
    }

    #[test]
    fn messages_that_are_too_long_are_left_out_whole_and_counted() {
        let place = Place::new();
        let (server, at) = serve(&place, &format!("{TCP} --ring-size 256KiB"));
        let (long, limit) = ("x".repeat(300_000), "y".repeat(64 * 1024));
        let mut peer = push_to(&at);
        send(&mut peer, &["before", &long, "between", &limit, "after", &limit[1..]]);
        stop(server, 1, "crlog: 2 messages were too long");
        assert_eq!(place.lines(), ["before", "between", "after", &limit[1..]]);
    }

    #[test]
    fn a_signal_ends_it_after_what_had_arrived_is_in_the_file() {
        for signal in [Signal::TERM, Signal::INT] {
            let place = Place::new();
            let (mut server, at) = serve(&place, TCP);
            let mut peers: Vec<TcpStream> = (0..3).map(|_| push_to(&at)).collect();
            // It cannot read while it is stopped: all of this has arrived when the signal comes.
            server.signal(Signal::STOP);
            for (i, peer) in peers.iter_mut().enumerate() {
                send(peer, &vec![format!("{i} {}", "z".repeat(90)); 500]);
            }
            peers[0].write_all(&frame(b"whole", false)[..10]).unwrap();
            server.signal(signal);
            server.signal(Signal::CONT);
            assert_ended(&server.end(b""), 0, "1 peers were in the middle of a message");
            assert_eq!(place.lines().len(), 1500);
        }
    }

    #[test]
    fn peers_that_never_stop_do_not_keep_it_from_ending() {
        let place = Place::new();
        let (mut server, at) = serve(&place, &format!("{TCP} --max-bytes 1MB --backups 1"));
        let mut peer = push_to(&at);
        let sending = std::thread::spawn(move || {
            let some = frame(b"more", false).repeat(1000);
            while peer.write_all(&some).is_ok() {}
        });
        eventually("it has begun", || place.lines().len() > 1000);
        server.signal(Signal::TERM);
        let output = server.end(b"");
        sending.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("peers went on sending"), "{}", said(&output));
        assert!(place.lines().iter().all(|l| l == "more"));
    }

    #[test]
    fn heartbeats_do_not_keep_it_from_ending() {
        let place = Place::new();
        let (mut server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        let mut ears = peer.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            while peer.write_all(b"\x04\x07\x04PING\0\0").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut pong = [0; 7];
        ears.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"\x04\x05\x04PONG");
        server.signal(Signal::TERM);
        assert_ended(&server.end(b""), 0, "");
        sending.join().unwrap();
    }

    /// Sends until the server has not taken anything for a second; returns how many bytes it took.
    fn send_until_it_waits(peer: &mut TcpStream, bytes: &[u8]) -> usize {
        peer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match peer.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(e) => panic!("{e}"),
            }
        }
        sent
    }

    #[test]
    fn a_full_ring_makes_peers_wait_and_nothing_is_lost() {
        let place = Place::new();
        let mut sidecar = place.sidecar("--ring-size 256KiB");
        let (server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        sidecar.signal(Signal::STOP);
        let lines: Vec<String> = (0..200_000).map(|i| format!("{i} {}", "w".repeat(100))).collect();
        let bytes: Vec<u8> = lines.iter().flat_map(|l| frame(l.as_bytes(), false)).collect();
        let sent = send_until_it_waits(&mut peer, &bytes);
        assert!(sent < bytes.len(), "all {sent} bytes were taken though nobody writes");
        sidecar.signal(Signal::CONT);
        peer.set_write_timeout(None).unwrap();
        peer.write_all(&bytes[sent..]).unwrap();
        drop(peer);
        stop(server, 0, "");
        assert!(place.lines() == lines, "{} of {} lines", place.lines().len(), lines.len());
        stop(sidecar, 0, "");
    }

    #[test]
    fn a_second_signal_ends_it_while_the_ring_is_full() {
        let place = Place::new();
        let mut sidecar = place.sidecar("--ring-size 256KiB");
        let (mut server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        sidecar.signal(Signal::STOP);
        let bytes = frame(&[b'q'; 1000], false).repeat(40_000);
        assert!(send_until_it_waits(&mut peer, &bytes) < bytes.len());
        server.signal(Signal::TERM);
        eventually("the first one is taken", || pending_signals(&server) == 0);
        server.signal(Signal::TERM);
        assert_ended(&server.end(b""), 143, "");
        sidecar.signal(Signal::CONT);
        stop(sidecar, 0, "");
    }

    #[test]
    fn messages_dropped_by_the_policy_are_counted_and_said() {
        let place = Place::new();
        let mut sidecar = place.sidecar("--ring-size 256KiB --when-full drop --notes off");
        let (mut server, at) = serve(&place, TCP);
        let mut peer = push_to(&at);
        sidecar.signal(Signal::STOP);
        send(&mut peer, &vec!["d".repeat(1000); 2000]);
        drop(peer);
        place.until("some are dropped", |s| s["drops"]["info"] != 0);
        server.signal(Signal::TERM);
        // It waits for the file before it says so.
        sidecar.signal(Signal::CONT);
        let output = server.end(b"");
        stop(sidecar, 0, "");
        let dropped = 2000 - place.lines().len();
        assert!(dropped > 0);
        let number = crlog_flusher::units::show_count(dropped as u64);
        assert_ended(&output, 1, &format!("crlog: {number} messages were dropped"));
    }

    #[test]
    fn several_places_at_once_and_the_socket_file_goes_with_the_server() {
        let place = Place::new();
        let socket = place.path().join("log.sock");
        let args = format!("{TCP} --bind ipc://{}", socket.display());
        let (mut server, at) = serve(&place, &args);
        assert_eq!(server.line(), format!("listening at ipc://{}", socket.display()));
        send(&mut push_to(&at), &["by tcp"]);
        eventually("the first one is there", || place.lines() == ["by tcp"]);
        send(&mut push(UnixStream::connect(&socket).unwrap()), &["by ipc"]);
        eventually("the second one is there", || place.lines() == ["by tcp", "by ipc"]);
        // Nobody takes a place that is in use; one that a killed server left is free.
        let second = place.run(CRLOG, &format!("zmq-pull --bind ipc://{}", socket.display()), b"");
        assert_ended(&second, 1, "cannot listen at ipc://");
        assert_ended(
            &place.run(CRLOG, &format!("zmq-pull --bind tcp://{at}"), b""),
            1,
            "cannot listen at tcp://",
        );
        server.signal(Signal::KILL);
        assert_eq!(server.end(b"").status.code(), None);
        assert!(socket.exists());
        let (server, _) = serve(&place, &format!("zmq-pull --bind ipc://{}", socket.display()));
        send(&mut push(UnixStream::connect(&socket).unwrap()), &["by the second"]);
        stop(server, 0, "");
        assert!(!socket.exists());
        assert_eq!(place.lines(), ["by tcp", "by ipc", "by the second"]);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let place = Place::new();
        let file = place.path().join("precious");
        std::fs::write(&file, "text").unwrap();
        let said = place.run(CRLOG, &format!("zmq-pull --bind ipc://{}", file.display()), b"");
        assert_ended(&said, 1, "cannot listen at ipc://");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
    }

    /// Connections that say nothing use up its descriptors; when they are gone, the next peer is served.
    #[test]
    fn too_many_strangers_do_not_end_it() {
        let place = Place::new();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 60; exec \"$0\" \"$@\"", CRLOG]);
        command.args(TCP.split(' ')).arg(place.log());
        let mut server = Running::spawn(&mut command);
        let at = server.line().trim_start_matches("listening at tcp://").to_string();
        let strangers: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&at).unwrap()).collect();
        let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
        eventually("no descriptor is left", || descriptors() >= 60);
        drop(strangers);
        send(&mut push_to(&at), &["served"]);
        eventually("it is served", || place.lines() == ["served"]);
        server.signal(Signal::TERM);
        let output = server.end(b"");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("a peer cannot be taken"), "{}", said(&output));
    }
}
