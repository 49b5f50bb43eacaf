"""Defects of the judgement: what is counted, what is believed, what is held, and what a period is."""

from __future__ import annotations

from defect import Defect, Edit, defect

JUDGING = "syncd/core/judging.py"
POLICY = "syncd/core/policy.py"
GUARDS = "syncd/core/guards.py"
PLAN = "syncd/core/plan.py"
INTENTS = "syncd/core/intents.py"
CLOSING = "syncd/core/closing.py"
LINE_WAY = "syncd/core/true_up_line.py"
EFFECTS = "syncd/core/effects.py"
EPISODES = "syncd/core/episodes.py"

FINDINGS = "tests/core/test_core_findings.py"
WAITING = "tests/core/test_core_waiting.py"
OF_POLICY = "tests/core/test_core_policy.py"
OF_GUARDS = "tests/core/test_core_guards.py"
OF_LIMITS = "tests/core/test_core_cycle_limits.py"
OF_INTENTS = "tests/core/test_core_intents.py"
LOCK = "tests/core/test_core_period_lock.py"
DECISIONS = "tests/core/test_core_decisions.py"

_NOT_KNOWN = "    if reading.state is not State.KNOWN:\n        return [], (reading.state, reading.reason or"
_COUNTED = "    counted = target(rule, used.quantity) if used.state in (State.KNOWN, State.GONE) else None\n"
_PROPOSED = "    return Proposal(line_effects(site, desk.past, due, text, money), step)\n"

CORE_DEFECTS: tuple[Defect, ...] = (
    defect(
        "partial is known",
        "A count of which pages are missing is billed as if it were whole.",
        "syncd/core/findings.py",
        _NOT_KNOWN,
        _NOT_KNOWN.replace("is not State.KNOWN", "in (State.UNKNOWN, State.GONE)"),
        f"{FINDINGS}::test_what_is_not_known_blocks_its_line",
    ),
    defect(
        "unknown is zero",
        "A source that could not be read counts as nothing, and the line falls.",
        "syncd/core/line.py",
        _COUNTED,
        "    counted = target(rule, used.quantity)\n",
        f"{FINDINGS}::test_what_is_not_known_blocks_its_line",
    ),
    defect(
        "billed that is not known is planned on",
        "A line that could not be read counts as missing, and is added again.",
        JUDGING,
        "    if place.state is not State.KNOWN:\n",
        "    if False:\n",
        f"{FINDINGS}::test_what_is_not_known_blocks_its_line",
    ),
    defect(
        "gone is not held",
        "A customer that disappeared from a source is billed nothing without a question.",
        POLICY,
        '    if case.gone and safety.to_zero == "hold":\n',
        "    if False:\n",
        f"{OF_GUARDS}::test_all_decreases_of_a_gone_customer_are_held_each_saying_so",
    ),
    defect(
        "to_zero is not held",
        "A line falls to nothing without a question.",
        GUARDS,
        '    if target <= ZERO < billed and safety.to_zero == "hold":\n',
        "    if False:\n",
        f"{OF_GUARDS}::test_to_zero",
    ),
    defect(
        "source_drop trips at its limit",
        "A fall of exactly the limit is held: the limit is not the one that was written.",
        "syncd/core/sources.py",
        "fall * 100 > source_drop * was",
        "fall * 100 >= source_drop * was",
        f"{OF_GUARDS}::test_source_drop",
    ),
    defect(
        "source_drop ignored",
        "A source that shows half of its customers lowers half of the lines.",
        POLICY,
        "    if case.suspect:\n        yield Hold(Guard.SOURCE_DROP, case.suspect)\n",
        "",
        f"{OF_POLICY}::test_a_source_that_fell_too_far_posts_nothing",
    ),
    defect(
        "settle counts a plan",
        "Whoever looks at the plan twice makes it post at once.",
        JUDGING,
        "    if desk.counting:\n        return policy.sight(",
        "    if True:\n        return policy.sight(",
        f"{OF_POLICY}::test_a_difference_settles_in_cycles_and_a_plan_is_none",
    ),
    defect(
        "settle forgets to start anew",
        "A count that moves in every cycle counts as one that stood still.",
        POLICY,
        "    if before is None or before.fingerprint != fingerprint:\n        return Sighting(",
        "    if before is None:\n        return Sighting(",
        f"{OF_POLICY}::test_a_moved_difference_settles_anew",
    ),
    defect(
        "max_postings off by one",
        "A cycle posts one change more than it may.",
        PLAN,
        "postings + len(line.effects) > house.safety.max_postings:",
        "postings + len(line.effects) > house.safety.max_postings + 1:",
        f"{OF_LIMITS}::test_a_cycles_limits",
    ),
    defect(
        "max_amount for each line",
        "The limit of a cycle's money is one of each line's.",
        PLAN,
        "        if money + cost > house.safety.max_amount:\n",
        "        if cost > house.safety.max_amount:\n",
        f"{OF_LIMITS}::test_a_cycles_limits",
    ),
    defect(
        "a small line has no limit",
        "A line of two may become a line of two thousand unseen.",
        GUARDS,
        "        if size > safety.max_step:\n",
        "        if False:\n",
        f"{OF_GUARDS}::test_a_step",
    ),
    defect(
        "foreign edit ignored",
        "What a person wrote into the billing system is overwritten without a question.",
        GUARDS,
        '    if posted is None or billed == posted.to:\n        return ""\n',
        '    return ""\n',
        f"{OF_GUARDS}::test_foreign_edit",
    ),
    defect(
        "two writers fight for ever",
        "Another integration puts back what syncd writes, in every cycle, without an end.",
        GUARDS,
        "    if len(rounds) < ROUNDS:\n",
        "    if True:\n",
        f"{OF_GUARDS}::test_a_fight_is_held_whatever_foreign_edit_says",
    ),
    defect(
        "a line is planned on top of an unknown outcome",
        "While nobody knows whether a change arrived, the next one is planned beside it.",
        JUDGING,
        "        if entry is not None and entry.state in IN_FLIGHT:\n",
        "        if False:\n",
        f"{WAITING}::test_nothing_overtakes_an_outcome_that_is_not_known",
    ),
    defect(
        "a list that lags is drift",
        "A list that does not show syncd's own write yet is taken for somebody's edit, or for a new difference.",
        JUDGING,
        "    return desk.moment.now - posted.settled_at <= READ_LAG and listed == posted.before\n",
        "    return False\n",
        f"{DECISIONS}::test_a_list_may_lag_a_quarter_of_an_hour_behind_syncds_own_write",
    ),
    defect(
        "refused is planned again",
        "What the vendor refused comes back in every cycle although nothing moved.",
        POLICY,
        "    if closed.state is EntryState.FAILED:\n",
        "    if False:\n",
        f"{WAITING}::test_a_refused_posting_is_not_repeated_until_something_moves",
    ),
    defect(
        "rejected comes back",
        "What a person rejected is asked again in every cycle.",
        POLICY,
        "    if closed.state is EntryState.REJECTED:\n",
        "    if False:\n",
        f"{WAITING}::test_a_rejected_change_stays_away_until_something_moves",
    ),
    defect(
        "superseded is sent",
        "A change that the world has overtaken leaves all the same.",
        INTENTS,
        "                supersede.append((entry.id, _overtaken(line)))\n                continue\n",
        "                sendable.add(entry.intent.key)\n                continue\n",
        f"{OF_INTENTS}::test_what_is_overtaken_or_no_longer_needed_is_superseded",
    ),
    defect(
        "observe writes",
        "A house that only wants to look gets changes written down, and sent.",
        INTENTS,
        "    if line.mode is Mode.OBSERVE or line.action not in (Action.POST, Action.HOLD):\n",
        "    if line.action not in (Action.POST, Action.HOLD):\n",
        f"{OF_INTENTS}::test_observe_writes_nothing",
    ),
    defect(
        "propose posts",
        "Changes leave although every one of them was to wait for a person.",
        INTENTS,
        "    may_post = applying or line.mode is Mode.POST\n",
        "    may_post = True\n",
        f"{OF_INTENTS}::test_modes_and_words",
    ),
    Defect(
        "difference against the vendor's list alone",
        "The true-up is what the list lacks: a list that lags, or a line that somebody removed, is made up for twice.",
        (
            Edit(
                LINE_WAY,
                "    if shown > own or (due < own and shown < own):",
                "    shown = NOTHING.__class__(own_quantity=billed - recurring)\n"
                "    lines = {**desk.past.lines, own_identity(site): shown}\n"
                "    past = desk.past.__class__(desk.past.installation, lines)\n"
                "    if False:",
            ),
            Edit(LINE_WAY, _PROPOSED, "    return Proposal(line_effects(site, past, due, text, money), step)\n"),
        ),
        (f"{WAITING}::test_an_edited_true_up_is_held_and_never_posted_twice",),
    ),
    defect(
        "what waits to be sent is counted twice",
        "A true-up that was not sent yet counts as sent, and the line that replaces it as well.",
        EFFECTS,
        "    return history.own_quantity - (waiting.intent.to - waiting.intent.before)\n",
        "    return history.own_quantity\n",
        f"{WAITING}::test_a_sending_that_did_not_leave_is_sent_later_under_its_key",
    ),
    defect(
        "two rules set one line",
        "Two rules that bill the same line post against each other.",
        PLAN,
        "    clashing = {line.id: group for group in by_site.values() if len(group) > 1 for line in group}\n",
        "    clashing: dict[str, list[PlanLine]] = {}\n",
        "tests/core/test_core_plan.py::test_two_rules_that_bill_one_line_are_both_blocked",
    ),
    defect(
        "the first of two agreements",
        "Where two agreements match, one is picked and billed.",
        EFFECTS,
        '        case (one,):\n            return one, ""\n',
        '        case (one, *_):\n            return one, ""\n',
        "tests/cycle/test_failures.py::test_an_agreement_that_matches_two_where_a_line_may_be_created",
    ),
    defect(
        "undo leaves by itself",
        "What a person takes back is sent before anybody saw what that does.",
        "syncd/core/undo.py",
        "        state=EntryState.HELD,\n",
        "        state=EntryState.PLANNED,\n",
        f"{OF_INTENTS}::test_an_undo_waits_and_is_left_alone",
    ),
    defect(
        "period lock ignored",
        "A line is dated into a period that is on an invoice already: it is never billed, or refused.",
        CLOSING,
        "    if through is None or starts is None or starts > through:\n        return False\n",
        "    return False\n",
        f"{LOCK}::test_a_closed_current_period_is_posted_into_the_next_under_its_own_name",
    ),
    defect(
        "a late line loses the name of its period",
        "The customer reads December's line without a word that it is for November.",
        EFFECTS,
        "            description = closing.late_words(str(site.period), description)\n",
        "            pass\n",
        f"{LOCK}::test_a_closed_current_period_is_posted_into_the_next_under_its_own_name",
    ),
    defect(
        "a late line pays for the period it stands in",
        "November's late line is taken for December's, so that December is billed too little.",
        CLOSING,
        "    others = (parse_period(text) for text in known if text not in guessed)\n",
        "    before, others = [], ()\n",
        f"{LOCK}::test_a_closed_current_period_is_posted_into_the_next_under_its_own_name",
        "tests/cycle/test_period_lock.py::test_a_late_line_does_not_pay_for_the_period_that_it_stands_in",
    ),
    defect(
        "a period that could not be read is open",
        "What waited leaves for an old period although nobody could tell whether it was invoiced meanwhile.",
        INTENTS,
        '            elif fate == "send" and not _unread(entry, views):\n',
        '            elif fate == "send":\n',
        f"{LOCK}::test_what_waits_leaves_only_when_it_can_be_told_whether_its_period_is_open",
    ),
    defect(
        "what waited for a closed period leaves as it stands",
        "An approval that was for November's days is used for days that are invoiced.",
        INTENTS,
        "            if late is not None:\n",
        "            if False:\n",
        f"{LOCK}::test_what_waits_for_a_closed_period_waits_anew_for_the_open_one",
    ),
    defect(
        "an end is said twice",
        "A channel hears in every cycle that something is over.",
        EPISODES,
        "            news.append(News(Word.OVER, episode.said, episode.since))\n",
        "            news.append(News(Word.OVER, episode.said, episode.since))\n            after[key] = episode\n",
        "tests/core/test_core_episodes.py::test_the_life_of_an_episode",
    ),
    defect(
        "what could not be judged is over",
        "A source that cannot be read ends every alert about it.",
        EPISODES,
        "        if seen.blind(episode.said):\n",
        "        if False:\n",
        "tests/core/test_core_episodes.py::test_what_could_not_be_judged_is_neither_over_nor_repeated",
    ),
    defect(
        "a restored ledger bills in arrears by itself",
        "What was billed for a month that is over, and that no list shows any more, is billed once more.",
        POLICY,
        "    if case.forgotten:\n",
        "    if False:\n",
        "tests/core/test_core_usage.py::test_a_month_that_was_over_at_a_restore_waits_for_who_looked",
    ),
    defect(
        "an approval outlives the line's owner",
        "What was approved for last month leaves although another system invoices it there by now.",
        INTENTS,
        "    if line is not None and ownership.FINDING in line.findings:\n",
        "    if False:\n",
        "tests/core/test_core_ownership.py"
        "::test_what_was_approved_for_an_earlier_month_stays_where_its_line_became_anothers",
    ),
    defect(
        "a raise explains an invoice that was made after it",
        "Books that lack a seat which was raised before their invoice are called in order until the next month.",
        "syncd/core/since_invoice.py",
        "        if settled.settled_at.astimezone(zone).date() <= day:\n            return\n",
        "",
        "tests/core/test_core_since_invoice.py::test_what_the_ledger_does_not_explain_stays_a_difference",
    ),
    defect(
        "a raise explains any number on the invoice",
        "Whatever the books show of a line that syncd once raised is called in order.",
        "syncd/core/tie_out.py",
        "        if not (by or late) or _differs(expected, there, currency):\n",
        "        if not (by or late):\n",
        "tests/core/test_core_since_invoice.py::test_what_the_ledger_does_not_explain_stays_a_difference",
    ),
    defect(
        "money that was changed is looked for in units",
        "A price that a person changes on syncd's own document is told to nobody.",
        "syncd/core/changed_amounts.py",
        "    nearest = min(possible, key=lambda one: abs(one - sent.amount))\n",
        "    nearest = sent.amount\n",
        "tests/core/test_core_changed_amounts.py::test_what_counts_as_changed",
    ),
    defect(
        "a meter's own sum is not looked at",
        "What somebody else reported to a meter, or a restored ledger forgot, is charged once more.",
        "syncd/core/resolve.py",
        "        return replace(found, own=(mine[0],))\n",
        "        return found\n",
        "tests/core/test_core_meters.py::test_what_others_report_stops_it_and_is_named",
    ),
    defect(
        "usage of an invoiced period is reported late",
        "What waited for a person until its invoice was made is charged with the next period's usage.",
        CLOSING,
        "    if over := meters.too_late(posting, intent.period, agreement):\n        return None, over\n",
        "",
        "tests/core/test_core_meters.py::test_what_waited_until_its_period_was_invoiced_stays_with_the_person",
    ),
    defect(
        "usage loses its sign",
        "What is to be taken off a meter is added to it.",
        EFFECTS,
        "        quantity=units if site.meter else abs(units), starts=first, ends=last, description=description,\n",
        "        quantity=abs(units), starts=first, ends=last, description=description,\n",
        "tests/core/test_core_meters.py::test_parts_are_reported_and_taken_off_until_the_sum_is_what_is_due",
    ),
)
