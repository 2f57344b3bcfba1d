"""Who has a session of its own: decided by what a connection answers, with connections made up."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from core import pooler
from core.errors import RefusalError


@dataclass
class Pooled:
    """A connection through a pooler; `sessions` are the server's, one by transaction or one for ever."""

    pool: "Pool"
    server: dict[str, str] | None = None
    info: Any = field(default_factory=lambda: SimpleNamespace(backend_pid=4711, host="db.example", port=6432))

    def close(self) -> None:
        pass

    def execute(self, query: str, values: tuple[str, ...] | list[str] = ()) -> Any:
        server = self.pool.take(self)
        if "set_config" in query:
            server[values[0]] = values[1]
            answer: object = values[1]
        else:
            answer = server["pid"] if "pid" in query else server.get(pooler._MARK)
        return SimpleNamespace(fetchone=lambda: (answer,))


@dataclass
class Pool:
    mode: str
    servers: list[dict[str, Any]]
    busy: list[dict[str, Any]] = field(default_factory=list)

    def take(self, client: Pooled) -> dict[str, Any]:
        if self.mode == "session":
            client.server = client.server or self.servers.pop()
            return client.server
        return next(each for each in reversed(self.servers) if each not in self.busy)


def question(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> Pooled:
    def first_answer(other: Pooled, _: str) -> str | None:
        try:
            server = pool.take(other)
        except IndexError:
            return None
        pool.busy.append(server)
        return server.get(pooler._MARK)

    monkeypatch.setattr(pooler, "_first_answer", first_answer)
    monkeypatch.setattr(pooler.psycopg, "connect", lambda *_, **__: Pooled(pool))
    return Pooled(pool)


def test_a_server_that_is_reached_itself_is_asked_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooler.psycopg, "connect", lambda *_, **__: pytest.fail("a second connection"))
    pooler.require_own_session(Pooled(Pool("session", [{"pid": 4711}])), "")  # type: ignore[arg-type]


@pytest.mark.parametrize("servers", [1, 3])
def test_a_pooler_that_keeps_sessions_is_let_be(monkeypatch: pytest.MonkeyPatch, servers: int) -> None:
    pool = Pool("session", [{"pid": number} for number in range(servers)])
    pooler.require_own_session(question(monkeypatch, pool), "")  # type: ignore[arg-type]


@pytest.mark.parametrize("servers", [1, 3])
def test_a_pooler_that_lends_sessions_is_refused(monkeypatch: pytest.MonkeyPatch, servers: int) -> None:
    pool = Pool("transaction", [{"pid": number} for number in range(servers)])
    with pytest.raises(RefusalError, match=r"db\.example:6432") as caught:
        pooler.require_own_session(question(monkeypatch, pool), "")  # type: ignore[arg-type]
    assert "pool_mode = session" in caught.value.next


def test_a_pooler_that_hands_out_the_longest_idle_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool("transaction", [{"pid": number} for number in range(3)])
    asked = question(monkeypatch, pool)

    def another_each_time(_: Pooled) -> dict[str, Any]:
        pool.servers.append(pool.servers.pop(0))
        return pool.servers[-1]

    monkeypatch.setattr(pool, "take", another_each_time)
    with pytest.raises(RefusalError):
        pooler.require_own_session(asked, "")  # type: ignore[arg-type]
