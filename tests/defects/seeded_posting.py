"""Defects of the way out: sending, reading answers, looking, settling, and the names that operations have."""

from __future__ import annotations

from defect import Defect, Edit, defect

POSTING = "syncd/cycle/posting.py"
STORE = "syncd/ledger/store.py"
HTTP = "syncd/connect/http.py"
OUTCOME = "syncd/connect/outcome.py"
KEYS = "syncd/core/keys.py"
EFFECTS = "syncd/core/effects.py"
CW = "connectors/connectwise"

STEPS = "tests/ledger/test_ledger_posting.py"
TOGETHER = "tests/ledger/test_ledger_documents.py"
ONCE = "tests/connect/test_send_once.py"
CYCLES = "tests/core/test_core_cycles.py"
CW_POST = "tests/connectors/connectwise/test_cw_post.py"

_CLAIM_AND_SEND = """\
        wire, alone = first.wire, ledger.sending(document[0])
        claimed = [alone] if alone is not None else []
"""
_SEND_AND_CLAIM = """\
        wire = first.wire
        answer = one.connection.send(first.posting, wire)
        alone = ledger.sending(document[0])
        return [_outcome(ledger, one, alone, answer)] if alone is not None else []
"""
_LEAVES = "                reply = self._exchange(self._sending, request, auth or self._auth)\n"
_TWO_LOOKS = "    again = _look(one, entry)\n"
_QUIET = "    if not believed or now - doubtful_since < _delivery(one, entry).request_life:\n"
_LOST = "            return _look_once(ledger, one, _settle(ledger, claimed, EntryState.UNKNOWN, reason), reason)\n"
_KEY = '    return digest("key", installation, operation, identity, period, str(generation))\n'

POSTING_DEFECTS: tuple[Defect, ...] = (
    defect(
        "send before commit",
        "The request leaves before the ledger says so: a crash in between forgets it, and it is sent again.",
        POSTING,
        _CLAIM_AND_SEND,
        _SEND_AND_CLAIM,
        f"{STEPS}::test_a_request_leaves_after_its_sending_was_written_down",
    ),
    defect(
        "sending not committed",
        "The claim on an entry is only in memory: a crash after it leaves the entry planned, and it is sent again.",
        STORE,
        "        began = running_seconds()\n        with self._recording(_NOT_POSTED, claimed=True) as held:\n",
        "        from dataclasses import replace\n\n"
        "        return [replace(one, state=EntryState.SENDING, attempts=one.attempts + 1) for one in entries]\n"
        "        began = running_seconds()\n        with self._recording(_NOT_POSTED, claimed=True) as held:\n",
        f"{STEPS}::test_a_request_leaves_after_its_sending_was_written_down",
    ),
    defect(
        "only silence is limited",
        "A vendor that sends a byte now and then holds the cycle, and with it everybody's billing, for ever.",
        "syncd/connect/deadline.py",
        "    left = _until.get() - time.monotonic()\n",
        "    left = math.inf\n",
        "tests/connect/test_slow_vendors.py::test_a_write_that_is_answered_drop_by_drop_is_unknown_at_its_limit",
    ),
    defect(
        "retry on 502",
        "A write that a gateway gave up on is sent again, although the vendor behind it may have done it.",
        HTTP,
        _LEAVES,
        _LEAVES + "                if reply.status == 502:\n    " + _LEAVES,
        f"{ONCE}::test_a_write_is_not_repeated_on_not_now",
    ),
    defect(
        "reading's retries around a write",
        "A write whose answer was lost is repeated by the policy that is meant for reading.",
        HTTP,
        _LEAVES,
        "                def attempt() -> Reply:\n"
        "                    try:\n"
        "                        return self._exchange(self._sending, request, auth or self._auth)\n"
        "                    except httpx.TransportError as error:\n"
        "                        raise Again(_transport(error, url, self._longest)) from None\n\n"
        "                reply = reading(attempt, first_wait=self._first_wait, pause=self.gate.pause)\n",
        f"{ONCE}::test_a_write_without_a_whole_answer_is_unknown_and_leaves_once",
    ),
    defect(
        "a lost answer is not sent",
        "A connection that broke after the request is taken for one that was never made: the write is repeated.",
        HTTP,
        "            return Unknown(str(_transport(error, url, self._longest)))\n",
        "            return NotSent(str(_transport(error, url, self._longest)))\n",
        f"{ONCE}::test_a_write_without_a_whole_answer_is_unknown_and_leaves_once",
    ),
    defect(
        "a write on a kept connection",
        "Writes go over connections that may have died in the meantime, and end as unknown for no reason.",
        HTTP,
        "limits=httpx.Limits(max_keepalive_connections=0)",
        "limits=httpx.Limits()",
        f"{ONCE}::test_a_write_takes_a_connection_of_its_own",
    ),
    defect(
        "redirect followed",
        "An order to go elsewhere is obeyed: a write and its credentials reach an address that nobody configured.",
        HTTP,
        "        response = self._answer(way, request, auth or Auth())\n",
        "        response = self._answer(way, request, auth or Auth())\n"
        "        if response.status_code in (301, 302, 303, 307, 308):\n"
        "            response.read()\n"
        "            there = request.url.join(response.headers['location'])\n"
        "            request = httpx.Request(request.method, there, headers=request.headers, content=request.content)\n"
        "            response = self._answer(way, request, auth or Auth())\n",
        f"{ONCE}::test_a_redirect_is_not_followed",
    ),
    defect(
        "a link to another host is followed",
        "A page's link leads the credentials of one vendor to another host.",
        HTTP,
        '            foreign = "@" in urlsplit(url).netloc or origin(url) not in self._origins\n',
        '            foreign = "@" in urlsplit(url).netloc\n',
        "tests/contract/test_contract_reading.py::test_a_link_to_another_host_is_not_followed",
    ),
    defect(
        "429 taken as not sent",
        "A throttled write counts as surely not done, where the vendor does not say so, and is repeated.",
        OUTCOME,
        "if reply.status == 429 and throttled_is_harmless:",
        "if reply.status == 429:",
        f"{ONCE}::test_a_write_is_not_repeated_on_not_now",
        f"{CW_POST}::test_a_throttled_write_is_unknown_because_the_vendor_does_not_say_it_was_not_done",
    ),
    defect(
        "any 200 is a success",
        "A proxy's page, or an answer about another quantity, is taken for a posted change: it is never billed.",
        OUTCOME,
        "        return receipt(reply) or Unknown(",
        '        return receipt(reply) or Receipt("") or Unknown(',
        f"{ONCE}::test_a_success_that_does_not_show_what_was_asked_is_unknown",
    ),
    defect(
        "any 4xx is a refusal",
        "A proxy's 403 is taken for the vendor's word that nothing was done.",
        OUTCOME,
        "    if reply.status in _REFUSING and (refusal := refused(reply)):\n        return refusal\n",
        '    if reply.status in _REFUSING:\n        return refused(reply) or Refused("invalid", "refused")\n',
        f"{ONCE}::test_only_the_vendors_own_words_are_a_refusal",
    ),
    defect(
        "absent after one probe",
        "One look that shows nothing is enough: a request that lands a moment later is sent twice.",
        POSTING,
        _TWO_LOOKS,
        "    again = sight\n",
        f"{STEPS}::test_absent_needs_two_looks_that_agree",
    ),
    defect(
        "no quiet time",
        "What is absent at once counts as absent: a request that is still on its way is repeated, and lands twice.",
        POSTING,
        _QUIET,
        "    if not believed:\n",
        f"{STEPS}::test_absent_needs_a_quiet_time_and_then_the_same_bytes_leave",
    ),
    defect(
        "a jump of the clock is a quiet time",
        "A clock that jumped ahead ends the time in which a lost request may still land.",
        POSTING,
        _QUIET,
        _QUIET.replace("not believed or ", ""),
        f"{STEPS}::test_a_clock_that_is_doubted_proves_no_quiet_time",
    ),
    defect(
        "unknown is failed",
        "An answer that was lost counts as a refusal: the change may be there, and is planned anew on top of it.",
        POSTING,
        _LOST,
        "            return _settle(ledger, claimed, EntryState.FAILED, reason)\n",
        f"{STEPS}::test_an_outcome_that_is_not_known_is_neither_failed_nor_repeated",
    ),
    defect(
        "unknown is planned",
        "An answer that was lost counts as not sent: the change is repeated although it may be there.",
        POSTING,
        _LOST,
        "            return _settle(ledger, claimed, EntryState.PLANNED, reason)\n",
        f"{STEPS}::test_an_outcome_that_is_not_known_is_neither_failed_nor_repeated",
    ),
    defect(
        "failed is tried again",
        "What the vendor refused is sent in every cycle.",
        POSTING,
        'return _settle(ledger, claimed, EntryState.FAILED, f"{reason} ({code})")',
        'return _settle(ledger, claimed, EntryState.PLANNED, f"{reason} ({code})")',
        f"{STEPS}::test_a_refusal_is_the_end",
    ),
    defect(
        "a dead process's sending is planned",
        "What a process was sending when it died is sent again without a look.",
        POSTING,
        "        ledger.settle(entry, EntryState.UNKNOWN, note=",
        "        ledger.settle(entry, EntryState.PLANNED, note=",
        f"{STEPS}::test_what_a_dead_process_was_sending_is_not_sent_again_unseen",
    ),
    defect(
        "no read-back",
        "A success is believed without looking: a vendor that answers 200 and changes nothing is never billed.",
        POSTING,
        "            return _read_back(ledger, one, claimed, remote_id, echo)\n",
        '            return _settle(ledger, claimed, EntryState.POSTED, "", remote_id, echo)\n',
        f"{STEPS}::test_done_counts_when_the_record_shows_it",
    ),
    defect(
        "no look before sending",
        "What a person wrote between plan and posting is overwritten.",
        POSTING,
        "        overtaken = _look_before(one, entry, _look(one, entry))\n",
        "        overtaken = None\n",
        f"{STEPS}::test_what_somebody_wrote_meanwhile_is_not_overwritten",
    ),
    defect(
        "moved is absent",
        "A line that somebody else changed since it was planned is set all the same.",
        POSTING,
        '            return f"the record changed since it was planned: {what}"\n',
        "            return None\n",
        f"{STEPS}::test_what_somebody_wrote_meanwhile_is_not_overwritten",
    ),
    defect(
        "a mark that is there is made again",
        "A dated line whose first sending landed late is posted a second time.",
        POSTING,
        "        case Found():\n            return sight\n",
        "        case Found():\n            return None\n",
        f"{STEPS}::test_a_mark_that_is_there_already_is_not_made_twice",
    ),
    Defect(
        "what follows does not wait",
        "The part of a period is charged although the quantity that it belongs to was refused.",
        (
            Edit(
                POSTING,
                "        if entry.intent.follows:\n            leader = ",
                "        if False:\n            leader = ",
            ),
            Edit(
                "syncd/ledger/intents.py", '    if not kept.row["follows"]:\n        return True\n', "    return True\n"
            ),
        ),
        (f"{STEPS}::test_what_follows_leaves_only_when_its_leader_is_posted",),
    ),
    defect(
        "a document's lines are claimed one by one",
        "One line of a document was withdrawn meanwhile; it is billed with the others all the same.",
        STORE,
        "                    return []\n            fenced",
        "                    continue\n            fenced",
        f"{TOGETHER}::test_one_that_is_no_longer_planned_keeps_all_from_leaving",
    ),
    defect(
        "one refused line takes the document with it",
        "A product that the vendor does not take keeps every other line of the customer from being billed.",
        POSTING,
        "    if isinstance(answer, Refused) and len(claimed) > 1:\n",
        "    if False:\n",
        f"{TOGETHER}::test_one_line_that_is_refused_keeps_no_other_from_being_billed",
    ),
    defect(
        "the record of a document shows one line of it",
        "What is shown as sent is the entry's own request, and not the document that really left.",
        "syncd/ledger/lookup.py",
        '    if newest is None or "wire" not in newest.data:\n',
        "    if True:\n",
        f"{TOGETHER}::test_what_was_sent_stands_in_the_record_of_each",
    ),
    defect(
        "the stop flag is not looked at",
        "A daemon that is told to stop goes on posting until it is killed in the middle of one.",
        POSTING,
        "        if stop is not None and stop.is_set():\n            break\n",
        "",
        f"{STEPS}::test_between_two_postings_the_stop_flag_is_looked_at",
    ),
    defect(
        "a vendor's wait is forgotten",
        "After a 429 the next write leaves at once, and so does that of the next process.",
        HTTP,
        "        if reply.status == 429:\n            named = retry_after",
        "        if False:\n            named = retry_after",
        "tests/connect/test_throttled_writes.py::"
        "test_a_throttled_write_is_remembered_and_the_look_after_it_does_not_sleep",
    ),
    defect(
        "a rotated token is not kept",
        "A crash loses the new refresh token when the old one is void already: nobody can sign in any more.",
        "syncd/connect/rotating.py",
        "                    self._vault.keep(seed, kept)  # before it signs anything\n",
        "",
        "tests/connect/test_rotating_token.py::test_the_new_refresh_token_is_kept_before_the_access_token_signs_anything",
    ),
    defect(
        "another tenant's answer is believed",
        "One customer is billed for another one's seats.",
        "connectors/microsoft365/read.py",
        "    if tenants[0].id.lower() != customer.id.lower():\n",
        "    if False:\n",
        "tests/connectors/microsoft365/test_m365_payloads.py::test_only_the_tenant_that_was_asked_for_is_counted",
    ),
    defect(
        "time in the key",
        "Every plan names the same change anew: nothing recognises a repeat.",
        KEYS,
        _KEY,
        "    import time\n\n"
        '    return digest("key", installation, operation, identity, period, str(generation), str(time.time_ns()))\n',
        f"{CYCLES}::test_the_same_step_looked_at_twice_is_one_key",
    ),
    defect(
        "attempt number in the key",
        "A second try has another name than the first: neither side knows that they are one change.",
        EFFECTS,
        "            return waiting.key, waiting.period, generation\n        generation += 1\n",
        "            generation += history.open.attempts - 1\n        generation += 1\n",
        "tests/core/test_core_waiting.py::test_what_never_arrived_is_sent_again_under_its_key",
    ),
    defect(
        "generation left out of the key",
        "5 to 6, 6 to 5 and 5 to 6 again in one month have two keys: the third change is swallowed as a repeat.",
        KEYS,
        _KEY,
        '    return digest("key", installation, operation, identity, period)\n',
        f"{CYCLES}::test_there_and_back_and_there_again_are_three_keys",
    ),
    defect(
        "period left out of the key",
        "The same change in two months is one: the second month is never billed.",
        KEYS,
        _KEY,
        '    return digest("key", installation, operation, identity, str(generation))\n',
        f"{CYCLES}::test_another_month_is_another_key_and_another_installation_too",
    ),
    defect(
        "mark without the installation",
        "Two installations take each other's lines for their own.",
        KEYS,
        '    return f"sd-{installation.lower()[:4]}-"\n',
        '    return "sd-"\n',
        "tests/core/test_core_duplicates.py::test_the_mark_of_another_installation_is_not_ours",
    ),
    defect(
        "the first of two marks",
        "Of two records that bear one mark, one is picked, and the customer is billed for both.",
        f"{CW}/post.py",
        "        if len(standing) > 1:\n",
        "        if False:\n",
        f"{CW_POST}::test_a_mark_borne_twice_is_never_the_first_of_two",
    ),
    defect(
        "half a list is whole",
        "A list that ends early is not compared with its count: what is missing is billed as nothing, or added twice.",
        f"{CW}/paging.py",
        "        if steady and told in (None, len(rows)):\n",
        "        if steady:\n",
        "tests/connectors/connectwise/test_cw_paging.py::test_half_of_the_additions_is_not_taken_for_the_whole",
    ),
)
