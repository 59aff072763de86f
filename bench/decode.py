"""What decoding costs: ns a record of the fraud pipeline's input, by the form of the record."""

import json
import time
import tomllib
from pathlib import Path

import numpy as np

from features.columns import Columns
from features.schema import Schema
from pipeline.decode import EventDecoder

CONFIG = Path(__file__).parents[1] / "pipeline" / "configs" / "fraud.toml"
FORMS = {
    "plain": lambda event: json.dumps(event, separators=(",", ":")),
    "spaced": json.dumps,
    "reordered": lambda event: json.dumps(dict(reversed(event.items())), separators=(",", ":")),
    "rfc3339": lambda event: json.dumps(event | {"event_time": "2018-04-01T00:00:31.250Z"}),
    "safe path": lambda event: json.dumps(event | {"nested": {"a": [1]}}),
}


def ns_a_record(form: str = "plain", rows: int = 1024, rounds: int = 31) -> float:
    """Median ns a record over `rounds` reads of `rows` records each."""
    schema = Schema(fields=tomllib.loads(CONFIG.read_text())["inputs"]["transactions"]["fields"])
    records = [
        FORMS[form](
            {
                "transaction_id": 1_000_000 + row,
                "event_time": 1_522_540_831_000 + row,
                "customer_id": row % 5_000,
                "terminal_id": row * 7 % 10_000,
                "amount": round(row * 0.37 % 300, 2),
            }
        ).encode()
        for row in range(rows)
    ]
    payload = np.frombuffer(b"".join(records), np.uint8)
    length = np.array([len(record) for record in records], np.int64)
    address = payload.ctypes.data + np.cumsum(length) - length
    decoder, columns = EventDecoder(schema), Columns(schema, rows)
    spent_ns = []
    for _ in range(rounds + 3):
        start = time.perf_counter_ns()
        decoded = decoder.decode(address, length, columns, 0, rows)
        spent_ns.append((time.perf_counter_ns() - start) / rows)
        assert not decoded.rejects
    return float(np.median(spent_ns[3:]))


def main() -> None:
    print(json.dumps({form: round(ns_a_record(form), 1) for form in FORMS}))


if __name__ == "__main__":
    main()
