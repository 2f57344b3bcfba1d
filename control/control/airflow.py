"""Airflow as this platform runs it: programs, settings, secrets, and the file of who may log in.

Every setting comes through the environment of a supervised process; there is no other configuration.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from control.accounts import Accounts, own_file, own_folder
from core.layout import Layout
from core.postgres_login import PostgresTls

API, SCHEDULER, DAG_PROCESSOR, TRIGGERER, TIDY = NAMES = (
    "airflow-api",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "airflow-tidy",
)

# What DAG files read of the platform's settings.
DAG_SETTINGS = ("PIPELINE_SCHEDULE", "FULL_TESTS_EVERY_HOURS", "DOCS_PORT")

# Name of the variable that marks what the scheduler's tasks start, wherever it hangs in the process tree.
MARK = "TIEOUT_TASKS_OF"

USERS = {"admin": "AIRFLOW_PASSWORD_ADMIN", "viewer": "AIRFLOW_PASSWORD_VIEWER"}

NO_FILE = "# Every setting comes through the environment: control/control/airflow.py of the checkout.\n"


def home(layout: Layout) -> Path:
    """Return AIRFLOW_HOME: passwords and task logs."""
    return layout.state / "airflow"


def passwords_file(layout: Layout) -> Path:
    """Return the file of names and passwords, mode 600."""
    return home(layout) / "passwords.json"


def task_logs(layout: Layout) -> Path:
    """Return the folder with a log a try of a task."""
    return home(layout) / "logs"


def manifest(layout: Layout) -> Path:
    """Return dbt's manifest, out of which the DAG makes a task of each model."""
    return home(layout) / "manifest.json"


def program(layout: Layout) -> Path:
    """Return the `airflow` command."""
    return layout.environments / "airflow" / "bin" / "airflow"


def is_the_loop(settings: Mapping[str, str]) -> bool:
    """Say whether Airflow is what repeats the way from the lake to the marts."""
    return settings["LOOP"] == "airflow"


def url(settings: Mapping[str, str]) -> str:
    """Return where people and programs reach Airflow."""
    return f"http://127.0.0.1:{settings['AIRFLOW_PORT']}"


def prepare_airflow(layout: Layout, accounts: Accounts, settings: Mapping[str, str]) -> bool:
    """Write the passwords before Airflow starts: it would draw its own and print them to its log.

    Returns:
        whether the file is new, so that the passwords have to be shown.
    """
    own_folder(home(layout), accounts.services, 0o700)
    own_folder(task_logs(layout), accounts.services, 0o700)
    file, wanted = passwords_file(layout), json.dumps({user: settings[name] for user, name in USERS.items()}) + "\n"
    new = not file.exists()
    if new or file.read_text(encoding="utf-8") != wanted:
        own_file(file, wanted, accounts.services)
    own_file(home(layout) / "airflow.cfg", NO_FILE, accounts.services)
    return new


def environment(layout: Layout, settings: Mapping[str, str], name: str) -> dict[str, str]:
    """Return what one of Airflow's processes gets beside the platform's own settings."""
    host, port = settings["POSTGRES_HOST"], settings["POSTGRES_PORT"]
    login = f"airflow:{quote(settings['POSTGRES_PASSWORD_AIRFLOW'], safe='')}@{host}:{port}/airflow"
    found = {
        "CORE__FERNET_KEY": settings["AIRFLOW_FERNET_KEY"],
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{login}",
        **_core(layout, settings),
        **_QUIET,
        **_SMALL,
    }
    if name == API:
        found |= {"API__SECRET_KEY": settings["AIRFLOW_API_SECRET"]}
    if name in {API, SCHEDULER}:  # the scheduler signs each task's token, the API server reads it
        found |= {"API_AUTH__JWT_SECRET": settings["AIRFLOW_JWT_SECRET"]}
    # By variables: SQLAlchemy has no word that both of Airflow's drivers take.
    own = {**PostgresTls.of(settings).environment("airflow"), "AIRFLOW_HOME": str(home(layout)), **_PROCESS}
    own |= {MARK: str(layout.home)} if name == SCHEDULER else {}
    return own | {f"AIRFLOW__{key}": value for key, value in found.items()}


def _core(layout: Layout, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__DAGS_FOLDER": str(layout.checkout / "airflow" / "dags"),
        "CORE__PLUGINS_FOLDER": str(layout.checkout / "airflow" / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"{url(settings)}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(layout)),
        "API__HOST": "127.0.0.1",
        "API__PORT": settings["AIRFLOW_PORT"],
        "API__BASE_URL": url(settings),
        "LOGGING__BASE_LOG_FOLDER": str(task_logs(layout)),
        "LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
    }


# Nothing is sent to anybody, and a process's own log goes to the supervisor, which rotates it.
_QUIET = {
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    "COSMOS__ENABLE_TELEMETRY": "False",
    "COSMOS__ENABLE_DAG_VERSIONING": "False",  # it writes a hash into the DAG's description, once a group
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout",
    "LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
}

# One machine, few DAGs: little memory, few connections, and little to do while nothing happens.
_SMALL = {
    "CORE__PARALLELISM": "2",
    "API__WORKERS": "1",
    "DATABASE__SQL_ALCHEMY_POOL_SIZE": "2",
    "DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "4",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "60",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    # Between two tasks the scheduler would sleep for a second; a run has a dozen such gaps. Shorter sleeps cost more of
    # the processor while nothing happens: at 0.2 the scheduler and its database session took 15 % of a core.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "COSMOS__ENABLE_MEMORY_OPTIMISED_IMPORTS": "True",
    "COSMOS__ENABLE_CACHE": "False",
    # After a kill -9 of the scheduler its tasks are taken up again within a minute or two, not five.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
}

_PROCESS = {"MALLOC_ARENA_MAX": "2", "DO_NOT_TRACK": "1"}
