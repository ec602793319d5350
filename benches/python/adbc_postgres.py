"""Loads a CSV file into PostgreSQL with ADBC: an Arrow table in memory, adbc_ingest into a table that is there, one commit.

Prints the seconds that the load took, parsing left out, the seconds of processor time, and the number of rows.
Usage: adbc_postgres.py FILE URL
Reads a line from standard input before each load, and prints a line after it; ends at the end of its input.
"""

import sys
import time

import adbc_driver_postgresql.dbapi
import pyarrow
import pyarrow.csv

COLUMNS = {
    **dict.fromkeys(("year", "month", "day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour", "minute"), pyarrow.int32()),
    **dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), pyarrow.float64()),
    **dict.fromkeys(("carrier", "tailnum", "origin", "dest"), pyarrow.string()),
    "time_hour": pyarrow.timestamp("us", "UTC"),
}


def main():
    path, url = sys.argv[1:]
    convert = pyarrow.csv.ConvertOptions(column_types=COLUMNS, null_values=[""], strings_can_be_null=True)
    table = pyarrow.csv.read_csv(path, convert_options=convert)
    with adbc_driver_postgresql.dbapi.connect(url) as connection:
        print("ready", flush=True)
        for _ in sys.stdin:
            began, used = time.perf_counter(), time.process_time()
            with connection.cursor() as cursor:
                cursor.adbc_ingest("flights", table, mode="append")
            connection.commit()
            print(f"{time.perf_counter() - began:.6f} {time.process_time() - used:.6f} {table.num_rows}", flush=True)


if __name__ == "__main__":
    main()
