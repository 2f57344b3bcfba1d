"""Files of one command, one after the other: a bad one is said and the others go on."""

import time
from collections.abc import Callable, Sequence

from core.errors import OptionError, OutageError, TieoutError
from core.settings import Settings
from data_generator.ingest.errors import NOTHING_SENT, FilesError
from data_generator.ingest.follow import Arrivals, follow
from data_generator.ingest.mapping import FileMapping
from data_generator.ingest.registry import open_registry
from data_generator.ingest.run import Asked, FileRunner, Report
from data_generator.ingest.source import Source
from data_generator.ingest.sources import Item, find_items
from data_generator.produce import Context
from data_generator.progress import say

_AGAIN_SECONDS = 5.0


class Session:
    """What one command does with its files.

    Args:
        settings: where broker, warehouse and store are.
        mapping: what becomes of the files' columns.
        asked: what a person asks of each of them.
        context: the gateway's; None: nothing is sent.
        tell: given the report of each file.
    """

    def __init__(
        self, settings: Settings, mapping: FileMapping, asked: Asked, context: Context | None,
        tell: Callable[[Report], None],
    ) -> None:  # fmt: skip
        self._settings, self._mapping, self._asked, self._context, self._tell = settings, mapping, asked, context, tell
        self._auditor = settings.kafka_password("auditor", NOTHING_SENT) if context else ""
        key = settings.card_hash_key
        self._key = context.card_hash_key if context else key.get_secret_value() if key else ""

    def ingest(self, sources: Sequence[str], name: str | None) -> None:
        """Bring the files of some sources through.

        Args:
            name: what the one file is called in the books; None: the mapping's name, or its path.

        Raises:
            FilesError: some of several could not be ingested.
            TieoutError: the only one could not, or nothing can be sent at all.
        """
        items = find_items(sources, self._settings)
        if name is not None and len(items) > 1:
            raise OptionError(
                f"--name is of one file, and there are {len(items)}.", NOTHING_SENT, "name one file, or leave it out"
            )
        name = name or (self._mapping.form.name if len(items) == 1 else None)
        failed: list[TieoutError] = []
        for item in items:
            try:
                self._run(item, name or item.name)
            except TieoutError as error:
                if len(items) == 1 or not FileRunner.is_of_file(error):
                    raise
                say(str(error))
                failed.append(error)
        if failed:
            raise FilesError(len(failed), len(items), failed[0])

    def follow(self, sources: Sequence[str]) -> None:
        """Bring files through as they come, until a signal. What is away is waited for; a bad file is said once."""
        if self._context is None:
            return
        stop, arrivals = self._context.stop, Arrivals()
        while not stop.requested:
            try:
                for item in follow(sources, self._settings, stop, arrivals):
                    try:
                        self._run(item, item.name)
                    except TieoutError as error:
                        if not FileRunner.is_of_file(error):
                            raise
                        say(str(error))
                    arrivals.take(item)
            except OutageError as error:
                say(str(error))
                begun = time.monotonic()
                while time.monotonic() - begun < _AGAIN_SECONDS and not stop.requested:
                    time.sleep(0.1)

    def _run(self, item: Item, name: str) -> None:
        with item.local() as path:
            source = Source(path, name, self._mapping.form.member)
            if self._context is None:
                report = FileRunner(self._mapping, self._asked, self._key).run(source)
            else:
                with open_registry(self._settings) as registry:
                    runner = FileRunner(
                        self._mapping, self._asked, self._key, self._context, registry, auditor=self._auditor
                    )
                    report = runner.run(source)
        self._tell(report)
        if report.error is not None:
            raise report.error
