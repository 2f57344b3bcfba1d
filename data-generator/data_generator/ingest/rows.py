"""The reader of a file, as its mapping says."""

from data_generator.ingest.csv_reader import CsvRows
from data_generator.ingest.errors import SourceError
from data_generator.ingest.json_reader import JsonRows
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.parquet_reader import ParquetRows
from data_generator.ingest.record import Rows
from data_generator.ingest.source import Source


def open_rows(source: Source, mapping: FileMapping) -> Rows:
    """Return the rows of a file; iterating over them reads it.

    Raises:
        SourceError: it is plainly of another format.
    """
    form, wanted = mapping.form, mapping.columns
    with source.open() as stream:
        binary = stream.peek(4)[:4] == b"PAR1"
    if binary != (form.format == "parquet"):
        what = "it is Parquet" if binary else "it is no Parquet"
        raise SourceError(
            source.name,
            f"{what}, and the mapping {mapping.name} says {form.format}",
            "`format:` in the mapping says what the file is",
            None if binary else 1,
        )
    if form.format == "parquet":
        amounts = [field.name for field in mapping.entity.fields if field.type == "decimal"]
        exact = [
            column
            for name in amounts
            if name in form.fields and form.fields[name].amounts.binary == "refuse"
            for column in form.fields[name].columns
        ]
        return ParquetRows(source, wanted, exact)
    if form.format == "json-lines":
        structural = {field.name for field in mapping.entity.fields if field.structural}
        needed = [column for name, each in form.fields.items() if name in structural for column in each.columns]
        return JsonRows(source, wanted, form.encoding, needed)
    return CsvRows(source, form.csv, wanted)
