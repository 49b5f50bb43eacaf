"""From what pydantic and tomllib say to one line for a person: file, table, key, the mistake, the nearest known key.

What always holds: no value of a file is repeated in a fault that comes from a wrong type, because it may be a secret
in the wrong place; the place says where to look.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from syncd.config.values import Wanted, example_text, key_text
from syncd.errors import Fault

M = TypeVar("M", bound=BaseModel)
_LISTED = 12  # more names than this are no help in one line


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, "" where none is near. Case, `-` and `_` make no difference."""
    folded = {_fold(name): name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(_fold(word), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_")


def did_you_mean(word: str, known: Iterable[str], *, form: str = '"{}"', listed: bool = True) -> str:
    """`Did you mean "client_id"?`, else what is known, else "" where that would be too long or nothing is."""
    known = list(known)
    if near := nearest(word, known):
        return f"Did you mean {form.format(near)}?"
    if listed and 0 < len(known) <= _LISTED:
        return f"Known: {', '.join(form.format(name) for name in known)}."
    return ""


def read_toml(path: Path, shown: str) -> tuple[dict[str, Any] | None, list[Fault]]:
    """The file's tables, numbers as Decimal; or None and the fault that keeps it from being read."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        return None, [Fault(shown, f"cannot be read ({error.strerror}).")]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return None, [Fault(f"{shown} › line {line}", "is not UTF-8.", "Save the file as UTF-8.")]
    try:
        return tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal), []
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax(shown, str(error), text)]
    except (RecursionError, InvalidOperation, ValueError):
        return None, [Fault(shown, "is not valid TOML: nested too deeply, or a number that is none.")]


def _syntax(shown: str, message: str, text: str) -> Fault:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return Fault(shown, f"is not valid TOML: {message}.")
    words = match[1][:1].lower() + match[1][1:]
    line = match[2] or str(len(text.splitlines()) or 1)
    where = f"column {match[3]}" if match[3] else "end of the file"
    return Fault(f"{shown} › line {line}", f"is not valid TOML: {words} ({where}).")


def shape(model: type[M], raw: object, place: str, joint: str = " › ") -> tuple[M | None, list[Fault]]:
    """The validated table; or None and a fault for everything that is wrong with it.

    `place` names the table; its keys are added after `joint`.
    """
    if not isinstance(raw, dict):
        return None, [Fault(place, f"must be a table, not {_kind(raw)}.")]
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        return None, _told(error, model, raw, place, joint)


def salvage(model: type[M], raw: object, fill: Mapping[str, Any]) -> tuple[M | None, frozenset[str]]:
    """What is valid of a faulty table, so that the rest of it is judged in the same go; and the keys that lost
    something. `fill` stands in for required keys. None where nothing can be made of it.
    """
    kept = deepcopy(raw) if isinstance(raw, dict) else {}
    lost: set[str] = set()
    for _ in range(3):  # the exact keys, then whole tables, then what only shows without those
        try:
            return model.model_validate({**fill, **kept}), frozenset(lost)
        except ValidationError as error:
            for one in reversed(error.errors(include_url=False)):
                lost.add(str(one["loc"][0]) if one["loc"] else "")
                if one["loc"] and not _cut(kept, one["loc"]):
                    kept.pop(str(one["loc"][0]), None)
    return None, frozenset(lost)


def _cut(raw: Any, loc: Sequence[int | str]) -> bool:
    """Take out what stands at an error's place; False where nothing stands exactly there."""
    for step in loc[:-1]:
        match raw, step:
            case dict(), _ if step in raw:
                raw = raw[step]
            case list(), int() if step < len(raw):
                raw = raw[step]
            case dict(), int():  # a single table where a list of them is declared
                continue
            case _:
                return False
    if isinstance(raw, dict) and loc[-1] in raw:
        del raw[loc[-1]]
        return True
    return False


def _told(error: ValidationError, model: type[BaseModel], raw: dict[str, Any], place: str, joint: str) -> list[Fault]:
    """One fault for each error. A key that is missing because it was misspelt is told once, as misspelt."""
    faults: list[Fault] = []
    meant: set[tuple[int | str, ...]] = set()
    details = error.errors(include_url=False)
    for one in details:
        if one["type"] == "extra_forbidden":
            owner, _ = _declared(model, one["loc"])
            near = nearest(str(one["loc"][-1]), _free_names(owner, _at(raw, one["loc"][:-1])))
            if near:
                meant.add((*one["loc"][:-1], near))
    for one in details:
        if one["type"] == "missing" and one["loc"] in meant:
            continue
        owner, field = _declared(model, one["loc"])
        keys = _written(one["loc"], raw)
        where = f"{place}{joint}{keys}" if keys else place
        if one["type"] == "extra_forbidden":
            key = str(one["loc"][-1])
            near = nearest(key, _free_names(owner, _at(raw, one["loc"][:-1])))
            mend = f'Did you mean "{near}"?' if near else did_you_mean(key, _names(owner))
            faults.append(Fault(where, "unknown key.", mend))
        else:
            faults.append(_fault(where, one["type"], one.get("ctx", {}), one["msg"], one["loc"], field))
    return faults


def _fault(
    where: str, kind: str, context: Mapping[str, Any], message: str, loc: Sequence[int | str], field: FieldInfo | None
) -> Fault:
    example = field.examples[0] if field is not None and field.examples else None
    name = next((str(key) for key in reversed(loc) if isinstance(key, str)), "")
    shown = f"{key_text(name)} = {example_text(example)}" if example is not None else ""
    if kind == "missing":
        return Fault(where, "is missing.", f"Write it like {shown}." if shown else "")
    if kind in ("value_error", "assertion_error"):
        problem = context.get("error")
        words = str(problem)
        return Fault(where, _wanted(words, shown) if isinstance(problem, Wanted) else _sentence(words))
    words = _WORDS.get(kind, "")
    if words:
        return Fault(where, _wanted(words, shown))
    if kind == "literal_error":
        return Fault(where, f"must be {str(context['expected']).replace(chr(39), chr(34))}.")
    for bound, sign in _BOUNDS.items():
        if bound in context and kind == sign[0]:
            # pydantic gives the bound of a Decimal as its repr
            edge = re.sub(r"Decimal\('(.+)'\)", r"\1", str(context[bound]))
            return Fault(where, f"must be {sign[1]} {edge}.")
    return Fault(where, _sentence(message[:1].lower() + message[1:]))


def _wanted(words: str, shown: str) -> str:
    return f"{words}, like {shown}." if shown else f"{words}."


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words}."


_WORDS = {
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "decimal_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "too_short": "must not be empty",
}
_BOUNDS = {
    "ge": ("greater_than_equal", "at least"),
    "gt": ("greater_than", "more than"),
    "le": ("less_than_equal", "at most"),
    "lt": ("less_than", "less than"),
}


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def _names(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _free_names(model: type[BaseModel] | None, raw: object) -> list[str]:
    """Keys that the table could still take: what was meant is probably not already there."""
    taken = raw if isinstance(raw, dict) else {}
    return [name for name in _names(model) if name not in taken]


def _declared(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model that owns the last key of an error's place, and the key's declaration."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    inner: list[type[BaseModel]] = [model]
    for step in loc:
        if not isinstance(step, str):
            continue
        for candidate in inner:
            found = next((one for name, one in candidate.model_fields.items() if step in (one.alias, name)), None)
            if found is not None:
                owner, field, inner = candidate, found, _models(found.annotation)
                break
        else:
            owner, field = (inner[0] if len(inner) == 1 else None), None
    return owner, field


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _at(raw: object, loc: Sequence[int | str]) -> object:
    """What stands in the file at an error's place; steps that only name a type are skipped."""
    for step in loc:
        match raw, step:
            case dict(), _ if step in raw:
                raw = raw[step]
            case list(), int() if step < len(raw):
                raw = raw[step]
    return raw


def _written(loc: Sequence[int | str], raw: object) -> str:
    """An error's place as a person reads it: `count.from`, `count[2].from` (the second, counted from 1)."""
    text = ""
    for position, step in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(step, int):
            if isinstance(raw, list):
                text += f"[{step + 1}]"
                raw = raw[step] if step < len(raw) else None
            continue
        if isinstance(raw, dict) and (step in raw or last):
            text += ("." if text else "") + key_text(step)
            raw = raw.get(step)
    return text
