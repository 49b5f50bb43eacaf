"""Defects of the record: what is durable, who may write, what is refused, and what a damaged ledger does."""

from __future__ import annotations

from defect import Defect, Edit, defect

STORE = "syncd/ledger/store.py"
DOOR = "syncd/ledger/door.py"
SQLITE = "syncd/ledger/sqlite.py"
FIRST = "syncd/ledger/migrations/versions/r0001_first.py"
INTENTS = "syncd/ledger/intents.py"
CYCLE = "syncd/cycle/__init__.py"
ALERTING = "syncd/cycle/alerting.py"

ENTRIES = "tests/ledger/test_ledger_entries.py"
OPEN = "tests/ledger/test_ledger_open.py"
RECORD = "tests/ledger/test_ledger_record.py"
DAMAGE = "tests/ledger/test_ledger_damage.py"
CHAIN = "tests/ledger/test_ledger_chain.py"
BACKUP = "tests/ledger/test_ledger_backup.py"

LEDGER_DEFECTS: tuple[Defect, ...] = (
    defect(
        "synchronous = NORMAL",
        "A committed sending may roll back after a power loss, and is sent again.",
        SQLITE,
        '    "synchronous = FULL",\n',
        '    "synchronous = NORMAL",\n',
        f"{OPEN}::test_every_commit_is_durable",
    ),
    defect(
        "a ledger on a network",
        "Locks over a network file system do not hold, and two writers corrupt the record.",
        SQLITE,
        "    files.refuse_network(path)\n",
        "",
        f"{OPEN}::test_opening_asks_what_file_system_it_is",
    ),
    defect(
        "the last instant is taken for the latest",
        "A clock that fell back is believed from the second cycle on.",
        "syncd/ledger/cycles.py",
        ".order_by(cycle.c.as_of.desc()).limit(1)",
        ".order_by(cycle.c.number.desc()).limit(1)",
        "tests/ledger/test_ledger_guards.py::test_the_latest_instant_is_the_latest_ever_and_not_the_last",
    ),
    defect(
        "no write-ahead log",
        "A crash in the middle of a commit leaves what the tests of the log do not cover.",
        SQLITE,
        '"PRAGMA journal_mode = WAL"',
        '"PRAGMA journal_mode"',
        f"{OPEN}::test_every_commit_is_durable",
    ),
    defect(
        "writing without the write lock",
        "Two processes read the same state, and both write what follows from it.",
        SQLITE,
        '"BEGIN IMMEDIATE" if immediate else "BEGIN"',
        '"BEGIN"',
        f"{ENTRIES}::test_two_that_write_at_once_wait_their_turn",
    ),
    defect(
        "unique index dropped",
        "Two changes of one line are open at once, and both are sent.",
        FIRST,
        'op.create_index("entry_open", "entry", ["identity"], unique=True, ',
        'op.create_index("entry_open", "entry", ["identity"], ',
        f"{ENTRIES}::test_the_database_itself_refuses_a_second_open_entry",
    ),
    defect(
        "a busy line is not looked for",
        "A change is opened beside one that is on its way.",
        INTENTS,
        '        elif intent.identity in busy:\n            reasons[number] = "an entry of this line is open"\n',
        "",
        f"{ENTRIES}::test_one_open_entry_per_identity_whatever_its_state",
    ),
    defect(
        "the sum is not looked at under the lock",
        "A true-up that was planned from an older sum is posted on top of a newer one.",
        INTENTS,
        "        elif intent.operation in DATED and intent.before != due_from:\n",
        "        elif False:\n",
        f"{ENTRIES}::test_a_dated_line_is_written_only_from_what_stands_there_now",
    ),
    defect(
        "epoch ignored",
        "A process that lost the ledger goes on writing into it.",
        DOOR,
        "connection.execute(select(meta.c.epoch)).scalar_one() != self._epoch:\n",
        "False:\n",
        f"{OPEN}::test_a_writer_that_lost_the_ledger_cannot_write",
    ),
    defect(
        "epoch not raised",
        "A new writer cannot be told from the one before it.",
        DOOR,
        "values(epoch=meta.c.epoch + 1)",
        "values(epoch=meta.c.epoch)",
        f"{OPEN}::test_a_writer_that_lost_the_ledger_cannot_write",
    ),
    defect(
        "sending without the claim",
        "A command beside the daemon sends what the daemon is sending.",
        DOOR,
        "            if claimed and self._epoch is None:\n",
        "            if False:\n",
        f"{ENTRIES}::test_only_who_claimed_may_send_and_settle",
    ),
    defect(
        "two writers at once",
        "The lock of the single writer is shared.",
        "syncd/ledger/lock.py",
        "                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "                fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        f"{OPEN}::test_the_single_writer_is_named",
    ),
    defect(
        "what is not planned is sent",
        "What is held, or was superseded meanwhile, is sent all the same.",
        STORE,
        '            if kept.row["state"] != EntryState.PLANNED or not may_leave(held.connection, kept):\n',
        "            if not may_leave(held.connection, kept):\n",
        f"{ENTRIES}::test_only_what_is_planned_is_sent",
    ),
    defect(
        "approved without a look after a restore",
        "What was billed for a month that is over, under a mark that the restored ledger forgot, is billed once more.",
        INTENTS,
        "    if not looked:\n",
        "    if False:\n",
        "tests/cycle/test_restored.py::test_what_waited_in_arrears_is_not_approved_before_somebody_looked",
    ),
    defect(
        "an altered entry is sent",
        "Bytes that were altered beside the record leave as if somebody had planned them.",
        "syncd/ledger/pen.py",
        "    if not links or projection.replay(links) != dict(row):\n",
        "    if not links:\n",
        f"{DAMAGE}::test_an_entry_altered_beside_the_record_is_never_sent",
    ),
    defect(
        "terminal entries move",
        "What ended is opened again, and sent a second time.",
        "syncd/core/entries.py",
        "    **{state: frozenset() for state in TERMINAL},\n",
        "    **{state: frozenset({EntryState.PLANNED}) for state in TERMINAL},\n",
        f"{ENTRIES}::test_moves_that_do_not_exist_or_have_their_own_door",
    ),
    defect(
        "approval without a name",
        "A held change leaves, and nobody can say who let it.",
        INTENTS,
        "    if not by.strip():\n",
        "    if False:\n",
        f"{ENTRIES}::test_deciding_is_all_or_nothing_and_tells_every_fault",
    ),
    defect(
        "trigger dropped",
        "Whoever has a shell of the database rewrites what was posted.",
        FIRST,
        '        "event_never_changes": ("UPDATE ON event", ""),\n',
        "",
        f"{ENTRIES}::test_terminal_entries_are_not_moved_even_by_hand",
    ),
    defect(
        "the chain leaves out what was said",
        "What was sent and answered can be rewritten without a trace.",
        "syncd/ledger/chain.py",
        '            "data": link.data,\n',
        '            "data": "",\n',
        f"{CHAIN}::test_every_column_is_covered",
    ),
    defect(
        "the chain is no chain",
        "An event can be taken out of the middle, with its number.",
        "syncd/ledger/chain.py",
        '    return hashlib.sha256(f"{previous}\\n{row}".encode()).hexdigest()\n',
        '    return hashlib.sha256(f"{row}".encode()).hexdigest()\n',
        f"{CHAIN}::test_attacks_are_found_and_placed",
    ),
    defect(
        "verify skips entries",
        "A quantity that was altered beside the record is called sound.",
        "syncd/ledger/verify.py",
        "    yield from _entries(connection)\n",
        "",
        f"{RECORD}::test_every_alteration_is_found",
    ),
    defect(
        "a cut end is not missed",
        "A ledger that went back to an older state forgets what it posted, and posts it again.",
        DOOR,
        "        if once > told.events and told.restored is None:\n",
        "        if False:\n",
        f"{BACKUP}::test_an_old_copy_put_back_by_hand_is_noticed",
    ),
    defect(
        "a restored ledger says nothing",
        "After a restore, what was posted since the backup is posted again.",
        "syncd/ledger/backup.py",
        "values(restored=meta.c.events, epoch=max(here, epoch) + 1)",
        "values(epoch=max(here, epoch) + 1)",
        f"{BACKUP}::test_restoring_where_nothing_is",
    ),
    defect(
        "amnesia ignored",
        "A ledger that may have forgotten what it posted goes on posting unasked.",
        CYCLE,
        "    amnesia = ledger.restored\n",
        "    amnesia = False\n",
        "tests/cycle/test_restored.py::test_after_a_restore_every_change_waits_for_a_person_until_all_was_read",
    ),
    defect(
        "amnesia forgotten too early",
        "A restored ledger is trusted although a source could not be read.",
        CYCLE,
        "            if amnesia and not plan.errors and not result.in_doubt:\n",
        "            if amnesia:\n",
        "tests/cycle/test_restored.py::test_a_source_that_cannot_be_read_keeps_the_restored_ledger_careful",
    ),
    defect(
        "a clock that fell is believed",
        "Last month is billed again because the machine's clock says so.",
        CYCLE,
        "    doubts = () if trust_clock else _doubt(ledger, now)\n",
        "    doubts = ()\n",
        "tests/cycle/test_failures.py::test_a_clock_that_falls_back_posts_nothing",
    ),
    defect(
        "open entries are not counted",
        "What may be there already is not part of the sum: the difference is posted twice.",
        "syncd/ledger/lookup.py",
        "_COUNTED = frozenset({EntryState.PLANNED, EntryState.SENDING, EntryState.UNKNOWN, EntryState.POSTED})",
        "_COUNTED = frozenset({EntryState.POSTED})",
        f"{ENTRIES}::test_a_dated_line_is_written_only_from_what_stands_there_now",
    ),
    defect(
        "every entry is a generation",
        "A change that waits changes its own key: it is written down anew in each cycle.",
        "syncd/ledger/lookup.py",
        '            func.count(ended).label("generation"),\n',
        '                func.count().label("generation"),\n',
        f"{ENTRIES}::test_past_says_what_planning_needs",
    ),
    defect(
        "a message leaves before it is written down",
        "A process that dies after the message was sent tells the same thing again under another name.",
        ALERTING,
        "    _keep(scene, listed, writings)\n    with ThreadPoolExecutor",
        "    for early in listed:\n"
        "        for intent in writings[early.name].intents:\n"
        "            if early.name in opened:\n"
        "                opened[early.name].connection.send(intent.posting, intent.wire)\n"
        "    _keep(scene, listed, writings)\n    with ThreadPoolExecutor",
        "tests/alerts/test_alerts_messages.py::test_a_process_that_dies_between_writing_and_sending_tells_it_once",
    ),
    Defect(
        "a message without its entry",
        "What was told is remembered, and the message itself is not: it is lost with the process.",
        (
            Edit(
                STORE,
                "            written = put(held, cycle, supersede, intents)\n"
                "            if len(written) != len(intents):\n",
                "            written = put(held, cycle, supersede, ())\n            if False:\n",
            ),
        ),
        ("tests/alerts/test_alerts_messages.py::test_a_process_that_dies_between_writing_and_sending_tells_it_once",),
    ),
)
