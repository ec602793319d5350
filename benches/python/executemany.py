"""Loads a CSV file into SQLite as Python programs do: parsed rows, one executemany, one transaction.

Prints the seconds that the load took, parsing left out, and the number of rows.
Usage: executemany.py FILE DATABASE [SPAN]
With SPAN it warms up and then repeats the load on DATABASE-1, DATABASE-2 ... for so many seconds, and prints the sums.
"""

import csv
import sqlite3
import sys
import time

from repeat import repeat


def value(text):
    """A field as the number that it is, None where it is empty, else the text."""
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def main():
    path, database, *span = sys.argv[1:]
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows = [tuple(value(field) for field in record) for record in reader]
    kinds = ["TEXT" if isinstance(field, str) else "INTEGER" for field in rows[0]]
    columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(header, kinds))
    marks = ", ".join("?" * len(header))

    def load(place):
        began = time.perf_counter()
        connection = sqlite3.connect(place, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"CREATE TABLE flights ({columns})")
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO flights VALUES ({marks})", rows)
        connection.execute("COMMIT")
        connection.close()
        return len(rows), began, time.perf_counter()

    repeat(load, database, float(span[0]) if span else None)


if __name__ == "__main__":
    main()
