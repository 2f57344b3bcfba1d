"""Run the stream, as `tieout stream` does: `python spark-streaming/stream_processor.py [--once] [--trigger 30s]`."""

import sys

import typer

from core.errors import TieoutError
from spark_streaming.cli import stream

if __name__ == "__main__":
    try:
        typer.run(stream)
    except TieoutError as error:
        sys.exit(str(error))
