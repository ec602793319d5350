"""Repeats a load on fresh databases and prints what it took, for the scripts beside this one."""

import time


def repeat(load, database, span):
    """Calls load(path) on DATABASE, or once to warm up and then again and again for SPAN seconds on DATABASE-1, -2 ...

    load returns the number of rows, and the first and last moment of what counts. Prints the seconds of all that
    counts and the number of rows.
    """
    if span is None:
        rows, began, ended = load(database)
        print(f"{ended - began:.6f} {rows}")
        return
    load(f"{database}-0")
    seconds, rows, number = 0.0, 0, 0
    until = time.perf_counter() + 2 * span
    while number == 0 or (seconds < span and time.perf_counter() < until):
        number += 1
        more, began, ended = load(f"{database}-{number}")
        rows += more
        seconds += ended - began
    print(f"{seconds:.6f} {rows}")
