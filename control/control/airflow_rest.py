"""Airflow asked over its REST API, as its admin: quick, where its own command line takes seconds to start."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from control import airflow
from control.loopback import open_direct
from core.errors import OutageError


class Rest:
    """A session with the API server; the token is fetched with the first call that needs one."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._base = airflow.url(settings)
        self._password = settings[airflow.USERS["admin"]]
        self._token: str | None = None

    def health(self) -> dict[str, str]:
        """Return each part of Airflow with its health, such as `healthy`; needs no password.

        Raises:
            OutageError: the API server does not answer.
        """
        return {name: str(part.get("status")) for name, part in self._call("GET", "/api/v2/monitor/health").items()}

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return what Airflow knows of a DAG; None when it has not read such a file.

        Raises:
            OutageError: the API server does not answer, or not as expected.
        """
        try:
            found: dict[str, Any] = self.call("GET", f"/api/v2/dags/{dag_id}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise self._refused(error) from error
        return found

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG or let it run.

        Raises:
            OutageError: the API server does not answer, or not as expected.
        """
        try:
            self.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": paused})
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error

    def import_errors(self) -> list[str]:
        """Return the files in the DAGs' folder that Airflow could not read.

        Raises:
            OutageError: the API server does not answer, or not as expected.
        """
        try:
            found = self.call("GET", "/api/v2/importErrors?limit=100")
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        return [str(each["filename"]) for each in found["import_errors"]]

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what the API says to a call, such as `POST`, `/api/v2/dags/backfill/dagRuns`.

        Raises:
            OutageError: the API server does not answer.
            urllib.error.HTTPError: it refuses.
        """
        if self._token is None:
            login = {"username": "admin", "password": self._password}
            self._token = self._call("POST", "/auth/token", login)["access_token"]
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(self._base + path, method=method)  # noqa: S310 - http to 127.0.0.1
        request.add_header("Accept", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with open_direct(request, data, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError) as error:
            raise OutageError(
                f"airflow does not answer at {self._base}: {getattr(error, 'reason', error)}",
                "the other services are as they were.",
                "./scripts/tieout logs airflow-api",
            ) from error

    def _refused(self, error: urllib.error.HTTPError) -> OutageError:
        return OutageError(
            f"airflow answers {error.code} at {error.url}.",
            "the other services are as they were.",
            "./scripts/tieout logs airflow-api",
        )
