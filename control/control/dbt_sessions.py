"""dbt's command line, whose database sessions give way where dbt does: `dbt_sessions.py ARGUMENTS`.

It runs as a file in dbt's environment, which has nothing of ours: of `core` it takes what needs no other package.
"""

import sys
from pathlib import Path
from typing import Any


def share_niceness() -> None:
    """Let every session that psycopg2 opens from now on give way where this process does; dbt opens one a node."""
    import psycopg2

    sys.path.append(str(Path(__file__).resolve().parents[2] / "core"))
    from core.niceness import pass_on

    connect = psycopg2.connect

    def connect_nicely(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        pass_on(connection)
        return connection

    psycopg2.connect = connect_nicely


def main() -> None:
    """Become dbt."""
    from dbt.cli.main import cli

    share_niceness()
    cli()


if __name__ == "__main__":
    main()
