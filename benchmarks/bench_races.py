"""Two that start at once: how often both were there, and that the change was made once (RELIABILITY, T9).

    python benchmarks/bench_races.py                # 1,000 races, some fifteen minutes
    python benchmarks/bench_races.py --races 50

Real processes of `syncd run --once` over one SQLite ledger and the sandbox of ConnectWise (the stage of `tests/death`,
which needs pytest, too). The second starts at a random instant of the first one's life, so that their claims, plans and
postings meet everywhere. Both must end with 0, and the sandbox's own record must show what one alone makes. A race in
which the first had ended before the second began is played again and not counted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from measure import RESULTS, keep, print_table

DEATH = Path(__file__).resolve().parents[1] / "tests" / "death"
RACED = ("post_line", "set_quantity", "pair", "add_line")
ONCE = ("run", "--once", "--json")


def main() -> None:
    """Races, prints, keeps."""
    asked = argparse.ArgumentParser(description="Two that start at once.")
    asked.add_argument("--races", type=int, default=1_000)
    given = asked.parse_args()
    sys.path.insert(0, str(DEATH))
    from death_stage import SCENES, End, Scene, Stage, Zygote, put_back, whole

    dice, began, played = random.Random(given.races), time.monotonic(), 0
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        zygote = Zygote()
        stage = Stage(Path(scratch) / "stage", zygote)
        try:
            for name in RACED:
                scene = Scene.play(stage, Path(scratch), SCENES[name])
                put_back(stage, scene.start)
                started = time.monotonic()
                assert stage.run() == 0
                length = time.monotonic() - started
                met = 0
                while met < given.races // len(RACED):
                    put_back(stage, scene.start)
                    first = stage.start(*ONCE)
                    time.sleep(dice.uniform(0, length))
                    ended = first.wait(0.001)
                    second = stage.start(*ONCE)
                    statuses = (first.wait() if ended is None else ended, second.wait())
                    assert statuses == (0, 0), (name, statuses, first.said, second.said)
                    assert End.of(stage) == scene.end, name
                    assert whole(stage), name
                    met += ended is None
                    if ended is None and met % 50 == 0:
                        print(f"{name}: {met} races; {time.monotonic() - began:.0f} s", flush=True)
                played += met
        finally:
            stage.close()
            zygote.close()
    print()
    print_table(("", "races"), [("both were there", f"{played:,}"), ("both ended with 0, one change", f"{played:,}")])
    seconds = time.monotonic() - began
    print(f"{seconds:.0f} s; kept in {keep('races', {'races': played, 'seconds': round(seconds)})}")


if __name__ == "__main__":
    main()
