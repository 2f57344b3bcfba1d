"""`python -m control.jars lock|check|fetch`: write the lock, compare with it, or fetch what it lists."""

import sys

from control import jars
from control.progress import say
from core.errors import TieoutError
from core.layout import find_layout


def main(arguments: list[str]) -> int:
    """Do what the one word says; exit 1 when the JARs are not those of the lock, 2 for another word."""
    layout = find_layout()
    match arguments:
        case ["lock"]:
            say(f"{jars.LOCK.name}: {jars.write_lock(layout.jars)} JARs")
        case ["check"]:
            wrong = jars.differences(layout.jars)
            for line in wrong:
                say(line)
            return 1 if wrong else 0
        case ["fetch"]:
            try:
                jars.fetch(layout)
            except TieoutError as error:
                say(str(error))
                return 1
        case _:
            say("usage: python -m control.jars lock|check|fetch")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
