"""What needs no broker: the hash, the fingerprint and the two wire formats, against published values."""

import json
import pathlib
import tempfile
import unittest

import interop

EVIDENCE = """{"type": "record", "name": "Evidence", "namespace": "vouch.v1", "fields": [
  {"name": "evidence_id", "type": "string"},
  {"name": "op", "type": {"type": "enum", "name": "EvidenceOp", "symbols": ["ASSERT", "RETRACT"]}, "default": "ASSERT"},
  {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "due_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
  {"name": "attributes", "type": {"type": "map", "values": "string"}, "default": {}}]}"""


def crc_64_avro(data):
    """As the Avro specification gives it, without a table."""
    crc = 0xC15D213AA4D7A795
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC15D213AA4D7A795 if crc & 1 else 0)
    return crc


class TestInterop(unittest.TestCase):
    def test_murmur2_is_java_s(self):  # Kafka's own UtilsTest
        for key, hash_of_java in {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
                                  "a-little-bit-longer-string": -1486304829, "abc": 479470107,
                                  "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971}.items():
            self.assertEqual(interop.murmur2(key.encode()), hash_of_java & 0xFFFFFFFF, key)

    def test_clock_keys_fall_on_their_partitions(self):
        for partitions in (1, 3, 12):
            keys = interop.clock_keys(partitions)
            self.assertEqual([interop.partition_of(key, partitions) for key in keys], list(range(partitions)))

    def test_fingerprint_is_little_endian(self):
        schema = interop.Schema(EVIDENCE)
        canonical = ('{"name":"vouch.v1.Evidence","type":"record","fields":[{"name":"evidence_id","type":"string"},'
                     '{"name":"op","type":{"name":"vouch.v1.EvidenceOp","type":"enum","symbols":["ASSERT","RETRACT"]}},'
                     '{"name":"occurred_at","type":"long"},{"name":"due_on","type":["null","int"]},'
                     '{"name":"attributes","type":{"type":"map","values":"string"}}]}')
        self.assertEqual(crc_64_avro(b'"int"'), 0x7275D51A3F395C8F)  # Avro's own test data
        self.assertEqual(schema.fingerprint, crc_64_avro(canonical.encode()).to_bytes(8, "little"))

    def test_both_wire_formats_come_back(self):
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "evidence.avsc").write_text(EVIDENCE, encoding="utf-8")
            schemas = interop.Schemas(directory)
        schema = schemas.by_name["vouch.v1.Evidence"]
        registry = interop.Registry(None)
        registry.schemas[258] = schema  # as if it had been asked for
        given = {"evidence_id": "公民-1", "occurred_at": "1969-12-31T23:59:59.999Z", "due_on": "2024-02-29"}
        body = schema.encode(given)
        self.assertEqual(body.hex(), "10" + "公民-1".encode().hex() + "00" + "01" + "02" + "8cb502" + "00")
        expected = dict(given, op="ASSERT", attributes={})
        single, confluent = interop.encode_single_object(schema, given), interop.encode_confluent(schema, 258, given)
        self.assertEqual(single[:10], b"\xc3\x01" + schema.fingerprint)
        self.assertEqual(confluent[:5], b"\x00\x00\x00\x01\x02")
        for payload in single, confluent:
            self.assertEqual(interop.decode(payload, schemas, registry), expected)
        for broken in b"", b"\x01", b"\xc3\x01short", single + b"\x00", b"\xc3\x01" + bytes(8) + body:
            with self.assertRaises(interop.Failure, msg=broken):
                interop.decode(broken, schemas, registry)

    def test_a_value_that_does_not_fit_is_refused(self):
        schema = interop.Schema(EVIDENCE)
        for wrong in {}, {"evidence_id": "e", "occurred_at": 5}, {"evidence_id": "e", "occurred_at": "2024-01-01T00:00:00.000Z", "unknown": 1}:
            with self.assertRaises((TypeError, ValueError, AttributeError), msg=wrong):
                schema.encode(wrong)

    def test_a_missing_and_a_doubled_record_are_noticed(self):
        one, two = {"topic": "alert", "key": "1", "value": {"rule": "a", "at": 1}}, {"topic": "alert", "key": "2", "value": None}
        self.assertEqual(interop.compare([one, two], [two, dict(reversed(one.items()))]), [])
        self.assertEqual([d.split(":")[0] for d in interop.compare([one, two], [one])], ["missing"])
        self.assertEqual([d.split(":")[0] for d in interop.compare([one, two], [one, two, two])], ["not expected"])
        self.assertEqual([d.split(":")[0] for d in interop.compare([one], [two])], ["missing", "not expected"])

    def test_a_quarantined_value_gets_its_defaults(self):
        schemas = interop.Schemas(pathlib.Path(__file__).parents[3] / "schemas")
        payout = {"payout_id": "p", "citizen_id": "c", "benefit": "B", "period": "never", "amount_fen": 1, "paid_at": "2023-06-01T01:02:03.000Z"}
        tick = {"at": "2023-06-01T01:02:03.000Z"}
        text = [json.dumps({"topic": "quarantine", "reason": "out_of_range", "key": "c", "value": payout}), "", '{"topic": "standing"}',
                json.dumps({"topic": "quarantine", "reason": "future_dated", "key": None, "value": tick})]
        lines = list(interop.expected_lines(text, {"quarantine"}, schemas, 2))
        keys = [key.decode() for key in interop.clock_keys(2)]
        self.assertEqual([(line["key"], line["value"]) for line in lines], [("c", dict(payout, payee=None)), (keys[0], tick), (keys[1], tick)])
        with self.assertRaises(interop.Failure):
            interop.with_defaults({"nobody": "knows"}, schemas)

    def test_the_wire_format_is_checked(self):
        class Message:
            def value(self):
                return b"\x00\x00\x00\x00\x01"
        interop.require_format(Message(), "alert", "Confluent")
        with self.assertRaises(interop.Failure):
            interop.require_format(Message(), "alert", "single-object")

    def test_the_project_s_schemas_take_what_they_must(self):
        schemas = interop.Schemas(pathlib.Path(__file__).parents[3] / "schemas")
        for topic in interop.RECORD_OF_TOPIC:
            schemas.of_topic(topic)
        entry = {"entry_id": "r1", "citizen_id": "c1", "benefit": "URRP", "recorded_at": "2023-06-01T01:02:03.000Z",
                 "effective_on": "1948-05-01", "birth_on": "1919-04-13", "amount_fen": 12345}
        schema = schemas.of_topic("roster")
        read = schema.decode(schema.encode(entry))
        self.assertEqual({name: read[name] for name in entry}, entry)
        self.assertEqual(json.loads(json.dumps(read))["due_on"], None)


if __name__ == "__main__":
    unittest.main()
