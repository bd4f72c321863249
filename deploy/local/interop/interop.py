"""A foreign program that speaks vouch's topics, with nothing of vouch in it: confluent-kafka and fastavro.

It writes a facts file as departments would, half of it in Confluent's wire format and half in Avro single-object
encoding, and reads any topic as a consumer of committed records. What it knows of vouch is its schemas and this page:

    Confluent       00, schema id (4 bytes, big-endian), Avro body
    single-object   C3 01, CRC-64-AVRO fingerprint of the schema's Parsing Canonical Form (8 bytes, little-endian), body

Facts go in, and records come out, as newline-delimited JSON: {"topic": without prefix, "key": …, "value": …}; dates as
YYYY-MM-DD, instants as RFC 3339 in UTC with milliseconds. Status: 0 done, 1 failed, 2 wrong usage.
"""

import argparse
import base64
import collections
import datetime
import io
import json
import pathlib
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from fastavro.schema import fingerprint, to_parsing_canonical_form

RECORD_OF_TOPIC = {"roster": "RosterEntry", "evidence": "Evidence", "payout": "Payout", "clock": "ClockTick"}
NAMESPACE = "vouch.v1."
SINGLE_OBJECT = b"\xc3\x01"

REGISTRY_SECONDS_MAX = 10  # one request to the registry; then the program fails
BROKER_SECONDS_MAX = 30  # the brokers' answer about a topic, or no progress in reading; then the program fails
FLUSH_SECONDS_MAX = 120  # until everything written is acknowledged; then the program fails
AWAIT_SECONDS_MAX = 120  # until a group has caught up; then the program fails
DIFFERENCES_MAX = 5  # that are printed; the others are counted


class Failure(Exception):
    """What was being done, to what, and why it failed."""


# --- Avro ---


class Schema:
    """One .avsc file: what is written with it and how it is named on the wire."""

    def __init__(self, text):
        self.text = text
        self.parsed = fastavro.parse_schema(json.loads(text))
        self.name = self.parsed["name"]
        # fastavro's hex digits are the fingerprint's bytes from the lowest to the highest: the order of the wire.
        self.fingerprint = bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(text)), "CRC-64-AVRO"))

    def encode(self, value):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self.parsed, to_avro(self.parsed, value), strict_allow_default=True)
        return body.getvalue()

    def decode(self, body):
        stream = io.BytesIO(body)
        value = fastavro.schemaless_reader(stream, self.parsed)
        if stream.tell() != len(body):
            raise Failure(f"decode a {self.name}: {len(body) - stream.tell()} bytes are left over")
        return to_json(value)


class Schemas:
    """The .avsc files of a directory, by record name and by fingerprint."""

    def __init__(self, directory):
        files = sorted(pathlib.Path(directory).glob("*.avsc"))
        if not files:
            raise Failure(f"read schemas: {directory} has no .avsc files")
        every = [Schema(file.read_text(encoding="utf-8")) for file in files]
        self.by_name = {schema.name: schema for schema in every}
        self.by_fingerprint = {schema.fingerprint: schema for schema in every}

    def of_topic(self, topic):
        if topic not in RECORD_OF_TOPIC:
            raise Failure(f"{topic} is not an input topic: those are {', '.join(RECORD_OF_TOPIC)}")
        name = NAMESPACE + RECORD_OF_TOPIC[topic]
        if name not in self.by_name:
            raise Failure(f"no .avsc file has the record {name}")
        return self.by_name[name]


def to_avro(schema, value):
    """JSON of the facts' form as fastavro takes it: dates become days and instants milliseconds, exactly."""
    if isinstance(schema, list):
        if value is None:
            return None
        schema = next(branch for branch in schema if branch != "null")
    if not isinstance(schema, dict) or value is None:
        return value
    if schema.get("logicalType") == "date":
        return (datetime.date.fromisoformat(value) - datetime.date(1970, 1, 1)).days
    if schema.get("logicalType") == "timestamp-millis":
        return milliseconds(value)
    if schema["type"] == "array":
        return [to_avro(schema["items"], item) for item in value]
    if schema["type"] == "record" and isinstance(value, dict):
        types = {field["name"]: field["type"] for field in schema["fields"]}
        return {name: to_avro(types[name], item) if name in types else item for name, item in value.items()}
    return value


def to_json(value):
    """What fastavro read, in the form of the facts."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def milliseconds(instant):
    return (datetime.datetime.fromisoformat(instant.replace("Z", "+00:00")) - EPOCH) // datetime.timedelta(milliseconds=1)


class Registry:
    """Confluent's API over plain HTTP; every id and schema is asked for once."""

    def __init__(self, url):
        self.url = url.rstrip("/") if url else None
        self.ids = {}
        self.schemas = {}

    def call(self, path, document=None, missing_is_none=False):
        if not self.url:
            raise Failure(f"ask the registry for {path}: give its address with --registry")
        body = json.dumps(document).encode() if document else None
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        try:
            with urllib.request.urlopen(request, timeout=REGISTRY_SECONDS_MAX) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing_is_none:
                return None
            raise Failure(f"ask the registry for {self.url}{path}: {error.code} {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise Failure(f"ask the registry for {self.url}{path}: {error}") from error

    def id(self, subject, schema):
        """The schema's id under the subject, which is registered if it is not there."""
        if subject not in self.ids:
            path, document = "/subjects/" + urllib.parse.quote(subject, safe=""), {"schema": schema.text}
            found = self.call(path, document, missing_is_none=True) or self.call(path + "/versions", document)
            self.ids[subject] = found["id"]
        return self.ids[subject]

    def schema(self, number):
        if number not in self.schemas:
            self.schemas[number] = Schema(self.call(f"/schemas/ids/{number}")["schema"])
        return self.schemas[number]


def encode_confluent(schema, number, value):
    return struct.pack(">bI", 0, number) + schema.encode(value)


def encode_single_object(schema, value):
    return SINGLE_OBJECT + schema.fingerprint + schema.encode(value)


def decode(payload, schemas, registry):
    """A record of either wire format; its first bytes tell which."""
    if payload[:1] == b"\x00" and len(payload) >= 5:
        return registry.schema(struct.unpack(">I", payload[1:5])[0]).decode(payload[5:])
    if payload[:2] == SINGLE_OBJECT and len(payload) >= 10:
        schema = schemas.by_fingerprint.get(payload[2:10])
        if not schema:
            raise Failure(f"decode a record: no .avsc file has the fingerprint {payload[2:10].hex()}")
        return schema.decode(payload[10:])
    raise Failure(f"decode a record: it begins with {payload[:2].hex() or 'nothing'}, which is neither wire format")


# --- Partitions ---


def murmur2(data):
    """Kafka's hash of a key, as 32 bits without sign."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def clock_keys(partitions):
    """Of each partition the smallest decimal number that falls on it."""
    keys, number = {}, 0
    while len(keys) < partitions:
        key = str(number).encode()
        keys.setdefault(partition_of(key, partitions), key)
        number += 1
    return [keys[partition] for partition in range(partitions)]


# --- Writing ---


class Writer:
    def __init__(self, options, schemas, registry):
        self.prefix, self.schemas, self.registry = options.prefix, schemas, registry
        self.producer = Producer(
            {
                "bootstrap.servers": options.brokers,
                "partitioner": "murmur2_random",  # librdkafka's own default is another hash than Java's
                "enable.idempotence": True,
                "acks": "all",
            }
        )
        self.partitions, self.counts, self.failures = {}, {}, []

    def partitions_of(self, name):
        if name not in self.partitions:
            found = self.producer.list_topics(name, timeout=BROKER_SECONDS_MAX).topics[name]
            if found.error or not found.partitions:
                raise Failure(f"write to {name}: {found.error or 'it has no partitions'}; vouch topics create makes it")
            self.partitions[name] = len(found.partitions)
        return self.partitions[name]

    def write(self, line):
        """One line of a facts file: every other line of a topic in each wire format."""
        topic, value = line["topic"], line["value"]
        name, schema = self.prefix + topic, self.schemas.of_topic(line["topic"])
        written, partitions = self.counts.get(topic, 0), self.partitions_of(name)
        self.counts[topic] = written + 1
        if value is None:
            payload = None
        elif self.registry.url and written % 2 == 0:
            payload = encode_confluent(schema, self.registry.id(name + "-value", schema), value)
        else:
            payload = encode_single_object(schema, value)
        if topic == "clock":
            keys = clock_keys(partitions)
        else:
            key = line["key"] if "key" in line else value["citizen_id"]
            keys = [None if key is None else key.encode()]
        for key in keys:
            self.send(name, key, payload, milliseconds(line["at"]))

    def send(self, name, key, payload, timestamp):
        while True:
            try:
                self.producer.produce(name, payload, key, timestamp=timestamp, on_delivery=self.delivered)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)

    def delivered(self, error, message):
        if error:
            self.failures.append(f"{message.topic()}: {error}")
        elif message.key() is not None:
            expected = partition_of(message.key(), self.partitions[message.topic()])
            if message.partition() != expected:
                self.failures.append(f"{message.topic()}: key {message.key()} went to {message.partition()}, not {expected}")

    def close(self):
        left = self.producer.flush(FLUSH_SECONDS_MAX)
        if left:
            raise Failure(f"write: {left} records are not acknowledged after {FLUSH_SECONDS_MAX} s")
        if self.failures:
            raise Failure(f"write: {len(self.failures)} records failed, the first: {self.failures[0]}")


def write_facts(options, schemas, registry):
    writer = Writer(options, schemas, registry)
    with sys.stdin if options.facts == "-" else open(options.facts, encoding="utf-8") as facts:
        for number, text in enumerate(facts, 1):
            if not text.strip():
                continue
            try:
                writer.write(json.loads(text))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise Failure(f"write line {number} of {options.facts}: {type(error).__name__}: {error}") from error
    writer.close()
    counts = ", ".join(f"{count} of {topic}" for topic, count in sorted(writer.counts.items()))
    print(f"interop: written: {counts or 'nothing'}", file=sys.stderr)


# --- Reading ---


def committed_records(consumer, name):
    """The records of a topic, from its beginning to where committed ones end, partition by partition in order."""
    found = consumer.list_topics(name, timeout=BROKER_SECONDS_MAX).topics[name]
    if found.error:
        raise Failure(f"read {name}: {found.error}")
    consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for partition in found.partitions])
    unfinished = set(found.partitions)
    while unfinished:
        message = consumer.poll(BROKER_SECONDS_MAX)
        if message is None:
            raise Failure(f"read {name}: nothing came for {BROKER_SECONDS_MAX} s, and partitions {sorted(unfinished)} are not at their end")
        if message.error() is None:
            if message.partition() in unfinished:  # what came after its end is another run's
                yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            unfinished.discard(message.partition())
        elif message.error().fatal() or not message.error().retriable():
            raise Failure(f"read {name}: {message.error()}")


def line_of(message, topic, schemas, registry):
    key = message.key()
    line = {"topic": topic, "key": None if key is None else key.decode(errors="replace")}
    if topic != "quarantine":
        line["value"] = None if message.value() is None else decode(message.value(), schemas, registry)
        return line
    line["reason"] = dict(message.headers() or []).get("vouch-reason", b"").decode()
    try:
        line["value"] = None if message.value() is None else decode(message.value(), schemas, registry)
    except Exception:  # it is in quarantine since it may be anything
        line["bytes"] = base64.b64encode(message.value()).decode()
    return line


def read_topics(options, schemas, registry):
    """The lines of the topics, one topic after the other."""
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": "vouch-interop",  # asked for by the library; no group is joined and nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,  # an end is told when a fetch comes back empty
        }
    )
    try:
        for topic in options.read:
            topic = topic.removeprefix(options.prefix)
            for message in committed_records(consumer, options.prefix + topic):
                if options.expect and topic != "quarantine":
                    require_format(message, topic, "Confluent" if registry.url else "single-object")
                yield line_of(message, topic, schemas, registry)
    finally:
        consumer.close()


def require_format(message, topic, wanted):
    """What the engine writes is in one wire format, by whether it has a registry."""
    begin = {"Confluent": b"\x00", "single-object": SINGLE_OBJECT}[wanted]
    if message.value() is not None and not message.value().startswith(begin):
        raise Failure(f"read {topic}: a record begins with {message.value()[:2].hex()}, which is not {wanted}")


def await_group(options):
    """Returns when a group has committed its way to the end of every input."""
    consumer = Consumer({"bootstrap.servers": options.brokers, "group.id": options.wait_for, "enable.auto.commit": False})
    end = time.monotonic() + AWAIT_SECONDS_MAX
    try:
        inputs = []
        for topic in RECORD_OF_TOPIC:
            found = consumer.list_topics(options.prefix + topic, timeout=BROKER_SECONDS_MAX).topics[options.prefix + topic]
            if found.error:
                raise Failure(f"await {options.wait_for}: {options.prefix + topic}: {found.error}")
            inputs += [TopicPartition(options.prefix + topic, partition) for partition in found.partitions]
        while True:
            try:
                behind = 0
                for place in consumer.committed(inputs, timeout=BROKER_SECONDS_MAX):
                    _, last = consumer.get_watermark_offsets(place, timeout=BROKER_SECONDS_MAX)
                    behind += last - max(place.offset, 0)  # below 0: nothing is committed
                if not behind:
                    return
                state = f"it is {behind} records behind"
            except KafkaException as error:  # a broker that has just started has no coordinator yet
                state = str(error)
            if time.monotonic() > end:
                raise Failure(f"await {options.wait_for}: {state} after {AWAIT_SECONDS_MAX} s")
            time.sleep(0.2)
    finally:
        consumer.close()


def await_stable(options):
    """Returns when no transaction is open in the topics to read: a broker writes its end after it has told the writer."""
    shared = {"bootstrap.servers": options.brokers, "group.id": "vouch-interop", "enable.auto.commit": False}
    committed, all_of_it = Consumer(shared | {"isolation.level": "read_committed"}), Consumer(shared | {"isolation.level": "read_uncommitted"})
    end = time.monotonic() + BROKER_SECONDS_MAX
    try:
        for name in (options.prefix + topic.removeprefix(options.prefix) for topic in options.read):
            for partition in committed.list_topics(name, timeout=BROKER_SECONDS_MAX).topics[name].partitions:
                place = TopicPartition(name, partition)
                while committed.get_watermark_offsets(place, BROKER_SECONDS_MAX)[1] < all_of_it.get_watermark_offsets(place, BROKER_SECONDS_MAX)[1]:
                    if time.monotonic() > end:
                        raise Failure(f"read {name}: a transaction is still open after {BROKER_SECONDS_MAX} s")
                    time.sleep(0.05)
    finally:
        committed.close()
        all_of_it.close()


# --- Comparing ---


def compare(expected, found):
    """Both are lines; every difference as a set, each with what is wrong with it."""
    wanted, have = (collections.Counter(json.dumps(line, sort_keys=True, ensure_ascii=False) for line in lines) for lines in (expected, found))
    return [f"missing: {line}" for line in (wanted - have).elements()] + [f"not expected: {line}" for line in (have - wanted).elements()]


def expected_lines(text, topics, schemas, partitions):
    """The lines of a file that `vouch decide` wrote, of these topics, as a reader of the topics sees them."""
    for line in map(json.loads, filter(str.strip, text)):
        if line["topic"] not in topics:
            continue
        keys = [line["key"]]
        if line["topic"] == "quarantine" and line["value"] is not None:
            topic, line["value"] = with_defaults(line["value"], schemas)
            if topic == "clock":  # a tick is one record a partition
                keys = [key.decode() for key in clock_keys(partitions)]
        for key in keys:
            yield dict(line, key=key)


def with_defaults(value, schemas):
    """An input's topic, and its value with every field: a facts file may leave those at their defaults out."""
    for topic in RECORD_OF_TOPIC:
        schema = schemas.of_topic(topic)
        try:
            return topic, schema.decode(schema.encode(value))
        except (TypeError, ValueError, AttributeError):
            continue  # it is of another topic
    raise Failure("compare: a quarantined value fits none of the schemas of the inputs")


def check_topics(options, schemas, registry):
    topics = {topic.removeprefix(options.prefix) for topic in options.read}
    await_stable(options)
    found, clock = list(read_topics(options, schemas, registry)), options.prefix + "clock"
    partitions = len(Producer({"bootstrap.servers": options.brokers}).list_topics(clock, timeout=BROKER_SECONDS_MAX).topics[clock].partitions)
    with open(options.expect, encoding="utf-8") as text:
        differences = compare(expected_lines(text, topics, schemas, partitions), found)
    for difference in differences[:DIFFERENCES_MAX]:
        print(f"interop: {difference}", file=sys.stderr)
    if differences:
        raise Failure(f"compare with {options.expect}: {len(differences)} differences in {len(found)} records, the first {DIFFERENCES_MAX} are above")
    print(f"interop: equal: {len(found)} records", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="interop", description="Writes and reads vouch's topics with nothing of vouch in it.")
    parser.add_argument("--brokers", required=True, metavar="HOST:PORT[,…]")
    parser.add_argument("--registry", metavar="URL", help="of Confluent's API; without it everything written is single-object")
    parser.add_argument("--schemas", required=True, metavar="DIR", help="with the .avsc files")
    parser.add_argument("--prefix", default="vouch.", help="of topic names (%(default)s)")
    parser.add_argument("--facts", metavar="FILE", help="ndjson to write; - is standard input")
    parser.add_argument("--read", nargs="+", metavar="TOPIC", help="to print up to the end of committed records, after the facts are written")
    parser.add_argument("--await", metavar="GROUP", dest="wait_for", help="wait, before reading, until this group has committed the ends of the inputs")
    parser.add_argument("--expect", metavar="FILE", help="compare what is read, as a set, with what vouch decide wrote there, and print the differences instead")
    options = parser.parse_args()
    if not (options.facts or options.wait_for or options.read):
        parser.error("nothing to do: give --facts, --await or --read")
    if options.expect and not options.read:
        parser.error("--expect needs --read")
    try:
        schemas, registry = Schemas(options.schemas), Registry(options.registry)
        if options.facts:
            write_facts(options, schemas, registry)
        if options.wait_for:
            await_group(options)
        if options.expect:
            check_topics(options, schemas, registry)
        elif options.read:
            for line in read_topics(options, schemas, registry):
                print(json.dumps(line, ensure_ascii=False))
    except (Failure, KafkaException, OSError) as error:
        print(f"interop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
