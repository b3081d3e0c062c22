"""Gives every record that a process formats a number, and notes outside of the log how many there were.

A record becomes `#>SOURCE NUMBER THREAD TIME CRC LENGTH TEXT<#`: who wrote it, the how many-th of that process it is, the thread, the
system's monotonic time in nanoseconds, and checksum and length of the UTF-8 text. checker.py reads that. Each process keeps its last
number in a file $CRLOG_TEST_TALLY/BOOK/SOURCE, set before the record goes to the handler, so what is missing from the log is known
even if the process was killed.
"""

import logging
import os
import threading
import time
import zlib


class Book:
    """The numbers that this process gave to the records of one log. A forked child begins a book of its own."""

    def __init__(self, name: str):
        self.name = name
        self.fd = -1
        self.begin()
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
        self.lock = threading.Lock()
        self.count = 0
        self.source = f"{os.getpid()}.{os.urandom(4).hex()}"

    def next(self) -> int:
        with self.lock:
            self.count += 1
            if self.fd < 0:
                place = os.path.join(os.environ["CRLOG_TEST_TALLY"], self.name)
                os.makedirs(place, exist_ok=True)
                self.fd = os.open(os.path.join(place, self.source), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            os.pwrite(self.fd, self.count.to_bytes(8, "little"), 0)
            return self.count


BOOKS: dict[str, Book] = {}


def fields(book: str, text: str) -> dict:
    """What identifies the next record, whose text is `text`."""
    if book not in BOOKS:
        BOOKS[book] = Book(book)
    raw = text.encode("utf-8")
    return {
        "number": BOOKS[book].next(),
        "source": BOOKS[book].source,
        "thread": threading.get_ident(),
        "time": time.monotonic_ns(),
        "crc": f"{zlib.crc32(raw):08x}",
        "length": len(raw),
    }


class Framed(logging.Formatter):
    """Formats as its base class does, and puts the frame around it, traceback included."""

    book = "log"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        f = fields(self.book, text)
        return f"#>{f['source']} {f['number']} {f['thread']} {f['time']} {f['crc']} {f['length']} {text}<#"


class FramedTimed(Framed):
    """For a second log of the same process."""

    book = "timed"


def padding(seed: int) -> str:
    """Text of 0 to 299 letters, some of them of more than one byte."""
    return ("grün € 😀 " * 40)[: seed * 7919 % 300]
