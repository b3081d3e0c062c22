"""A small client: requests from several threads at once."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from typing import Iterable

from .run import LIMIT, Program, until


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until_served(program: Program, port: int) -> None:
    until(lambda: listens(port) or not program.running(), f"{program.name} listens")
    assert program.running(), f"{program.name} ended at its start:\n{program.stderr[-3000:]}"


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def requests(program: Program, port: int, paths: Iterable[str], threads: int = 6) -> dict[str, tuple[int, str] | Exception]:
    """Asks for each path once. What came back for each, or why nothing did; those that are left when the program ends are missing."""
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for path in paths:
        waiting.put(path)
    answers: dict[str, tuple[int, str] | Exception] = {}

    def work() -> None:
        while program.running():
            try:
                path = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers[path] = get(port, path)
            except (OSError, http.client.HTTPException) as e:
                answers[path] = e

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for w in workers:
        w.start()
    end = time.monotonic() + LIMIT
    for w in workers:
        w.join(max(0, end - time.monotonic()))
    assert not any(w.is_alive() for w in workers), f"the requests were not answered within {LIMIT} s"
    return answers
