"""A partner of the tests: sends events and card files, and writes statements, as others do."""

import base64
import csv
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD_COLUMNS = (
    *(
        "",
        "trans_date_trans_time",
        "cc_num",
        "merchant",
        "category",
        "amt",
        "first",
        "last",
        "gender",
        "street",
        "city",
    ),
    *("state", "zip", "lat", "long", "city_pop", "job", "dob", "trans_num", "unix_time", "merch_lat", "merch_long"),
    "is_fraud",
)
CARD = dict.fromkeys(CARD_COLUMNS, "1") | {
    "trans_date_trans_time": "2000-03-01 10:00:18",
    "cc_num": "4000000000000002",
    "merchant": "fraud_Acme Example",
    "category": "misc_net",
    "amt": "4.97",
    "first": "Ann",
    "last": "Example",
    "city": "Springfield",
    "state": "IL",
    "dob": "1980-01-01",
    "is_fraud": "0",
}
PAYMENT = {
    "transaction_id": "",
    "customer_id": "CX0001",
    "customer_name": "Maya Example",
    "customer_email": "maya@example.com",
    "merchant_name": "Example Stores",
    "merchant_category": "grocery_net",
    "amount": 10,
    "payment_method": "UPI",
    "status": "SUCCESS",
    "failure_reason": None,
    "timestamp": "",
    "city": "Pune",
    "state": "Maharashtra",
    "country": "IN",
    "currency": "INR",
    "device_type": "mobile",
    "ip_address": "198.18.0.7",
    "is_fraud": False,
}


def payment(transaction_id: str, when: str, **fields: Any) -> bytes:
    """Return a payment's event; a field of bytes goes in as it is, so that 1844674407370955.17 keeps its digits."""
    held = PAYMENT | {"transaction_id": transaction_id, "timestamp": when} | fields
    raw = {name: value for name, value in held.items() if isinstance(value, bytes)}
    text = json.dumps({**held, **dict.fromkeys(raw, "@raw@")}, ensure_ascii=False).encode()
    for value in raw.values():
        text = text.replace(b'"@raw@"', value, 1)
    return text


@dataclass(frozen=True)
class Sender:
    """Sends events as a partner's gateway does, and card files as ours reads them."""

    platform: Any
    folder: Path

    def events(
        self,
        run: str,
        events: Iterable[bytes],
        *,
        headers: Mapping[int, Sequence[tuple[str, str]]] | None = None,
        seqs: Sequence[int] | None = None,
        closing: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:
        """Send a feed, and its closing control total where amounts are given."""
        lines = []
        for place, value in enumerate(events):
            seq = seqs[place] if seqs else place + 1
            own = [["run", run], ["seq", str(seq)], ["contract", "1.1.0"], *map(list, (headers or {}).get(seq, ()))]
            key = re.findall(rb'"customer_id": "([^"]*)"', value)[0].decode()  # a value may be no JSON for a parser
            lines.append({"key": key, "headers": own, "value_base64": base64.b64encode(value).decode()})
        if closing is not None:
            amounts = {currency: {"count": count, "amount": amount} for currency, (count, amount) in closing.items()}
            total = {
                "control_total": 1,
                "run": run,
                "seq": max(seqs or [len(lines)]),
                "closed": True,
                "amounts": amounts,
            }
            more = {"broken": {}, "last_offsets": {}, "topic_id": None, "contract": "1.1.0"}
            lines.append({"closing": {**total, **more, "sent_at": "2025-03-02T00:00:00+00:00"}})
        file = self.folder / "to-send.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        self.platform.tieout("produce", "--resend", str(file))

    def cards(self, name: str, *rows: Mapping[str, str]) -> Any:
        """Replay a card file; return the finished command."""
        file = self.folder / f"{name}.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, CARD_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({**CARD, "": str(number), **row} for number, row in enumerate(rows))
        options = ("--mix", "1", "--total", "all", "--timeline", "original", "--rate", "0")
        return self.platform.script("tieout", "produce", "--kaggle", str(file), *options)


def statement(folder: Path, name: str, text: str) -> str:
    """Write a statement; return its path."""
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


def reconcile(platform: Any, *words: str) -> tuple[int, dict[str, Any], str]:
    """Compare a statement; return the exit code, the result, and what was said of a refusal."""
    done = platform.script("tieout", "reconcile", *words, "--json")
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def differences(result: dict[str, Any]) -> set[tuple[str, str]]:
    return {(row["kind"], row["transaction_id"]) for row in result["differences"]}


# The form of a card processor's settlement report.
SETTLEMENT_DETAIL = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,"
    "Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,"
    "Net Debit (NC),Net Credit (NC),Commission (NC),Batch Number\n"
    "ExampleCo,EXAMPLE_NL,8818000000000001,R-1,mc,2010-03-01 00:21:32,CET,Settled,7700000000000001,EUR,,31.45,1,EUR,,"
    "31.15,0.30,380\n"
    "ExampleCo,EXAMPLE_NL,8818000000000002,R-2,visa,2010-03-01 10:17:31,CET,Settled,7700000000000002,EUR,,19.95,1,EUR,,"
    "19.70,0.25,380\n"
    "ExampleCo,EXAMPLE_NL,8818000000000002,R-2,visa,2010-03-03 10:17:31,CET,Refunded,7700000000000003,EUR,19.95,,1,EUR,"
    "19.95,,,380\n"
    "ExampleCo,EXAMPLE_NL,,,,2010-03-04 02:00:00,CET,Fee,Transaction Fees,EUR,,,,EUR,0.55,,,380\n"
    "ExampleCo,EXAMPLE_NL,,,,2010-03-04 02:00:00,CET,MerchantPayout,TX-380,EUR,,,,EUR,30.30,,,380\n"
)


def of_two_parsers() -> list[bytes]:
    """Return payments with more that the contract does not know, as one JSON parser reads it and another does not."""
    more = {"key": b', "' + b"k" * 60_000 + b'": 1}', "deep": b', "n": ' + b"[" * 996 + b"]" * 996 + b"}"}
    more |= {"plain": b', "n": 1}'}
    return [payment(f"c19-{name}", "2019-03-01T10:11:12+05:30")[:-1] + text for name, text in more.items()]


def reopened(platform: Any) -> None:
    """Let the live view begin anew with gold."""
    opened = platform.rows("select opened_at from live.opening")
    platform.tieout("live", "--restart-from-gold", "--once")
    deadline = time.monotonic() + 60
    while platform.rows("select opened_at from live.opening") == opened and time.monotonic() < deadline:
        time.sleep(0.5)


def checked(platform: Any) -> dict[str, Any]:
    """Return the comparison of the live view with gold, once it is made."""
    deadline = time.monotonic() + 120
    while (done := platform.script("tieout", "live", "--check", "--json")).returncode == 75:
        assert time.monotonic() < deadline, done.stdout
        time.sleep(1)
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if result["verdict"] == "OK" else 1)
    assert (result["running"], result["set_aside"]["not_counted"], result["set_aside"]["not_judged"]) == (True, 0, 0)
    return result
