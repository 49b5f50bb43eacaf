"""Proposes customers: companies of a billing system, with who they may be in every other system.

Evidence, the surest first: an id that one system keeps of the other (tenant map, external id), the same key, the same
domain, the same name, the same name but for the legal form, a domain that says the name, names that are alike. Only
companies that somebody bills are proposed, and customers that a person mapped before are only extended. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rapidfuzz import fuzz, process

from syncd.core import suggest_names as names
from syncd.core.globs import covers
from syncd.core.resolve import Directory, Resolution
from syncd.core.rules import Customer, Ignore, Mappings, RemoteKey
from syncd.core.suggest import (
    AGREES,
    ALIKE,
    MOST_FOR_ALIKE,
    SAME_BUT_FORM,
    SAME_DOMAIN,
    SAME_ID,
    SAME_KEY,
    SAME_LABEL,
    SAME_NAME,
    Open,
    Pair,
    Suggestion,
    pick,
    told,
)
from syncd.model import Moment, RemoteCustomer

Listed = Mapping[str, Sequence[RemoteCustomer] | None]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Somebody who is billed: a company of a billing system, or a customer that a person mapped.

    `faces`: how systems know it. `mapped`: the mapped customer's name. `taken`: systems in which it has a key.
    """

    id: str
    name: str
    faces: tuple[tuple[str, RemoteCustomer], ...]
    mapped: str = ""
    taken: frozenset[str] = frozenset()


@dataclass
class _Draft:
    """What was found for one anchor: (connection, stranger, score, reason)."""

    anchor: Anchor
    found: list[tuple[str, RemoteCustomer, int, str]] = field(default_factory=list)


def suggest_customers(
    mappings: Mappings, listed: Listed, resolution: Resolution, billing: Iterable[str], moment: Moment
) -> tuple[tuple[Suggestion, ...], tuple[Open, ...]]:
    """(proposals, what stays open and why). `billing`: the connections whose companies are billed there."""
    owned = {(connection, one.id) for (_, connection), keys in resolution.items() for one in keys if one.id}
    ignores = [one for one in mappings.ignores if one.until is None or one.until >= moment.today]
    strangers = {
        connection: sorted(
            (
                one
                for one in found
                if one.active and (connection, one.id) not in owned and not _ignored(ignores, connection, one)
            ),
            key=lambda one: one.id,
        )
        for connection, found in listed.items()
        if found is not None
    }
    anchors = _mapped(mappings, listed, resolution)
    drafts = {one.id: _Draft(one) for one in anchors}
    left: list[Open] = []
    psas = sorted(set(billing) & strangers.keys())
    for connection in (*psas, *sorted(strangers.keys() - set(psas))):
        matched, open_ = _match(connection, strangers[connection], [one.anchor for one in drafts.values()])
        for pair in matched:
            drafts[pair.right.id].found.append((connection, pair.left, pair.score, pair.reason))
        if connection in psas:
            # A company that is nobody's second face is somebody who is billed.
            gone = {pair.left.id for pair in matched}
            doubted = {one.id for one in open_ if one.near}
            for one in strangers[connection]:
                if one.id not in gone | doubted:
                    id_ = f"{connection}:{one.id}"
                    drafts[id_] = _Draft(Anchor(id_, one.name, ((connection, one),), "", frozenset({connection})))
            left += [one for one in open_ if one.near]
        else:
            left += open_
        # What was matched is a face and a key of its anchor for the systems that follow.
        for pair in matched:
            draft = drafts[pair.right.id]
            faces = (*draft.anchor.faces, (connection, pair.left)) if connection in psas else draft.anchor.faces
            draft.anchor = replace(draft.anchor, faces=faces, taken=draft.anchor.taken | {connection})
    directories = {connection: Directory(found) for connection, found in listed.items() if found is not None}
    used = {one.name for one in mappings.customers}
    made = []
    for draft in sorted(drafts.values(), key=lambda one: one.anchor.id):
        if draft.found:
            made.append(_suggestion(draft, directories, used))
            used.add(made[-1].name)
        elif not draft.anchor.mapped:
            connection, one = draft.anchor.faces[0]
            left.append(Open("customer", connection, one.id, one.name, "nobody in another system is surely the same"))
    return tuple(made), tuple(sorted(left))


def provisional(mappings: Mappings, found: Iterable[Suggestion]) -> Mappings:
    """The mappings as they would be if every proposed customer were accepted: to look at what they have, in memory
    only. A customer is named by its ids here."""
    customers = {one.name: one for one in mappings.customers}
    for suggestion in found:
        if suggestion.kind == "customer":
            keys: dict[str, tuple[RemoteKey, ...]] = defaultdict(tuple)
            for connection, id_ in suggestion.ids:
                keys[connection] += (RemoteKey(id_),)
            if suggestion.extends:
                before = customers[suggestion.extends]
                customers[before.name] = replace(before, keys={**before.keys, **keys})
            else:
                customers[suggestion.name] = Customer(suggestion.name, dict(keys))
    return replace(mappings, customers=tuple(customers.values()))


def _ignored(ignores: Iterable[Ignore], connection: str, one: RemoteCustomer) -> bool:
    """Whether an `[[ignore]]` covers this customer altogether."""
    return any(
        covers(pattern, name)
        for ignore in ignores
        if ignore.connection == connection and not ignore.skus
        for pattern in ignore.customers
        for name in (one.name, one.id, *one.identifiers)
    )


def _mapped(mappings: Mappings, listed: Listed, resolution: Resolution) -> list[Anchor]:
    known = {(connection, one.id): one for connection, found in listed.items() for one in found or ()}
    anchors = []
    for customer in mappings.customers:
        faces = tuple(
            (connection, known[connection, one.id])
            for connection in customer.keys
            for one in resolution.get((customer.name, connection), ())
            if (connection, one.id) in known
        )
        if any(key.where for keys in customer.keys.values() for key in keys):
            continue  # a part of a tenant: whoever else shares it cannot be told from here
        anchors.append(Anchor(f"mapped:{customer.name}", customer.name, faces, customer.name, frozenset(customer.keys)))
    return sorted(anchors, key=lambda one: one.id)


def _match(
    connection: str, strangers: Sequence[RemoteCustomer], anchors: Sequence[Anchor]
) -> tuple[list[Pair[RemoteCustomer, Anchor]], list[Open]]:
    """(strangers with the one anchor that each may be, the others with the reason)."""
    pairs = list(_pairs(strangers, anchors))
    chosen, doubtful = pick(pairs)
    matched, left = [], []
    for pair in chosen:
        if connection in pair.right.taken:
            reason = f"{pair.reason} as of {pair.right.name!r}, which has a customer of {connection} already"
            left.append(Open("customer", connection, pair.left.id, pair.left.name, reason, near=True))
        else:
            matched.append(pair)
    for stranger, near in doubtful.items():
        left.append(Open("customer", connection, stranger.id, stranger.name, _doubt(stranger, near), near=True))
    seen = {pair.left.id for pair in pairs}
    left += [
        Open("customer", connection, one.id, one.name, "resembles nobody who is billed")
        for one in strangers
        if one.id not in seen
    ]
    return matched, left


def _doubt(stranger: RemoteCustomer, near: Sequence[Pair[RemoteCustomer, Anchor]]) -> str:
    mine = {pair.right.id: f"{pair.right.name!r} ({pair.score})" for pair in near if pair.left == stranger}
    if len(mine) > 1:
        return f"could be {' or '.join(mine[id_] for id_ in sorted(mine))}"
    others = {pair.left.id: f"{pair.left.name!r}" for pair in near if pair.left != stranger}
    return f"could be {told(mine.values())}, and so could {told(others.values())}"


def _pairs(strangers: Sequence[RemoteCustomer], anchors: Sequence[Anchor]) -> Iterator[Pair[RemoteCustomer, Anchor]]:
    """Every pair that resembles each other at all, with its best evidence."""
    index: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    by_id = {anchor.id: anchor for anchor in anchors}
    for anchor in anchors:
        for connection, face in anchor.faces:
            for trait, text in _traits(face):
                index[trait, text].setdefault(anchor.id, connection)
        for trait, text in _of_name(anchor.name):
            index[trait, text].setdefault(anchor.id, "the mappings")
    found: dict[tuple[str, str], tuple[int, str]] = {}
    by_stranger = {one.id: one for one in strangers}
    for stranger in strangers:
        for id_, score, reason in _evidence(stranger, index):
            known = found.get((stranger.id, id_), (0, ""))
            found[stranger.id, id_] = max(known, (score, reason), key=lambda one: (one[0], one[1]))
    strong = {id_ for id_, _ in found}
    for stranger_id, id_, score, reason in _alike([one for one in strangers if one.id not in strong], anchors):
        found[stranger_id, id_] = (score, reason)
    for (stranger_id, id_), (score, reason) in found.items():
        yield Pair(by_stranger[stranger_id], by_id[id_], score, reason)


def _of_name(name: str) -> Iterator[tuple[str, str]]:
    yield "name", " ".join(names.words(name))
    yield "bare name", " ".join(names.company_words(name))
    yield "run", "".join(names.company_words(name))


def _traits(one: RemoteCustomer) -> Iterator[tuple[str, str]]:
    """All by which somebody may be known again: (kind of trait, text)."""
    yield "id", one.id.casefold()
    if names.is_guid(one.id):
        yield "guid", one.id.strip().casefold()
    for key in (*one.identifiers, *one.links):
        if names.is_guid(key):
            yield "guid", key.strip().casefold()
        elif site := names.domain(key):
            yield "domain", site
            yield "label", names.domain_label(key)
        elif not names.is_shared(key):
            yield "key", key.strip().casefold()
            yield "run", names.joined(key)
    yield from _of_name(one.name)


def _evidence(
    stranger: RemoteCustomer, index: Mapping[tuple[str, str], Mapping[str, str]]
) -> Iterator[tuple[str, int, str]]:
    """(anchor, score, reason) for every trait that an anchor shares."""
    mine = dict.fromkeys(_traits(stranger))
    agreeing = {id_ for trait, text in mine if trait == "bare name" and text for id_ in index.get((trait, text), ())}
    for trait, text in mine:
        if not text:
            continue
        for partner, worth, what in _LOOKS.get(trait, ()):
            for id_, where in index.get((partner, text), {}).items():
                score = worth
                if worth > SAME_NAME and id_ in agreeing:
                    score = min(worth + AGREES, SAME_ID)
                elif text.isdigit():
                    score = SAME_LABEL  # a plain number alone may be anybody's
                yield id_, score, what.format(text=text, where=where)


# The stranger's trait -> the traits of an anchor that may equal it, what that is worth, and how it is said.
_LOOKS: Mapping[str, tuple[tuple[str, int, str], ...]] = {
    "guid": (("guid", SAME_ID, "{where} keeps the same id {text}"),),
    "id": (("key", SAME_KEY, "{where} keeps its id {text}"),),
    "key": (
        ("id", SAME_KEY, "it keeps the id {text} of {where}"),
        ("key", SAME_KEY, "{where} has the same key {text}"),
    ),
    "domain": (("domain", SAME_DOMAIN, "{where} has the same domain {text}"),),
    "name": (("name", SAME_NAME, "{where} has the same name"),),
    "bare name": (("bare name", SAME_BUT_FORM, "{where} has the same name but for the legal form"),),
    "label": (
        ("label", SAME_LABEL, "{where} has a domain of the same name {text}"),
        ("run", SAME_LABEL, "its domain says the name or key {text} of {where}"),
    ),
    "run": (
        ("run", SAME_LABEL, "{where} has a name or key that reads the same, {text}"),
        ("label", SAME_LABEL, "it is called like the domain {text} of {where}"),
    ),
}


def _alike(strangers: Sequence[RemoteCustomer], anchors: Sequence[Anchor]) -> Iterator[tuple[str, str, int, str]]:
    """(stranger, anchor, score, reason) for names that are alike."""
    spellings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for anchor in anchors:
        for name in {anchor.name, *(face.name for _, face in anchor.faces)}:
            spellings[names.company_words(name)].add(anchor.id)
    by_figures: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = defaultdict(dict)
    for spelling in spellings:
        if spelling:
            by_figures[names.figures(spelling)][" ".join(sorted(spelling))] = spelling
    ids: dict[str, set[str]] = defaultdict(set)
    for spelling, some in spellings.items():
        ids[" ".join(sorted(spelling))] |= some
    for stranger in strangers:
        mine = names.company_words(stranger.name)
        choices = by_figures.get(names.figures(mine))
        if not mine or not choices:
            continue
        for text, _, _ in process.extract_iter(
            " ".join(sorted(mine)), choices.keys(), scorer=fuzz.ratio, processor=None, score_cutoff=ALIKE
        ):
            alike = names.alikeness(mine, choices[text])
            for id_ in ids[text]:
                score = alike * MOST_FOR_ALIKE // 100
                yield stranger.id, id_, score, f'its name is alike to "{" ".join(choices[text])}" ({alike} of 100)'


def _suggestion(draft: _Draft, directories: Mapping[str, Directory], used: set[str]) -> Suggestion:
    anchor = draft.anchor
    found = sorted(draft.found, key=lambda one: one[0])
    mine = () if anchor.mapped else ((anchor.faces[0][0], anchor.faces[0][1]),)
    everybody = (*mine, *((connection, one) for connection, one, _, _ in found))
    block = {connection: _value(one, directories[connection]) for connection, one in everybody}
    reason = "; ".join(f"{connection} {one.name!r}: {why} ({score})" for connection, one, score, why in found)
    name = anchor.name
    if not anchor.mapped:
        if name in used:
            name = f"{anchor.name} ({anchor.id.replace(':', ' ')})"
        block = {"name": name, **block}
    return Suggestion(
        "customer",
        name,
        min(score for _, _, score, _ in found),
        reason,
        block,
        tuple((connection, one.id) for connection, one in everybody),
        anchor.mapped,
    )


def _value(one: RemoteCustomer, directory: Directory) -> str:
    """How a mapping names this customer: by a key for people that finds this one alone, else by its id."""
    return next((key for key in one.identifiers if key and directory.find(key) == (one.id,)), one.id)
