"""Do the fast tests notice when the judge is broken? Each of many small changes to it must turn a test red.

    .tieout/env/platform/bin/python benchmarks/mutants.py [--file judge.py] [--sample 100] [--list]

It changes `contracts/contracts/judge.py` and `verdict.py` in memory, one place at a time: a comparison, a number, a
text, a condition, a statement, a part of a pattern. Each mutant runs `contracts/tests` in a process of its own until a
test fails. A mutant that no test kills is printed, unless `benchmarks/equivalent_mutants.yaml` says why it changes
nothing that anybody can see. Exit 1 when less than 95 % of the others are killed, or when an entry of that file fits a
mutant that is killed. Nothing is written.
"""

import argparse
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401  (imported once, before the processes divide)
import hypothesis
import pyarrow.compute
import pyarrow.json  # noqa: F401
import pytest
import yaml

from bench.mutations import Mutation, mutations
from core.layout import CHECKOUT

FOLDER = CHECKOUT / "contracts" / "contracts"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")
# The tests that kill most mutants of a file come first.
TARGETS = {
    "verdict.py": ("test_verdict.py", "test_verdict_limits.py", "test_judge_paths.py", "test_judge.py"),
    "judge.py": ("test_judge_paths.py", "test_judge.py", "test_verdict.py", "test_verdict_limits.py"),
}
OPTIONS = ("-x", "-q", "--noconftest", "--assert=plain", "-p", "no:cacheprovider", "-m", "not slow and not services")
NO_TESTS = (4, 5)  # as pytest says it
GOAL = 0.95
PROCESSOR_SECONDS = 45  # the tests take some ten: a mutant that takes so many never ends
MEMORY = 4 << 30


@dataclass(frozen=True)
class Mutant:
    """A file with one change."""

    file: str
    mutation: Mutation
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """File, line before and line after: where it is may change."""
        return self.file, self.mutation.before, self.mutation.after

    @property
    def name(self) -> str:
        """Where and what it is, for people."""
        return f"{self.file}:{self.mutation.line}: {self.mutation.before}  =>  {self.mutation.after}"


def mutants(file: str) -> Iterator[Mutant]:
    """Yield the mutants of a file that are still Python."""
    source = (FOLDER / file).read_text(encoding="utf-8")
    for mutation in mutations(source):
        changed = mutation.applied(source)
        try:
            compile(changed, file, "exec")
        except SyntaxError:
            continue
        yield Mutant(file, mutation, changed)


def run_tests(mutant: Mutant | None) -> int:
    """Run the tests on a mutant, in this process, until one fails; return pytest's exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    signal.alarm(20 * PROCESSOR_SECONDS)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    random.seed(20_260_101)
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True)
    hypothesis.settings.load_profile("mutants")
    if mutant is not None:
        put_in_place(mutant)
    for name in TARGETS[mutant.file if mutant else "judge.py"]:
        code = pytest.main([*OPTIONS, str(CHECKOUT / "contracts" / "tests" / name)])
        if code:
            return int(code)
    return 0


def put_in_place(mutant: Mutant) -> None:
    """Make the mutant what `contracts` has under that name."""
    name = f"contracts.{mutant.file.removesuffix('.py')}"
    spec = spec_from_file_location(name, FOLDER / mutant.file)
    if spec is None:
        raise ImportError(name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(mutant.source, str(FOLDER / mutant.file), "exec"), module.__dict__)  # noqa: S102  (a file of ours)
    setattr(sys.modules["contracts"], mutant.file.removesuffix(".py"), module)


def start(mutant: Mutant | None) -> int:
    """Start a process that runs the tests on a mutant; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = run_tests(mutant)
    finally:
        os._exit(code)


def survivors(asked: list[Mutant], processes: int) -> Iterator[Mutant]:
    """Run all mutants, some at once; yield those that no test kills."""
    running: dict[int, Mutant] = {}
    for done, mutant in enumerate([*asked, *[None] * processes]):
        if len(running) == processes or mutant is None:
            if not running:
                break
            child, status = os.wait()
            survivor = running.pop(child)
            code = os.waitstatus_to_exitcode(status)
            if code in NO_TESTS:
                raise RuntimeError(f"pytest found no tests (exit {code}) for {survivor.name}")
            if code == 0:
                yield survivor
        if mutant is not None:
            running[start(mutant)] = mutant
        if done % 50 == 0:
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {done} of {len(asked)}\n")


def equivalents() -> set[tuple[str, str, str]]:
    """Return the mutants that are known to change nothing: file, line before, line after."""
    entries: list[dict[str, Any]] = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    return {(entry["file"], entry["before"], after) for entry in entries for after in entry["after"]}


def main() -> int:
    """Run the mutants, print what survives and the share that was killed; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--file", choices=list(TARGETS), action="append", help="only this one")
    options.add_argument("--sample", type=int, help="so many of them, drawn by --seed")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--match", default="", help="only mutants with this text in their name")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    asked = options.parse_args()
    found = [each for file in asked.file or TARGETS for each in mutants(file) if asked.match in each.name]
    if asked.sample:
        found = random.Random(asked.seed).sample(found, min(asked.sample, len(found)))  # noqa: S311
    if asked.list:
        sys.stdout.writelines(f"{each.name}\n" for each in found)
        return 0
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    if os.waitpid(start(None), 0)[1]:
        sys.stderr.write("the tests fail without any mutant: ./scripts/test.sh --fast contracts/tests\n")
        return 1
    known, alive, harmless = equivalents(), 0, 0
    unused = known & {each.key for each in found}
    for each in survivors(found, asked.processes):
        unused.discard(each.key)
        harmless += each.key in known
        if each.key not in known:
            alive += 1
            sys.stdout.write(f"survived  {each.name}\n")
            sys.stdout.flush()
    counted = len(found) - harmless
    killed = (counted - alive) / counted if counted else 1.0
    sys.stdout.writelines(f"killed, and listed as equivalent  {'  =>  '.join(each)}\n" for each in sorted(unused))
    sys.stdout.write(f"{counted} mutants, {alive} survived, {killed:.1%} killed; {harmless} equivalent ones beside\n")
    return 0 if killed >= GOAL and not unused else 1


if __name__ == "__main__":
    sys.exit(main())
