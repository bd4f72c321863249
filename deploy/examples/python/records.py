"""Reads the values of vouch's topics. All that it knows of vouch is this page and the schemas (`vouch schemas show NAME`).

    Confluent       00, schema id (4 bytes, big-endian), Avro body
    single-object   C3 01, fingerprint of the schema (8 bytes), Avro body

The engine writes the first where it has a schema registry and the second where it has none. A reader of both survives
the day on which one is added. A value is read with the schema it was written with, or not at all.
"""

import io
import json
import pathlib
import struct
import urllib.error
import urllib.request

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

REGISTRY_SECONDS_MAX = 10  # one question to the registry; then reading fails


class Failure(Exception):
    """What was being done, to what, and why it failed; it shows nothing of a value, which is about a citizen."""


class Reader:
    """Decodes values by the .avsc files of a directory and, where there is one, a schema registry."""

    def __init__(self, directory, registry=None):
        files = sorted(pathlib.Path(directory).glob("*.avsc"))
        if not files:
            raise Failure(f"read schemas: {directory} has no .avsc files: fill it with `vouch schemas show NAME > {directory}/NAME.avsc`")
        self.by_fingerprint = {}
        for file in files:
            schema = json.loads(file.read_text(encoding="utf-8"))
            # fastavro's hex digits are the fingerprint's bytes from the lowest to the highest: the order of the wire.
            name = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
            self.by_fingerprint[name] = fastavro.parse_schema(schema)
        self.registry = registry.rstrip("/") if registry else None
        self.by_id = {}  # a schema never changes, so that each is asked for once

    def decode(self, value):
        """A value as a dict: dates are datetime.date, and fields that a newer engine has added are in it too."""
        schema, body = self.schema_of(value)
        stream = io.BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, schema)
        except Exception as error:  # whatever fastavro meets in bytes that are something else
            raise Failure(f"the value does not fit the schema it names: {type(error).__name__}") from None
        if stream.tell() != len(body):
            raise Failure(f"{len(body) - stream.tell()} bytes are left over after the value")
        return record

    def schema_of(self, value):
        """The schema that a value names, and the body behind the name."""
        if value[:1] == b"\x00" and len(value) >= 5:
            return self.registered(struct.unpack(">I", value[1:5])[0]), value[5:]
        if value[:2] == b"\xc3\x01" and len(value) >= 10:
            schema = self.by_fingerprint.get(value[2:10])
            if not schema:
                raise Failure(
                    f"no .avsc file has the fingerprint {value[2:10].hex()}: the engine is of another version; "
                    "add the file that its `vouch schemas show` prints"
                )
            return schema, value[10:]
        raise Failure("the value is in neither wire format")

    def registered(self, number):
        """Asks the registry for a schema, once."""
        if number not in self.by_id:
            if not self.registry:
                raise Failure(f"a value names schema id {number} of a registry: give its address with --registry")
            try:
                with urllib.request.urlopen(f"{self.registry}/schemas/ids/{number}", timeout=REGISTRY_SECONDS_MAX) as answer:
                    self.by_id[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
            except (OSError, KeyError, ValueError) as error:
                raise Failure(f"ask the registry for schema id {number}: {error}") from error
        return self.by_id[number]
