"""The fixtures of every connector's tests. A folder says in `bench_kind` what its benches are made by."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from connector_kit import Bench, House


@pytest.fixture(scope="session")
def bench_kind() -> Callable[..., Bench[Any]]:
    """Takes a folder and the double's options. Each folder's conftest names its own."""
    raise AssertionError("this folder's conftest.py does not say what its benches are made by")


@pytest.fixture
def make_bench(bench_kind: Callable[..., Bench[Any]], tmp_path: Path) -> Iterator[Callable[..., Bench[Any]]]:
    """Benches with options of the double."""
    made: list[Bench[Any]] = []

    def make(**options: Any) -> Bench[Any]:
        made.append(bench_kind(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench[Any]]) -> Bench[Any]:
    """A bench with the double's defaults."""
    return make_bench()


@pytest.fixture(scope="module")
def shared_bench(
    bench_kind: Callable[..., Bench[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench[Any]]:
    """One bench for all tests of a file that change nothing in it."""
    made = bench_kind(tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@pytest.fixture
def make_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., House]:
    """The admin's folder (see House), with the environment that its config reads."""

    def make(connections: str, mappings: str, *, safety: str = "", **environ: str) -> House:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return House(tmp_path, connections, mappings, safety)

    return make


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every way out with TLS loads them, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
