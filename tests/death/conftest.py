from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from death_stage import SCENES, Scene, Stage, Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.fixture(scope="session")
def stage(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for all: scenes set it anew."""
    made = Stage(tmp_path_factory.mktemp("death") / "stage", zygote)
    yield made
    made.close()


@pytest.fixture(scope="session")
def scene(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scene]:
    """A scene by its name, played once without a death."""
    played: dict[str, Scene] = {}

    def get(name: str) -> Scene:
        if name not in played:
            played[name] = Scene.play(stage, tmp_path_factory.mktemp("moments"), SCENES[name])
        return played[name]

    return get
