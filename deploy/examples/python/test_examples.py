"""What needs no broker: the wire formats, the wait for the pay day, the pay list, quiet hours, the pace, the memory."""

import datetime
import io
import json
import os
import pathlib
import tempfile
import unittest
import unittest.mock
import zoneinfo

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

import payroll
import records
import sms

SHANGHAI = zoneinfo.ZoneInfo("Asia/Shanghai")
REMINDER = """{"type": "record", "name": "ExpiryReminder", "namespace": "vouch.v1", "fields": [
  {"name": "event_id", "type": "string"}, {"name": "phone", "type": ["null", "string"]},
  {"name": "benefits", "type": {"type": "array", "items": {"type": "record", "name": "DueBenefit", "fields": [
    {"name": "benefit", "type": "string"}, {"name": "due_on", "type": {"type": "int", "logicalType": "date"}}]}}}]}"""
STANDING = """{"type": "record", "name": "Standing", "namespace": "vouch.v1", "fields": [
  {"name": "citizen_id", "type": "string"}, {"name": "benefits", "type": {"type": "array", "items": "string"}}]}"""


def at(clock):
    return datetime.datetime.fromisoformat(f"2026-11-25T{clock}").replace(tzinfo=SHANGHAI).astimezone(datetime.timezone.utc)


def day(text):
    return datetime.date.fromisoformat(text)


def body(schema, value):
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), value)
    return stream.getvalue()


def single_object(schema, value):
    name = bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(schema)), "CRC-64-AVRO"))
    return b"\xc3\x01" + name + body(schema, value)


class InADirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        (self.directory / "reminder.avsc").write_text(REMINDER, encoding="utf-8")
        (self.directory / "standing.avsc").write_text(STANDING, encoding="utf-8")
        self.reader = records.Reader(self.directory, "http://registry")


class TestRecords(InADirectory):
    def test_both_wire_formats_are_read(self):
        given = {"event_id": "e", "phone": None, "benefits": [{"benefit": "URRP", "due_on": day("2024-02-29")}]}
        answers = [io.StringIO(json.dumps({"schema": REMINDER}))]  # a second question would fail
        with unittest.mock.patch("urllib.request.urlopen", lambda url, timeout: answers.pop()):
            for value in b"\x00\x00\x00\x01\x02" + body(REMINDER, given), b"\x00\x00\x00\x01\x02" + body(REMINDER, given), single_object(REMINDER, given):
                self.assertEqual(self.reader.decode(value), given)

    def test_what_cannot_be_read_is_said(self):
        self.reader.registry = None
        whole = single_object(STANDING, {"citizen_id": "chen", "benefits": []})
        foreign = single_object(STANDING.replace("citizen_id", "person_id"), {"person_id": "chen", "benefits": []})
        for value, says in (
            (b"", "neither wire format"), (b'{"citizen_id": "chen"}', "neither wire format"), (b"\x00\x00\x00\x00\x07" + whole[10:], "--registry"),
            (foreign, "fingerprint"), (whole[:13], "does not fit"), (whole + b"\x00", "1 bytes are left over"),
        ):  # fmt: skip
            with self.assertRaises(records.Failure) as failure:
                self.reader.decode(value)
            self.assertIn(says, str(failure.exception))
            self.assertNotIn("chen", str(failure.exception))
        with self.assertRaises(records.Failure):
            records.Reader(self.directory / "nowhere")


class TestPayroll(InADirectory):
    def test_pay_waits(self):
        """As long as the status names no instant, an earlier one, nothing that can be understood, or fails."""
        answers = iter([
            records.Failure("the brokers are away"),
            "GROUP  STATE\nvouch.certifier  Stable\n",
            "standing is complete up to no time yet\n",
            "GROUP  STATE\n\nstanding is complete up to 2023-07-14T15:59:59.999Z\n",
            "standing is complete up to soon\n",
            "standing is complete up to 2023-07-14T16:00:00.000Z\n",
            "asked too often",
        ])  # fmt: skip

        def status():
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        with unittest.mock.patch("sys.stderr", io.StringIO()):
            payroll.wait(datetime.datetime(2023, 7, 14, 16, tzinfo=datetime.timezone.utc), 60, status, pause=0)
        self.assertEqual(list(answers), ["asked too often"])

    def test_patience_ends(self):
        with unittest.mock.patch("sys.stderr", io.StringIO()), self.assertRaisesRegex(records.Failure, "no time yet"):
            payroll.wait(datetime.datetime.now(datetime.timezone.utc), 0.01, lambda: payroll.COMPLETE + "no time yet", pause=0.001)

    def test_only_good_is_paid(self):
        """And a status of a later version withholds."""

        def stands(benefit, status, due, *reasons):
            return {"benefit": benefit, "status": status, "reasons": list(reasons), "due_on": day(due)}

        table = {
            "b": [stands("URRP", "LAPSED", "2023-06-30", "lapsed"), stands("POOREC", "GOOD", "2024-02-29")],
            "a": [stands("URRP", "TERMINATED", "2023-12-31", "deceased"), stands("VDOC", "SUSPENDED", "2023-12-31", "in_custody", "missing")],
            "c": [stands("URRP", "PAUSED", "2023-12-31")],
        }
        path = self.directory / "list.csv"
        before = set(os.listdir(self.directory))
        payroll.write_list(str(path), payroll.pay_list(table))
        self.assertEqual(
            path.read_text(encoding="utf-8"),
            "citizen_id,benefit,decision,why\na,URRP,withhold,TERMINATED: deceased\na,VDOC,withhold,SUSPENDED: in_custody;missing\n"
            "b,POOREC,pay,GOOD: certified until 2024-02-29\nb,URRP,withhold,LAPSED: lapsed\nc,URRP,withhold,PAUSED: \n",
        )
        with self.assertRaises(ZeroDivisionError):
            payroll.write_list(str(self.directory / "half.csv"), ([1 / n] for n in (1, 0)))
        self.assertEqual(set(os.listdir(self.directory)) - before, {"list.csv"})

    def test_the_table_is_the_last_of_each(self):
        table = {}
        for citizen, benefits in ("a", ["one"]), ("b", ["one"]), ("a", ["two"]), ("b", None):
            value = None if benefits is None else single_object(STANDING, {"citizen_id": citizen, "benefits": benefits})
            payroll.take(table, citizen, value, self.reader)
        self.assertEqual(table, {"a": ["two"]})
        for wrong in single_object(STANDING, {"citizen_id": "a", "benefits": []}), b"{}":
            with self.assertRaises(records.Failure):
                payroll.take(table, "c", wrong, self.reader)


class TestSms(InADirectory):
    def test_quiet_hours_go_over_midnight(self):
        for quiet, clock, left in (
            ("21:00-08:00", "20:59:59", 0), ("21:00-08:00", "21:00:00", 11 * 3600), ("21:00-08:00", "23:59:59", 8 * 3600 + 1),
            ("21:00-08:00", "00:00:00", 8 * 3600), ("21:00-08:00", "03:00:00", 5 * 3600), ("21:00-08:00", "07:59:59", 1),
            ("21:00-08:00", "08:00:00", 0), ("12:00-14:30", "11:59:59", 0), ("12:00-14:30", "12:00:00", 9000), ("12:00-14:30", "14:30:00", 0),
            ("12:00-14:30", "00:00:00", 0), ("00:00-08:00", "23:59:59", 0), ("21:00-00:00", "22:00:00", 7200), ("21:00-00:00", "00:00:00", 0),
        ):  # fmt: skip
            self.assertEqual(sms.QuietHours(quiet, SHANGHAI).left(at(clock)), left, (quiet, clock))
        for wrong in "", "21:00", "21:00-21:00", "21-8", "21:00-24:00":
            with self.assertRaises(ValueError, msg=wrong):
                sms.QuietHours(wrong, SHANGHAI)

    def test_the_pace_has_no_burst(self):
        """In no second more than the rate goes out, after a pause neither."""
        pace, now, sent = sms.Pace(20), 0, []
        for number in range(200):
            now += 3600 if number == 70 else 0
            now += pace.next(now)
            sent.append(now)
        for first in sent:
            self.assertLessEqual(sum(first <= other < first + 0.999 for other in sent), 20)
        self.assertAlmostEqual(sent[69], 69 / 20)

    def test_the_memory_survives_and_is_bounded(self):
        path = self.directory / "sent.sqlite"
        memory = sms.Memory(path, limit=3)
        for event in "abcde":
            memory.add(event)
        again = sms.Memory(path, limit=3)  # the first one was never closed
        self.assertEqual([event for event in "abcde" if again.has(event)], list("cde"))
        again.close()
        memory.close()

    def test_the_gateway_knows_its_keys(self):
        path = self.directory / "gateway.tsv"
        gateway = sms.FileGateway(path)
        with self.assertRaises(records.Failure):
            sms.FileGateway(path)
        for key in "k1", "k2", "k1":
            gateway.send(key, "13800000000", "text")
        gateway.file.write(b"2026-11-25T04:00:00.000Z\tk3")  # killed in the middle of a line
        gateway.close()
        gateway = sms.FileGateway(path)
        for key in "k2", "k3":
            gateway.send(key, "13800000000", "text")
        gateway.close()
        lines = path.read_text(encoding="utf-8").splitlines()
        self.assertEqual([line.split("\t")[1:] for line in lines], [[key, "13800000000", "text"] for key in ("k1", "k2", "k3")])

    def sender(self, gateway, clock):
        """A sender whose clock moves when it sleeps, with the memory of the one before it."""
        now = [at(clock)]

        def wait(seconds):
            now[0] += datetime.timedelta(seconds=seconds)

        memory = sms.Memory(self.directory / "sent.sqlite")
        self.addCleanup(memory.close)
        return sms.Sender(self.reader, gateway, memory, sms.QuietHours("21:00-08:00", SHANGHAI), sms.TEXTS["en"], 1, wait, lambda: now[0], lambda: now[0].timestamp())

    def reminder(self, event_id, phone="13800000000"):
        benefits = [{"benefit": "POOREC", "due_on": day("2024-02-29")}, {"benefit": "URRP", "due_on": day("2023-06-30")}]
        return sms.REMINDER, single_object(REMINDER, {"event_id": event_id, "phone": phone, "benefits": benefits})

    def test_each_event_is_sent_once(self):
        """Whatever is read again, after a restart too; nobody without a phone; what the gateway did not take is not remembered."""
        gateway = unittest.mock.Mock()
        sender = self.sender(gateway, "12:00:00")
        sender.take(*self.reminder("one"))
        sender.take(*self.reminder("one"))
        sender.take(*self.reminder("two", phone=None))
        gateway.send.side_effect = OSError("the gateway is away")
        with self.assertRaises(OSError):
            sender.take(*self.reminder("three"))
        self.assertEqual(sender.counts(), "sent 1, sent before 1, without a phone 1")
        gateway.send.side_effect = None
        again = self.sender(gateway, "12:00:00")
        again.take(*self.reminder("one"))
        again.take(*self.reminder("three"))
        self.assertEqual(again.counts(), "sent 1, sent before 1, without a phone 0")
        text = "Your certification ends: POOREC 2024-02-29, URRP 2023-06-30. Please certify by phone or at a counter."
        self.assertEqual([call.args for call in gateway.send.call_args_list], [(key, "13800000000", text) for key in ("one", "three", "three")])
        with self.assertRaises(records.Failure):
            again.take(*self.reminder(""))

    def test_the_night_begins_in_the_middle_of_a_turn(self):
        """The wait for the pace may end after nine."""
        gateway = unittest.mock.Mock()
        sender = self.sender(gateway, "20:59:58")
        sender.take(*self.reminder("one"))
        sender.take(*self.reminder("two"))
        with self.assertRaises(sms.Night):
            sender.take(*self.reminder("three"))
        self.assertEqual(gateway.send.call_count, 2)
        self.assertFalse(sender.memory.has("three"))

    def test_what_is_committed_was_sent(self):
        """Neither more, when the night begins in the middle of a turn, nor less; and no turn commits behind what was not sent."""
        messages = []
        for offset in range(10):
            topic, value = self.reminder(f"event {offset}")
            messages.append(unittest.mock.Mock(**{"error.return_value": None, "topic.return_value": "vouch." + topic, "partition.return_value": 0,
                                                  "offset.return_value": offset, "value.return_value": value}))  # fmt: skip
        gateway, consumer, options = unittest.mock.Mock(), unittest.mock.Mock(), unittest.mock.Mock(prefix="vouch.", rate=4)
        consumer.consume.side_effect = [messages[0:4], messages[4:8], messages[6:10]]
        sender = self.sender(gateway, "20:59:54.500000")
        with unittest.mock.patch("sys.stderr", io.StringIO()):
            for more, committed in (True, 4), (False, 6):
                self.assertEqual(sms.turn(options, consumer, sender), more)
                places = consumer.commit.call_args.kwargs["offsets"]
                self.assertEqual([(place.topic, place.partition, place.offset) for place in places], [("vouch." + sms.REMINDER, 0, committed)])
                self.assertEqual(gateway.send.call_count, committed)
            morning = self.sender(gateway, "09:00:00")
            gateway.send.side_effect = OSError("the gateway is away")
            with self.assertRaises(OSError):
                sms.turn(options, consumer, morning)
        self.assertEqual(consumer.commit.call_count, 2)

    def test_every_topic_has_its_text(self):
        for by in sms.TEXTS.values():
            for topic, date in (sms.COMPLETED, "valid_until"), (sms.REVOKED, "due_on"), (sms.REMINDER, "due_on"):
                self.assertIn("URRP 2024-06-30", sms.text_of({"benefits": [{"benefit": "URRP", date: day("2024-06-30")}]}, topic, by))


if __name__ == "__main__":
    unittest.main()
