"""Spark reads chunks and weights: quotes, rows that cannot be read, exact amounts. One Java for all of it."""

import gzip
import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.services

HEADER = "step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud"
PROGRAM = """
import json, sys
from pathlib import Path
from core.layout import find_layout
from core.settings import load_settings
from patterns.spark import Spark
layout = find_layout()
spark = Spark(load_settings(layout), layout)
found = {}
for path in map(Path, sys.argv[1:]):
    data = path.read_bytes()
    if path.name.startswith("weights"):
        copy = spark.scratch / path.name
        copy.write_bytes(data)
        found[path.name] = spark.sum_weights(copy, ("Source", "Target", "Weight", "typeTrans", "fraud")).to_pylist()
    else:
        header = tuple(data.partition(b"\\n")[0].decode("utf-8-sig").strip().split(","))
        found[path.name] = spark.read_chunk(data, header).to_pylist()
spark.close()
print(json.dumps(found, default=str))
"""


def row(
    customer: str = "'C1'", amount: str = "1.50", step: str = "0", gender: str = "'F'", category: str = "'es_food'"
) -> str:
    return f"{step},{customer},'2',{gender},'28007','M1','28007',{category},{amount},0"


BAD = {
    row(customer="''"): "CUSTOMER_MISSING",
    row(customer=""): "CUSTOMER_MISSING",
    row(amount="1,50"): "COLUMNS",
    row(amount="'1.50'"): "",
    row(amount="1.50 "): "",
    row(amount=""): "AMOUNT_NO_NUMBER",
    row(amount="1e3"): "AMOUNT_NO_NUMBER",
    row(amount="1.23456"): "AMOUNT_NO_NUMBER",
    row(amount="NaN"): "AMOUNT_NO_NUMBER",
    row(step="x"): "STEP_NO_NUMBER",
    row(gender="'X'"): "GENDER_UNKNOWN",
    row(gender="X", amount="x"): "GENDER_UNKNOWN AMOUNT_NO_NUMBER",
    "0,'C1'": "COLUMNS",
    row() + ",more": "COLUMNS",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    home = tmp_path_factory.mktemp("home ä")
    files = {
        "plain.csv": "\n".join([HEADER, row(), row("'C 2'", "99999999999999.9999"), row('"C,3"', "0"), ""]).encode(),
        "bad.csv": "\n".join([HEADER, *BAD, ""]).encode(),
        "windows.csv": ("\ufeff" + "\r\n".join([HEADER, row(), row(), ""])).encode(),
        "lines.csv": "\n".join([HEADER, row(category='"two\nlines"'), row("'C9'"), ""]).encode(),
        "latin.csv": "\n".join([HEADER, row("'Müller'"), row(), ""]).encode("latin-1"),
        "order.csv": b"amount,gender,merchant,category,customer,step\n2.00,'F','M','c','C',1\n",
        "weights.csv.gz": gzip.compress(
            b"Source,Target,Weight,typeTrans,fraud\n'C1','M1',0.10,'food',0\n'C1','M1',0.20,'food',0\n"
            b"'C1','M1',0.30,'travel',1\n'C1','M1',heavy,'food',0\n,'M1',1,'food',0\n'C1'\n"
        ),
    }
    for name, data in files.items():
        (home / name).write_bytes(data)
    command = [sys.executable, "-c", PROGRAM, *(str(home / name) for name in files)]
    environment = {**os.environ, "TIEOUT_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    result: dict[str, list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    assert not (home / ".tieout" / "patterns").exists()
    return result


def test_single_quotes_go_and_amounts_are_exact(found: dict[str, list[dict[str, Any]]]) -> None:
    rows = found["plain.csv"]
    assert [each["row"] for each in rows] == [0, 1, 2]
    assert [(each["customer"], each["amount"], each["reasons"]) for each in rows] == [
        ("C1", "1.5000", ""),
        ("C 2", "99999999999999.9999", ""),
        ("C,3", "0.0000", ""),
    ]
    assert {name: rows[0][name] for name in ("step", "gender", "merchant", "category")} == {
        "step": 0,
        "gender": "F",
        "merchant": "M1",
        "category": "es_food",
    }


def test_each_row_that_cannot_be_read_has_all_its_reasons(found: dict[str, list[dict[str, Any]]]) -> None:
    rows = found["bad.csv"]
    assert len(rows) == len(BAD), "never a row lost"
    wrong = {
        text: (expected, each["reasons"])
        for (text, expected), each in zip(BAD.items(), rows, strict=True)
        if expected not in (each["reasons"], each["reasons"].split(" ")[0])
    }
    assert wrong == {}


def test_marks_line_ends_encodings_and_the_order_of_columns_do_not_matter(
    found: dict[str, list[dict[str, Any]]],
) -> None:
    assert [each["reasons"] for each in found["windows.csv"]] == ["", ""]
    assert [each["category"] for each in found["lines.csv"]] == ["two\nlines", "es_food"]
    assert [each["reasons"] for each in found["latin.csv"]] == ["BAD_ENCODING", ""]
    assert [(each["customer"], each["amount"]) for each in found["order.csv"]] == [("C", "2.0000")]


def test_weights_are_summed_by_type_and_bad_rows_counted(found: dict[str, list[dict[str, Any]]]) -> None:
    rows = found["weights.csv.gz"]
    good = {(each["Source"], each["typeTrans"]): (each["total"], each["count"]) for each in rows if not each["reasons"]}
    assert good == {("C1", "food"): ("0.3000", 2), ("C1", "travel"): ("0.3000", 1)}
    bad = {each["reasons"].split(" ")[0]: each["count"] for each in rows if each["reasons"]}
    assert bad == {"WEIGHT_NO_NUMBER": 1, "SOURCE_MISSING": 1, "COLUMNS": 1}
