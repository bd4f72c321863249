"""How a payment system uses vouch: on a pay day it waits until standing is complete, reads it as a table and writes the
pay list.

    python payroll.py --brokers localhost:9092 --schemas schemas --pay-day 2023-07-15 --out pay-list.csv

Nobody is paid by a standing that is older than the pay day. A person in no standing draws nothing and is on no list.
Status: 0 done, 1 failed, 2 wrong usage.
"""

import argparse
import csv
import datetime
import os
import subprocess
import sys
import tempfile
import time
import zoneinfo

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from records import Failure, Reader

ASK_AGAIN_SECONDS = 2  # the pause between two questions to the status
SILENCE_SECONDS_MAX = 60  # nothing may come for so long while standing is read; a transaction left open lasts less
COMPLETE = "standing is complete up to "


# --- Waiting for the pay day ---


def complete_up_to(status):
    """The instant up to which every lapse and every decision is in the topic standing; None before the first tick."""
    for line in status.splitlines():
        if line.strip().startswith(COMPLETE):
            text = line.strip()[len(COMPLETE) :]
            if text == "no time yet":
                return None
            try:
                return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            except ValueError:
                raise Failure(f'the status says "{COMPLETE}{text}", which is no instant') from None
    raise Failure(f'the status has no line "{COMPLETE}…": is vouch of this version?')


def ask_status(options):
    """Asks vouch. Its security flags come from the environment (VOUCH_TLS and the like), where it finds them by itself."""
    command = [options.vouch, "status", "--brokers", options.brokers, "--prefix", options.prefix]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SILENCE_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{options.vouch} status: {error}") from error
    if answer.returncode:
        raise Failure(f"{options.vouch} status: exit status {answer.returncode}: {answer.stderr.strip()}")
    return answer.stdout


def wait(start, patience, status, pause=ASK_AGAIN_SECONDS):
    """Returns once standing is complete up to an instant.

    It asks the command `vouch status`, and not the brokers: the sentence is part of what vouch promises, how the engine
    keeps it among its offsets is not. A status that fails, while brokers restart, is asked again.
    """
    end, said = time.monotonic() + patience, None
    while True:
        try:
            at = complete_up_to(status())
            if at and at >= start:
                return
            now = COMPLETE + (at.isoformat() if at else "no time yet")
        except Failure as failure:
            now = str(failure)
        if now != said:  # once each, not every two seconds of a night
            print(f"payroll: waiting for {start.isoformat()}: {now}", file=sys.stderr)
            said = now
        if time.monotonic() > end:
            raise Failure(f"wait until standing is complete up to {start.isoformat()}: it is not after {patience} s; the last answer: {said}")
        time.sleep(pause)


# --- Reading the table ---


def read_standing(brokers, topic, reader):
    """The topic from its beginning to its end as it stands now, the last record of each citizen.

    The end is the high watermark, not the last stable offset at which a committed read would stop by itself: Kafka
    answers a commit before it has marked it in every partition, so that the last stable offset may still lie before
    rows that the status has already counted. Rows behind the end that come along are taken too: they are truer, and
    compaction may have removed the ones they replace.
    """
    shared = {"bootstrap.servers": brokers, "group.id": "payroll", "enable.auto.commit": False}  # no group is joined
    # What a production program adds here: security.protocol, sasl.mechanism and the like.
    committed = Consumer(
        shared
        | {
            "isolation.level": "read_committed",  # a transaction that fails was never said
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,  # an end is told when a fetch comes back empty
        }
    )
    uncommitted = Consumer(shared | {"isolation.level": "read_uncommitted"})
    try:
        left = high_watermarks(uncommitted, topic)
        committed.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
        table = {}
        while left:
            message = committed.poll(SILENCE_SECONDS_MAX)
            if message is None:
                raise Failure(f"read {topic}: nothing came for {SILENCE_SECONDS_MAX} s and {len(left)} partitions are not at their end")
            place = message.partition()
            if message.error() is None:
                reached = message.offset() + 1
                take(table, message.key().decode(), message.value(), reader)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                reached = message.offset()  # where committed records end for now, behind the marks of transactions
            elif message.error().fatal() or not message.error().retriable():
                raise Failure(f"read {topic}, partition {place}: {message.error()}")
            else:
                continue
            if place in left and reached >= left[place]:
                del left[place]
        return table
    finally:
        committed.close()
        uncommitted.close()


def high_watermarks(uncommitted, topic):
    """The ends of the partitions that hold anything, committed or not yet."""
    found = uncommitted.list_topics(topic, timeout=SILENCE_SECONDS_MAX).topics[topic]
    if found.error:
        raise Failure(f"read {topic}: {found.error}")
    ends = {}
    for partition in found.partitions:
        first, end = uncommitted.get_watermark_offsets(TopicPartition(topic, partition), timeout=SILENCE_SECONDS_MAX)
        if first < end:
            ends[partition] = end
    return ends


def take(table, citizen, value, reader):
    """Puts a record into the table; one without a value takes its citizen out."""
    if value is None:
        table.pop(citizen, None)
        return
    row = reader.decode(value)
    if row.get("citizen_id") != citizen:
        raise Failure("a record's key is another citizen's: is this the topic standing?")
    table[citizen] = row["benefits"]


# --- The pay list ---


def pay_list(table):
    """Who is paid: whose benefit is GOOD. Every other status, one that this program has never heard of too, withholds."""
    for citizen in sorted(table):
        for benefit in sorted(table[citizen], key=lambda benefit: benefit["benefit"]):
            if benefit["status"] == "GOOD":
                yield citizen, benefit["benefit"], "pay", f"GOOD: certified until {benefit['due_on'].isoformat()}"
            else:
                yield citizen, benefit["benefit"], "withhold", f"{benefit['status']}: {';'.join(benefit['reasons'])}"


def write_list(path, lines):
    """Writes the pay list as CSV, whole or not at all: half a list under its name would be paid."""
    handle, fresh = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path) or ".")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["citizen_id", "benefit", "decision", "why"])
            writer.writerows(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise


def run(options):
    """A pay run. The order is the point: what is read before standing is complete may lack the lapse of somebody who
    must not be paid."""
    reader = Reader(options.schemas, options.registry)
    start = datetime.datetime.combine(options.pay_day, datetime.time(), options.zone).astimezone(datetime.timezone.utc)
    wait(start, options.patience, lambda: ask_status(options))
    table = read_standing(options.brokers, options.prefix + "standing", reader)
    lines = list(pay_list(table))
    write_list(options.out, lines)
    paid = sum(line[2] == "pay" for line in lines)
    print(f"payroll: {len(lines)} benefits of {len(table)} citizens: {paid} are paid, {len(lines) - paid} are withheld", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="payroll", description="Waits until standing is complete up to the pay day, and writes the pay list.")
    parser.add_argument("--brokers", required=True, metavar="HOST:PORT[,…]")
    parser.add_argument("--prefix", default="vouch.", help="of topic names (%(default)s)")
    parser.add_argument("--registry", metavar="URL", help="the schema registry, if the engine has one")
    parser.add_argument("--schemas", default="schemas", metavar="DIR", help="of the .avsc files, as `vouch schemas show` prints them (%(default)s)")
    parser.add_argument("--vouch", default="vouch", metavar="PROGRAM", help="whose status says how far standing is complete (%(default)s)")
    parser.add_argument("--pay-day", required=True, type=datetime.date.fromisoformat, metavar="YYYY-MM-DD", help="the day for which is paid")
    parser.add_argument("--zone", default="Asia/Shanghai", help="where the pay day begins at midnight (%(default)s)")
    parser.add_argument("--patience", default=12 * 3600, type=float, metavar="SECONDS", help="how long to wait for the pay day; then it fails (%(default)s)")
    parser.add_argument("--out", default="pay-list.csv", metavar="FILE", help="the pay list to write (%(default)s)")
    options = parser.parse_args()
    try:
        options.zone = zoneinfo.ZoneInfo(options.zone)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        parser.error(f"--zone {options.zone}: {error}")
    try:
        run(options)
    except (Failure, KafkaException, OSError) as error:
        print(f"payroll: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
