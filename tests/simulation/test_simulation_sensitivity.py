"""The simulation finds what it is for: each way of breaking the product is caught within so many schedules."""

from __future__ import annotations

import pytest
from sim_breaks import BREAKS
from sim_run import simulate

WITHIN = 400


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_product_is_caught(name: str) -> None:
    with BREAKS[name]():
        assert any(simulate(seed, shrinks=False).wrong for seed in range(5000, 5000 + WITHIN))


@pytest.mark.parametrize("name", ["repeats_without_looking", "sends_before_it_writes"])
def test_the_coarsest_faults_are_caught_at_once(name: str) -> None:
    with BREAKS[name]():
        assert any(simulate(seed, shrinks=False).wrong for seed in range(5000, 5010))
