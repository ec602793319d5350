"""Loads a CSV file into SQLite with ADBC: an Arrow table in memory, adbc_ingest into a new table, one commit.

Prints the seconds that the load took, parsing left out, and the number of rows.
Usage: adbc_ingest.py FILE DATABASE [SPAN]
With SPAN it warms up and then repeats the load on DATABASE-1, DATABASE-2 ... for so many seconds, and prints the sums.
"""

import sys
import time

import adbc_driver_sqlite.dbapi
import pyarrow
import pyarrow.csv

from repeat import repeat


def table_of(path):
    """The file as an Arrow table of whole numbers and texts, as the other contenders have it."""
    convert = pyarrow.csv.ConvertOptions(
        null_values=[""], strings_can_be_null=True, timestamp_parsers=["%%"]
    )
    table = pyarrow.csv.read_csv(path, convert_options=convert)
    fields = [
        pyarrow.field(field.name, pyarrow.string() if pyarrow.types.is_string(field.type) else pyarrow.int64())
        for field in table.schema
    ]
    return table.cast(pyarrow.schema(fields))


def main():
    path, database, *span = sys.argv[1:]
    table = table_of(path)

    def load(place):
        began = time.perf_counter()
        with adbc_driver_sqlite.dbapi.connect(place) as connection:
            with connection.cursor() as cursor:
                # A PRAGMA of the journal works outside of a transaction only, and ADBC's connections begin in one.
                connection.adbc_connection.set_autocommit(True)
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.fetchall()
                cursor.execute("PRAGMA synchronous = FULL")
                connection.adbc_connection.set_autocommit(False)
                cursor.adbc_ingest("flights", table, mode="create")
            connection.commit()
        return table.num_rows, began, time.perf_counter()

    repeat(load, database, float(span[0]) if span else None)


if __name__ == "__main__":
    main()
