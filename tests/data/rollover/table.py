"""What Python's own TimedRotatingFileHandler answers: one row for each question, to compare ours with.

    python3.13 table.py > 3.13.0.tsv

Columns: zone, trigger (as crlog writes it), a time, computeRollover(time), a time not before that at which
the handler rotates, the suffix of the file, and the handler's next rollover. Times are seconds since 1970.
With a number n as argument, each n-th row only.
"""
import calendar
import datetime
import itertools
import logging.handlers
import os
import sys
import tempfile
import time

CHANGES = {
    "Europe/Berlin": ["2023-03-26 01:00", "2023-10-29 01:00"],
    "America/New_York": ["2023-03-12 07:00", "2023-11-05 06:00"],
    "Australia/Lord_Howe": ["2023-04-01 15:00", "2023-09-30 15:30"],  # by half an hour
    "America/Sao_Paulo": ["2018-02-18 02:00", "2018-11-04 03:00"],  # at midnight
    "Asia/Beirut": ["2022-03-26 22:00", "2022-10-29 21:00"],  # at midnight
    "America/Havana": ["2023-03-12 05:00", "2023-11-05 05:00"],  # midnight is missing, midnight is twice
    "Europe/Dublin": ["2023-03-26 01:00", "2023-10-29 01:00"],  # winter is the daylight saving time
    "Africa/Casablanca": ["2023-03-19 02:00", "2023-04-23 02:00"],  # Ramadan
    "Pacific/Apia": ["2011-09-24 14:00", "2011-12-30 10:00"],  # a day is missing
    "Europe/Moscow": ["2014-10-25 22:00"],  # another zone, no daylight saving
    "Asia/Kolkata": ["2023-03-26 18:30"],
    "UTC": ["2023-03-26 00:00"],
}
AWAY = [-700000, -260000, -90000, -80000, -7200, -3601, -1800, -1, 0, 1, 1799, 3600, 20000, 86399]
LATE = [0, 0, 1, 0, 2500, 0, 19000, 0, 260000]
# when, interval, atTime
TRIGGERS = [
    ("MIDNIGHT", 1, None),
    ("H", 1, None),
    ("MIDNIGHT", 1, "02:30:00"),
    ("W0", 1, None),
    ("MIDNIGHT", 2, None),
    ("S", 10, None),
    ("W6", 1, "02:30:00"),
    ("D", 1, None),
    ("MIDNIGHT", 1, "00:00:00"),
    ("M", 30, None),
    ("W6", 2, "23:59:59"),
    ("H", 5, None),
    ("W3", 1, "00:00:00"),
]


def times():
    for zone, changes in CHANGES.items():
        for change in changes:
            at = calendar.timegm(time.strptime(change, "%Y-%m-%d %H:%M"))
            for away in AWAY:
                yield zone, at + away


def text(when, interval, at):
    words = [when] + ([str(interval)] if interval > 1 else [])
    if at:
        words += ["at", at[:5] if at.endswith(":00") else at]
    return " ".join(words)


def ask(directory, zone, when, interval, at, t, late):
    """The handler's own answers, with its clock and its rename replaced."""
    os.environ["TZ"] = zone
    time.tzset()
    handler = logging.handlers.TimedRotatingFileHandler(
        os.path.join(directory, "log"), when, interval, delay=True, utc=zone == "UTC",
        atTime=at and datetime.time.fromisoformat(at))
    rollover = handler.rolloverAt = handler.computeRollover(t)
    names = []
    handler.rotator = lambda _, name: names.append(name)
    now, clock = rollover + late, time.time
    time.time = lambda: float(now)
    try:
        handler.doRollover()
    finally:
        time.time = clock
    return rollover, now, names[0][len(handler.baseFilename) + 1:], handler.rolloverAt


def main():
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print("# Python", sys.version.split()[0])
    triggers, lates, number = itertools.cycle(TRIGGERS), itertools.cycle(LATE), itertools.count()
    with tempfile.TemporaryDirectory() as directory:
        for (zone, t), _ in itertools.product(times(), range(2)):
            trigger, late = next(triggers), next(lates)
            if next(number) % every == 0:
                rollover, now, suffix, after = ask(directory, zone, *trigger, t, late)
                print(zone, text(*trigger), t, rollover, now, suffix, after, sep="\t")


main()
