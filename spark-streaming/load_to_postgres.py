"""Load the lake into PostgreSQL: `python spark-streaming/load_to_postgres.py [--json]`. The same as `tieout load`."""

import sys

import typer

from core.errors import TieoutError
from warehouse.cli import load

if __name__ == "__main__":
    try:
        typer.run(load)
    except TieoutError as error:
        sys.exit(str(error))
