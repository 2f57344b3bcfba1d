"""Events a second that one process builds, serialises and has acknowledged."""

import json
import random
import re
import string
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.feed import words
from bench.frame import LIMIT, OURS, PEER, BenchError, Goal, Hop, Outcome, Run, Side, Wish, speed_ratio, take_turns
from bench.ground import GONE, Ground, ask, dying, own_platform
from bench.lake import told as sending
from bench.readback import TOPIC, fresh_topic, read_topic
from core.layout import find_layout
from data_generator.delivery import producer_settings

BUILT = "gateway, with the builder"
PREBUILT = "gateway's delivery, bytes built before"
TOOL = "Kafka's ProducerPerformance"
PYTHON = "kafka-python with the same builder"
PAYLOADS = 1_000
TOOL_SAYS = re.compile(r"(\d+) records sent, ([\d.]+) records/sec")


def measure(wish: Wish) -> Outcome:
    """Measure the gateway beside Kafka's own tool and beside the other client."""
    payments = wish.of(500_000, 60_000, 2_000)
    with own_platform() as ground:
        told = sending(ground, payments)
        size = _look(told)
        sides = [
            Side(BUILT, OURS, _on_fresh_topic(ground, lambda: _gateway(ground, payments))),
            Side(PREBUILT, OURS, _on_fresh_topic(ground, lambda: ask("bench.sides.prebuilt", told))),
            Side(
                TOOL,
                LIMIT,
                _on_fresh_topic(ground, lambda: _tool(ground, size)),
                note=f"{size['record']} random letters a record, so counted and not summed; its Java is cold",
            ),
            Side(PYTHON, PEER, _on_fresh_topic(ground, lambda: ask("bench.sides.kafka_python", told))),
        ]
        figures, not_run = take_turns(sides, wish)
    built, prebuilt = (speed_ratio(figures, side, TOOL) for side in (BUILT, PREBUILT))
    goals = [
        Goal("with the builder / ProducerPerformance", built, 0.6),
        Goal("bytes built before / ProducerPerformance", prebuilt, 1.0),
        Goal("with the builder / ProducerPerformance, in the end", built, 1.0),
        Goal("with the builder / kafka-python", speed_ratio(figures, BUILT, PYTHON), 5.0),
    ]
    peak = max(each["peak_mib"] for each in figures[0].details)
    goals.append(Goal("memory of the gateway at its peak", peak, 300, at_least=False, unit="MiB"))
    return Outcome(figures, goals, not_run)


def _look(told: dict[str, Any]) -> dict[str, int]:
    """Return how many events the feed has and how large one is, key and headers with it."""
    answer = ask("bench.sides.prebuilt", told)
    return {"events": answer["acknowledged"], "record": round(answer["bytes_each"])}


def _on_fresh_topic(ground: Ground, work: Callable[[], dict[str, Any]]) -> Callable[[], Run]:
    def run() -> Run:
        fresh_topic(ground.env)
        answer = work()
        seconds = answer.pop("seconds")
        return Run(seconds, read_topic(ground.env), answer)

    return run


def _gateway(ground: Ground, payments: int) -> dict[str, Any]:
    peaks: dict[str, int] = {}
    summary = json.loads(ground.tieout("produce", *words(payments), peaks=peaks))
    return {"seconds": summary["seconds"], "peak_mib": peaks["python"]}


def _tool(ground: Ground, size: dict[str, int]) -> dict[str, Any]:
    ours = producer_settings(ground.env["KAFKA_BOOTSTRAP"], "", 0)
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    lines = [
        f"bootstrap.servers={ground.env['KAFKA_BOOTSTRAP']}",
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=SCRAM-SHA-256",
        f'sasl.jaas.config={login} username="gateway" password="{ground.env["KAFKA_PASSWORD_GATEWAY"]}";',
        f"acks={ours['acks']}",
        "enable.idempotence=true",
        f"linger.ms={ours['linger.ms']}",
        f"batch.size={ours['batch.size']}",
        "buffer.memory=134217728",
    ]
    with tempfile.TemporaryDirectory(dir=ground.handle.home) as private:  # mode 700: it holds a password
        properties = Path(private) / "producer.properties"
        properties.write_text("\n".join(lines) + "\n", encoding="utf-8")
        # Without a file it draws each byte within its clock.
        payloads = Path(private) / "payloads"
        letters = random.Random(1)  # noqa: S311  # no secret
        records = ("".join(letters.choices(string.ascii_letters, k=size["record"])) for _ in range(PAYLOADS))
        payloads.write_text("\n".join(records), encoding="ascii")
        command = ["java", "-Xmx512m", "-cp", f"{find_layout().jars / 'broker'}/*"]
        command += ["org.apache.kafka.tools.ProducerPerformance", "--topic", TOPIC, "--throughput", "-1"]
        command += ["--num-records", str(size["events"]), "--payload-file", str(payloads)]
        command += ["--command-config", str(properties)]
        done = subprocess.run(dying(command), capture_output=True, text=True, check=False)
    found = TOOL_SAYS.findall(done.stdout)
    if done.returncode != 0 or not found or int(found[-1][0]) != size["events"]:
        raise BenchError(f"ProducerPerformance failed: {done.stderr.strip()[-300:]}", GONE, "run the hop alone")
    return {"seconds": size["events"] / float(found[-1][1])}


HOP = Hop("produce", "events a second that one process builds, serialises and has acknowledged", measure)
