"""No example, but what the check shows payroll with: a row of standing whose transaction is committed late.

    python late_commit.py --brokers localhost:9092 --prefix check. --schemas schemas --citizen late --seconds 3

It writes the row, says so on standard output, and commits after some seconds. Until then the last stable offset of its
partition lies before the row, as it does for an instant after every commit of the engine.
"""

import argparse
import datetime
import io
import json
import pathlib
import time

import fastavro
from confluent_kafka import Producer
from fastavro.schema import fingerprint, to_parsing_canonical_form

WAIT_SECONDS_MAX = 30  # for each answer of the brokers


def main():
    parser = argparse.ArgumentParser(prog="late_commit")
    for name in "brokers", "prefix", "schemas", "citizen":
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", required=True, type=float)
    options = parser.parse_args()
    schema = json.loads(pathlib.Path(options.schemas, "Standing.avsc").read_text(encoding="utf-8"))
    benefit = {"benefit": "URRP", "status": "GOOD", "reasons": [], "due_on": datetime.date(2024, 6, 30)}
    value = io.BytesIO(b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")))
    value.seek(0, io.SEEK_END)
    row = {"citizen_id": options.citizen, "at": 0, "benefits": [benefit], "catalogue": "0" * 16}
    fastavro.schemaless_writer(value, fastavro.parse_schema(schema), row)
    producer = Producer({"bootstrap.servers": options.brokers, "transactional.id": options.prefix + "late", "partitioner": "murmur2_random"})
    producer.init_transactions(WAIT_SECONDS_MAX)
    producer.begin_transaction()
    producer.produce(options.prefix + "standing", value.getvalue(), options.citizen)
    if producer.flush(WAIT_SECONDS_MAX):
        raise SystemExit(f"late_commit: the row is not acknowledged after {WAIT_SECONDS_MAX} s")
    print("written", flush=True)
    time.sleep(options.seconds)
    producer.commit_transaction(WAIT_SECONDS_MAX)


if __name__ == "__main__":
    main()
