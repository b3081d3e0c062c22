"""A small client: requests from several threads at once."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
from typing import Iterable

from .run import Program, until


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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def requests(port: int, paths: Iterable[str], threads: int = 6) -> dict[str, tuple[int, str] | Exception]:
    """Asks for each path once. What came back for each, or why nothing did."""
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for path in paths:
        waiting.put(path)
    answers: dict[str, tuple[int, str] | Exception] = {}

    def work() -> None:
        while True:
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
    for w in workers:
        w.join()
    return answers
