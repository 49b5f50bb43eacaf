"""Deaths: how many were survived, and how long it takes to be at rest again.

    python benchmarks/bench_recovery.py [--kills 300]

The deaths are those of `tests/death` (which need pytest, too): SIGKILL at every step of a posting, and at random
instants, against the sandbox of ConnectWise over HTTP; the judge is the sandbox's own record. "at rest" is measured
from the start of a fresh interpreter to the end of the cycle in which it found and settled what the dead one had sent.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import RESULTS, keep, median, print_table, verdict

DEATH = Path(__file__).resolve().parents[1] / "tests" / "death"
SWEPT = ("set_quantity", "post_line")
AT_RANDOM = ("set_quantity", "post_line", "pair")
RESTARTS = 5
REST_AIM = 10.0  # seconds


def main() -> None:
    """Measures, prints, keeps."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=300, help="deaths at random instants, in all")
    given = asked.parse_args()
    sys.path.insert(0, str(DEATH))
    from syncd.logs import configure

    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        points, died, rest = _deaths(Path(scratch), given.kills)
    total = sum(points.values())
    print(f"{total} deaths at steps, {died} at random instants: each ended with the effects of a run without one.\n")
    print_table(
        ("aim", "measured", "met"),
        [
            verdict(f"at rest after a death in {REST_AIM:.0f} s", f"{median(rest):.2f} s", max(rest) <= REST_AIM),
        ],
    )
    kept = keep("recovery", {"deaths_by_point": dict(points), "deaths_at_random": died, "rest_seconds": rest})
    print(f"kept in {kept}")


def _deaths(scratch: Path, kills: int) -> tuple[Counter[int], int, list[float]]:
    """Deaths at each crash point, deaths at random instants, and how long each of some restarts took."""
    import test_death_posting as deaths
    from death_points import instants
    from death_stage import SCENES, Scene, Stage, Zygote

    zygote = Zygote()
    stage = Stage(scratch / "stage", zygote)
    died = 0
    rest: list[float] = []
    try:
        for name in SWEPT:
            scene = Scene.play(stage, scratch, SCENES[name])
            steps = [(step, point) for step, point in instants(scene.steps) if 4 < point < 18]
            for number, (step, point) in enumerate(steps, start=1):
                _tell(f"{name}: step {number} of {len(steps)}")
                deaths.survive(scene, step, point)
            for acts, point in (("before", 12), ("never", 11)):
                deaths.killed_while_held(scene, acts)
                deaths.judge(scene, point, acts)
            _tell(f"{name}: second deaths in each step of the recovery")
            deaths.twice(scene, deaths.in_recovery(scene), lambda number, point: number != 1 and point > 5)
        points = Counter(deaths.tally)
        deaths.print_tally(points)
        dice = random.Random(kills)
        for name in AT_RANDOM:
            scene = Scene.play(stage, scratch, SCENES[name])
            _tell(f"{name}: {kills // len(AT_RANDOM)} deaths at random instants")
            deaths.at_random(scene, kills // len(AT_RANDOM), dice)
            died += kills // len(AT_RANDOM)
        scene = Scene.play(stage, scratch, SCENES["post_line"])
        for number in range(RESTARTS):
            _tell(f"restart {number + 1} of {RESTARTS}")
            deaths.killed_while_held(scene, "before")
            began = time.monotonic()
            with deaths.interpreter(stage) as process:
                process.communicate()
                rest.append(round(time.monotonic() - began, 3))
            scene.judge("after a restart")
    finally:
        stage.close()
        zygote.close()
    return points, died, rest


def _tell(what: str) -> None:
    """Where it is: on a terminal's last line, elsewhere on a line of its own."""
    terminal = sys.stderr.isatty()
    print(f"\r\x1b[K{what}" if terminal else what, end="" if terminal else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
