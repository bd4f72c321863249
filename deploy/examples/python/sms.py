"""How an SMS sender uses vouch: it reads what citizens are to be told and hands it to a gateway, once each, at a rate, and
never at night.

    python sms.py --brokers localhost:9092 --schemas schemas --gateway gateway.tsv --memory sent.sqlite

It reads certification-completed, certification-revoked and expiry-reminder. visit-requested is for the staff who visit,
not for the citizen. Whatever is killed when, the gateway sends each event once: Kafka gives a group every record at
least once; what it gives twice is known by its event_id, here by the memory, and at the gateway by the key that goes
with each message. Status: 0 done, 1 failed, 2 wrong usage.
"""

import argparse
import datetime
import fcntl
import re
import signal
import sqlite3
import sys
import threading
import time
import zoneinfo

from confluent_kafka import Consumer, KafkaException, TopicPartition

from records import Failure, Reader

COMPLETED, REVOKED, REMINDER = "certification-completed", "certification-revoked", "expiry-reminder"

# What citizens are told; {} is each benefit with its date. They give dates and no days that are left: a message may have
# waited for the morning, or in the queue of a first load.
TEXTS = {
    "zh": {
        COMPLETED: "您的待遇资格已认证,有效期至:{}。您无需办理任何手续。",
        REVOKED: "更正:您的待遇资格有效期至:{}。请在此之前认证。",
        REMINDER: "您的待遇资格即将到期:{}。请用手机认证,或到窗口办理。",
    },
    "en": {
        COMPLETED: "You are certified until: {}. You need do nothing.",
        REVOKED: "Correction: you are certified until: {}. Please certify by then.",
        REMINDER: "Your certification ends: {}. Please certify by phone or at a counter.",
    },
}

RATE_MAX = 10_000  # messages a second, as in the Go program
REMEMBERED_MAX = 2_000_000  # event ids; beyond it the oldest are forgotten. Two loads of a million may be read again
NIGHT_SLICE_SECONDS_MAX = 900  # the longest sleep in one piece, since a wall clock may be put right in the night
SESSION_SECONDS = 10  # how long the partitions of a sender that was killed wait
POLL_SECONDS = 1  # how long a poll waits for records, and how late an idle sender may see the night begin


def text_of(event, topic, texts):
    """The words of an event."""
    date = "valid_until" if topic == COMPLETED else "due_on"
    return texts[topic].format(", ".join(f"{benefit['benefit']} {benefit[date].isoformat()}" for benefit in event["benefits"]))


class QuietHours:
    """A span of the day on the wall clock of a zone, over midnight if it ends before it begins."""

    def __init__(self, text, zone):
        found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
        if not found:
            raise ValueError(f"--quiet {text}: must be like 21:00-08:00")
        hour = [int(part) for part in found.groups()]
        self.begin, self.end = 60 * (60 * hour[0] + hour[1]), 60 * (60 * hour[2] + hour[3])
        if self.begin == self.end:
            raise ValueError(f"--quiet {text}: must begin and end at different times")
        self.zone = zone

    def left(self, at):
        """How many seconds the quiet hours still last at an instant; 0 outside them."""
        clock = at.astimezone(self.zone)
        since = 3600 * clock.hour + 60 * clock.minute + clock.second + clock.microsecond / 1e6
        if self.begin < self.end:
            return self.end - since if self.begin <= since < self.end else 0
        if since < self.end:
            return self.end - since
        return self.end - since + 86400 if since >= self.begin else 0


class Pace:
    """Spaces messages evenly: no burst follows a pause, since a gateway counts by the second."""

    def __init__(self, rate):
        self.every, self.free = 1 / rate, float("-inf")

    def next(self, now):
        """Takes the next place and says how many seconds to wait for it."""
        start = max(self.free, now)
        self.free = start + self.every
        return start - now


class Memory:
    """The set of the events that were sent, in SQLite: one is on the disk before its record is committed."""

    def __init__(self, path, limit=REMEMBERED_MAX):
        self.limit = limit
        self.database = sqlite3.connect(path, isolation_level=None)  # every statement is a transaction
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute("CREATE TABLE IF NOT EXISTS sent (number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE)")

    def has(self, event_id):
        return self.database.execute("SELECT 1 FROM sent WHERE event_id = ?", (event_id,)).fetchone() is not None

    def add(self, event_id):
        number = self.database.execute("INSERT INTO sent (event_id) VALUES (?)", (event_id,)).lastrowid
        self.database.execute("DELETE FROM sent WHERE number <= ?", (number - self.limit,))

    def close(self):
        self.database.close()


class FileGateway:
    """Stands for the gateway of an SMS provider, which every provider has a protocol of its own for: a file with a line a
    message: time, key, phone, text, separated by tabs.

    Like a provider it knows the keys of what it has sent, and sends nothing again. It is for one process at a time.
    """

    def __init__(self, path):
        self.file = open(path, "a+b", buffering=0)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.file.close()
            raise Failure(f"open the gateway {path}: another process has it: end that one first") from error
        self.file.seek(0)
        everything = self.file.read()
        whole = everything.rfind(b"\n") + 1  # half a line is a message that a killed process never handed over
        self.file.truncate(whole)
        fields = (line.split(b"\t") for line in everything[:whole].splitlines())
        self.keys = {field[1].decode() for field in fields if len(field) == 4}

    def send(self, key, phone, text):
        if key not in self.keys:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.file.write(f"{now}\t{key}\t{phone}\t{text}\n".encode())
            self.keys.add(key)

    def close(self):
        self.file.close()


class Night(Exception):
    """Quiet hours have begun, or the sender is told to end: the record is read again later."""


def wall_clock():
    return datetime.datetime.now(datetime.timezone.utc)


class Sender:
    """Decides of each record what is to be done with it."""

    def __init__(self, reader, gateway, memory, quiet, texts, rate, wait, now=wall_clock, steady=time.monotonic):
        """wait sleeps for some seconds and says whether the sender is to end; steady is a clock that nobody puts right."""
        self.reader, self.gateway, self.memory, self.quiet, self.texts = reader, gateway, memory, quiet, texts
        self.pace, self.wait, self.now, self.steady = Pace(rate), wait, now, steady
        self.sent = self.sent_before = self.without_phone = 0

    def take(self, topic, value):
        """Sends what a record says, unless it was sent, or nobody can be reached; then the record may be committed.

        The wall clock is asked last, after the wait for the pace.
        """
        event = self.reader.decode(value)
        if not event.get("event_id"):
            raise Failure("it has no event id: is this a topic of events?")
        if self.memory.has(event["event_id"]):
            self.sent_before += 1
            return
        if event["phone"] is None:
            self.without_phone += 1
            return
        if self.wait(self.pace.next(self.steady())) or self.quiet.left(self.now()) > 0:
            raise Night
        self.gateway.send(event["event_id"], event["phone"], text_of(event, topic, self.texts))
        self.memory.add(event["event_id"])
        self.sent += 1

    def counts(self):
        """What became of the records: all that reaches the log."""
        return f"sent {self.sent}, sent before {self.sent_before}, without a phone {self.without_phone}"


def turn(options, consumer, sender):
    """Polls no more than goes out in about a second, sends it and commits it; says whether there may be another turn.

    There is none after one that broke off: this consumer has passed over records that were not sent.
    """
    done, more = [], True
    for message in consumer.consume(options.rate, POLL_SECONDS):
        if message.error():
            if message.error().fatal() or not message.error().retriable():
                raise Failure(f"read {message.topic()}: {message.error()}")
            continue
        try:
            sender.take(message.topic().removeprefix(options.prefix), message.value())
        except Night:
            more = False
            break
        except Failure as failure:  # what was sent is in the memory
            raise Failure(f"{message.topic()}, partition {message.partition()}, offset {message.offset()}: {failure}") from failure
        done.append(message)
    if done:
        commit(consumer, done)
        print(f"sms: {sender.counts()}", file=sys.stderr)
    return more


def commit(consumer, done):
    """Commits what is done, of each partition up to the last. A failure costs a second reading, not a second message."""
    next_of = {(message.topic(), message.partition()): message.offset() + 1 for message in done}
    try:
        consumer.commit(offsets=[TopicPartition(*place, offset) for place, offset in next_of.items()], asynchronous=False)
    except KafkaException as error:
        print(f"sms: the offsets are not committed, so that some records will be read again: {error}", file=sys.stderr)


def consume(options, sender, ended):
    """Joins the group and sends until the night begins or it is told to end; then it leaves.

    A sender that waits through the night as a member would be thrown out in the middle of a batch; one that has left
    reads on in the morning from what is committed, with nothing in hand.
    """
    # What a production program adds here: security.protocol, sasl.mechanism and the like.
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": options.group,
            "auto.offset.reset": "earliest",  # a new group tells everybody what was decided so far
            "isolation.level": "read_committed",  # a transaction that fails was never said
            "enable.auto.commit": False,  # committed is what was sent, not what was fetched
            "session.timeout.ms": 1000 * SESSION_SECONDS,
        }
    )
    try:
        consumer.subscribe([options.prefix + topic for topic in (COMPLETED, REVOKED, REMINDER)])
        while not ended() and sender.quiet.left(wall_clock()) == 0 and turn(options, consumer, sender):
            pass
    finally:
        consumer.close()


def run(options):
    """Sends by day and waits by night, until it is told to end."""
    end = threading.Event()
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *_: end.set())
    quiet = options.quiet
    reader, memory = Reader(options.schemas, options.registry), Memory(options.memory)
    gateway = FileGateway(options.gateway)
    sender = Sender(reader, gateway, memory, quiet, TEXTS[options.language], options.rate, end.wait)
    try:
        while not end.is_set():
            night = quiet.left(wall_clock())
            if night > 0:
                morning = wall_clock().astimezone(quiet.zone) + datetime.timedelta(seconds=night)
                print(f"sms: quiet hours: nothing is sent before {morning:%H:%M:%S}", file=sys.stderr)
                end.wait(min(night, NIGHT_SLICE_SECONDS_MAX))
            else:
                consume(options, sender, end.is_set)
    finally:
        gateway.close()
        memory.close()


def main():
    parser = argparse.ArgumentParser(prog="sms", description="Hands what citizens are to be told to an SMS gateway.")
    parser.add_argument("--brokers", required=True, metavar="HOST:PORT[,…]")
    parser.add_argument("--prefix", default="vouch.", help="of topic names (%(default)s)")
    parser.add_argument("--registry", metavar="URL", help="the schema registry, if the engine has one")
    parser.add_argument("--schemas", default="schemas", metavar="DIR", help="of the .avsc files, as `vouch schemas show` prints them (%(default)s)")
    parser.add_argument("--group", default="sms", help="consumer group, the same after a restart (%(default)s)")
    parser.add_argument("--gateway", default="gateway.tsv", metavar="FILE", help="that stands for the gateway: a line a message (%(default)s)")
    parser.add_argument("--memory", default="sent.sqlite", metavar="FILE", help="that remembers which events were sent, the same after a restart (%(default)s)")
    parser.add_argument("--quiet", default="21:00-08:00", metavar="HH:MM-HH:MM", help="when nothing is sent, on the wall clock of the zone (%(default)s)")
    parser.add_argument("--zone", default="Asia/Shanghai", help="of the quiet hours (%(default)s)")
    parser.add_argument("--rate", default=50, type=int, metavar="N", help="messages a second, at most (%(default)s)")
    parser.add_argument("--language", default="zh", choices=TEXTS, help="of the messages (%(default)s)")
    options = parser.parse_args()
    if not 1 <= options.rate <= RATE_MAX:
        parser.error(f"--rate must be from 1 to {RATE_MAX}")
    try:
        options.quiet = QuietHours(options.quiet, zoneinfo.ZoneInfo(options.zone))
    except (ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        parser.error(str(error))
    try:
        run(options)
    except (Failure, KafkaException, OSError, sqlite3.Error) as error:
        print(f"sms: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
