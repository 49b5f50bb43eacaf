"""Whether the daemon lives and whether it does its work, as short reasons that name no customer. Pure."""

from __future__ import annotations

from syncd.web.board import Snapshot


def stuck(now: Snapshot, monotonic: float) -> str:
    """A sentence where no cycle ends or begins as it should; "" where all is well. `monotonic`: the board's clock."""
    limit = round(now.due_within)
    if now.running_since is not None and monotonic - now.running_since > limit:
        return f"cycle_stuck: the running cycle takes longer than {limit} s"
    # A crontab line may leave days between two cycles.
    if now.idle_since is not None and not now.schedule and monotonic - now.idle_since > limit:
        return f"cycle_overdue: no cycle began for more than {limit} s"
    return ""


def unready(now: Snapshot, monotonic: float) -> list[str]:
    """Why the daemon does not do its work at present; empty where it does.

    A vendor that does not answer is told on the pages and by the metrics, not here: syncd itself works.
    """
    reasons = []
    if now.stopping:
        reasons.append("stopping: the daemon is ending")
    if now.broken:
        reasons.append("ledger_broken: nothing is posted until `syncd ledger verify` is clean and syncd starts again")
    if now.faults:
        count = f"{len(now.faults)} fault{'s' if len(now.faults) > 1 else ''}"
        reasons.append(f"config_invalid: {count} in the files; cycles are skipped until mended (see the log)")
    if now.trouble:
        reasons.append("cycle_failed: the last cycle failed by itself (see the log); the next one tries again")
    if now.doubt:
        reasons.append("clock_doubted: the clock jumped by more than an hour; nothing is posted")
    if now.restored:
        reasons.append(
            "ledger_restored: the ledger was restored or went back; every change waits for a person until one cycle "
            "has read everything"
        )
    if stuck_reason := stuck(now, monotonic):
        reasons.append(stuck_reason)
    if now.cycle is None and not reasons:
        reasons.append("starting: the first cycle has not ended yet")
    return reasons
