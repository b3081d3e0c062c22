"""PUSH sockets of pyzmq, as logging recipes use them, against `crlog zmq-pull`.

The tool is the one in the package; the environment variable CRLOG_BIN names another.
"""

import contextlib
import json
import logging
import logging.handlers
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest


def skip_loudly(why):
    warnings.warn(f"SKIPPED: {why}", stacklevel=2)
    pytest.skip(why, allow_module_level=True)


try:
    import zmq
    import zmq.log.handlers
except ImportError:
    skip_loudly("pyzmq is missing (pip install pyzmq): crlog zmq-pull is not tested with it")

BINARY = os.environ.get("CRLOG_BIN")
CRLOG = [BINARY] if BINARY else [sys.executable, "-m", "crlog"]

FORK_FREE = multiprocessing.get_context("spawn")
PROCESSES = 4
LINES = 5000
LIMIT = 64 * 1024


class PushHandler(logging.handlers.QueueHandler):
    """The handler of the logging cookbook, with text in place of JSON."""

    def __init__(self, place):
        self.context = zmq.Context()
        super().__init__(self.context.socket(zmq.PUSH))
        self.queue.connect(place)

    def enqueue(self, record):
        self.queue.send_string(record.getMessage())

    def close(self):
        self.queue.close()  # lingers until all is sent
        self.context.term()
        super().close()


def log_lines(place, process):
    handler = PushHandler(place)
    logger = logging.getLogger("app")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    for i in range(LINES):
        logger.info("%d %d %s", process, i, "x" * (i % 120))
    handler.close()


@contextlib.contextmanager
def server(log, *options, place="tcp://127.0.0.1:*"):
    """A server, the place where it listens, and its end: stop() ends it with SIGTERM and returns what it said."""
    command = [*CRLOG, "zmq-pull", "--bind", place, *options, str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stop():
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
        return said

    try:
        first = process.stdout.readline()
        if not first:
            said = process.communicate(timeout=60)[1]
            if "built without ZeroMQ" in said:
                warnings.warn(f"SKIPPED: {said}", stacklevel=2)
                pytest.skip(said)
            pytest.fail(said)
        yield first.removeprefix("listening at ").strip(), stop
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def push(place, **options):
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    for name, value in options.items():
        socket.setsockopt(getattr(zmq, name), value)
    socket.connect(place)
    try:
        yield socket
    finally:
        context.destroy(linger=10_000)


def files_of(log):
    """Oldest first."""
    archives = sorted(log.parent.glob(log.name + ".*"), key=lambda f: -int(f.suffix[1:]))
    return [*archives, log]


def lines_of(log):
    return [line for file in files_of(log) for line in file.read_text().splitlines()]


def eventually(what, is_so):
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < 20, f"not within 20 s: {what}"
        time.sleep(0.01)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_four_processes_that_push_lose_and_mix_nothing(tmp_path, transport):
    log = tmp_path / "app.log"
    place = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/log.sock"
    with server(log, "--max-bytes", str(LIMIT), "--backups", "100", place=place) as (place, stop):
        processes = [FORK_FREE.Process(target=log_lines, args=(place, p)) for p in range(PROCESSES)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        assert stop() == ""
    lines = lines_of(log)
    assert len(lines) == PROCESSES * LINES
    for p in range(PROCESSES):
        expected = [f"{p} {i} {'x' * (i % 120)}" for i in range(LINES)]
        assert [line for line in lines if line.startswith(f"{p} ")] == expected
    files = files_of(log)
    assert len(files) > 10
    assert all(file.stat().st_size <= LIMIT for file in files)


def test_what_recipes_send_is_one_record_each(tmp_path):
    log = tmp_path / "app.log"
    with server(log) as (place, stop):
        with push(place) as socket:
            socket.send_string("text é")
            socket.send_string("with an end\n")
            socket.send_json({"msg": "two\nlines", "level": 20})
            socket.send_multipart([b"topic", b"body"])
            handler = zmq.log.handlers.PUBHandler(socket)
            handler.setRootTopic("app")
            record = logging.LogRecord("app", logging.INFO, "x.py", 1, "by %s", ("PUBHandler",), None)
            handler.emit(record)
            socket.send(b"")
        assert stop() == ""
    lines = log.read_text().split("\n")
    assert lines[:2] == ["text é", "with an end"]
    assert json.loads(lines[2]) == {"msg": "two\nlines", "level": 20}
    assert lines[3:] == ["topic body", "app.INFO by PUBHandler", "", ""]


def test_a_peer_with_heartbeats_stays_connected(tmp_path):
    log = tmp_path / "app.log"
    options = {"HEARTBEAT_IVL": 50, "HEARTBEAT_TIMEOUT": 500, "HEARTBEAT_TTL": 1000}
    with server(log) as (place, stop), push(place, **options) as socket:
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.send_string("before")
        eventually("the first message is there", lambda: lines_of(log) == ["before"])
        # Long enough for the peer to give up a server that does not answer.
        assert not monitor.poll(1500), "the peer gave the server up"
        socket.send_string("after")
        eventually("the next message is there", lambda: lines_of(log) == ["before", "after"])
        socket.disable_monitor()
        assert stop() == ""


def test_peers_come_back_to_a_new_server(tmp_path):
    log = tmp_path / "app.log"
    with server(log) as (place, stop), push(place, RECONNECT_IVL=10) as socket:
        socket.send_string("before")
        eventually("the first message is there", lambda: lines_of(log) == ["before"])
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        stop()
        assert monitor.poll(20_000), "the peer did not notice"
        socket.disable_monitor()
        socket.send_string("between")
        with server(log, place=place) as (_, stop):
            socket.send_string("after")
            eventually("both are there", lambda: lines_of(log) == ["before", "between", "after"])
            stop()


def test_a_socket_of_another_type_is_refused_and_pushers_go_on(tmp_path):
    log = tmp_path / "app.log"
    with server(log) as (place, stop), push(place) as socket:
        context = zmq.Context()
        stranger = context.socket(zmq.DEALER)
        monitor = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        stranger.connect(place)
        assert monitor.poll(20_000), "it was not refused"
        context.destroy(linger=0)
        socket.send_string("a line")
        eventually("the line is there", lambda: lines_of(log) == ["a line"])
        assert 'socket of type "DEALER"' in stop()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
