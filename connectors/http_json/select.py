"""JMESPath over exact numbers: one compiled selector, and what it finds.

Owns the grammar's edges that matter for money. Does not own which keys are selectors (`config`) or what their finds
mean (`read`). What always holds: a number is an int or a Decimal, never a float; a projection leaves out nothing by
itself, because a record that lacks the field would otherwise vanish from a count without a word.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

import jmespath
from jmespath import exceptions, functions, visitor

from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.money import plain

# A plain number in text: what JSON would take, no thousands, no blanks inside, no underscores.
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# Enough for the sum of more numbers than fit into an answer (15 digits before the point, 30 after it).
_DIGITS = 60


class NothingThere(ValueError):
    """A projection met a record that lacks the field it goes through."""


class _Functions(functions.Functions):
    """JMESPath's own functions with Decimals among the numbers, and none that makes a float."""

    def _get_allowed_pytypes(self, types: list[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        allowed, inner = super()._get_allowed_pytypes(types)  # type: ignore[misc]
        return (
            [*allowed, "Decimal"] if "float" in allowed else allowed,
            [(*one, "Decimal") if "float" in one else one for one in inner],
        )

    def _convert_to_jmespath_type(self, pyobject: str) -> str:
        return "number" if pyobject == "Decimal" else str(super()._convert_to_jmespath_type(pyobject))  # type: ignore[misc]

    @functions.signature({"types": []})
    def _func_to_number(self, arg: Any) -> int | Decimal | None:
        """null for what is no plain number, as the grammar says; that is then an error of the key."""
        if isinstance(arg, str):
            return Decimal(arg.strip()) if PLAIN.fullmatch(arg.strip()) else None
        return arg if isinstance(arg, int | Decimal) and not isinstance(arg, bool) else None

    @functions.signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        if isinstance(arg, str):
            return arg
        return plain(arg) if isinstance(arg, Decimal) else json.dumps(arg, separators=(",", ":"), default=str)

    @functions.signature({"types": []})
    def _func_type(self, arg: Any) -> str:
        return self._convert_to_jmespath_type(type(arg).__name__)

    @functions.signature({"types": ["array-number"]})
    def _func_avg(self, arg: list[int | Decimal]) -> Decimal | None:
        with localcontext(prec=28):
            return sum(map(Decimal, arg), Decimal(0)) / len(arg) if arg else None


class _Interpreter(visitor.TreeInterpreter):
    """JMESPath says that a projection drops what gives null; here that is an error."""

    def visit_projection(self, node: Any, value: Any) -> list[Any] | None:
        base = self.visit(node["children"][0], value)
        return self._all(node["children"][1], base) if isinstance(base, list) else None

    def visit_value_projection(self, node: Any, value: Any) -> list[Any] | None:
        base = self.visit(node["children"][0], value)
        return self._all(node["children"][1], list(base.values())) if isinstance(base, dict) else None

    def visit_filter_projection(self, node: Any, value: Any) -> list[Any] | None:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        passed = [one for one in base if self._is_true(self.visit(node["children"][2], one))]  # type: ignore[attr-defined]
        return self._all(node["children"][1], passed)

    def _all(self, node: Any, rows: list[Any]) -> list[Any]:
        found = [self.visit(node, one) for one in rows]
        if None in found:
            raise NothingThere(
                f"finds nothing in the {_nth(found.index(None) + 1)} of {len(rows)} places that it goes through"
            )
        return found


class _Whole(_Interpreter):
    """For filters: a field that is not there is an error, because null is "not equal" to everything.

    Records that a vendor renamed a field in would be left out, or let in, without a word. An explicit null is a value,
    and inside `not_null()` a field may be absent: there it is said.
    """

    def visit_field(self, node: Any, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or node["value"] not in value:
            raise NothingThere(f'finds nothing under "{node["value"]}"')
        return value[node["value"]]

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        if node["value"] == "not_null":
            return _INTERPRETER.visit(node, value)
        return super().visit_function_expression(node, value)


_INTERPRETER = _Interpreter(visitor.Options(custom_functions=_Functions()))
_WHOLE = _Whole(visitor.Options(custom_functions=_Functions()))


@dataclass(frozen=True, slots=True)
class Selector:
    """A compiled JMESPath expression. `text` is what the admin wrote."""

    text: str
    tree: Any = field(compare=False, repr=False)

    def find(self, value: Any, *, whole: bool = False) -> Any:
        """What it finds, None for nothing. Raises NothingThere, and ValueError where the value does not fit it.

        With `whole` every field that it comes to must be there, if only as null.
        """
        try:
            with localcontext(prec=_DIGITS):
                return (_WHOLE if whole else _INTERPRETER).visit(self.tree, value)
        except exceptions.JMESPathTypeError as error:  # its own message repeats the value
            wanted, given = " or ".join(error.expected_types), error.actual_type
            raise ValueError(f"does not fit the answer: {error.function_name}() takes {wanted}, not {given}") from None
        except exceptions.JMESPathError as error:
            raise ValueError(f"does not fit the answer ({type(error).__name__})") from None
        except (TypeError, ArithmeticError, RecursionError):
            raise ValueError("does not fit the answer: it compares or calculates what cannot be") from None

    @property
    def home(self) -> Selector | None:
        """What a chain of plain fields (`meta.next`) looks into (`meta`); None for anything else.

        The last field of a chain may rightly be absent; the object that it stands in may not.
        """
        *home, _ = self.tree["children"] or [None]
        if self.tree["type"] != "subexpression" or any(one["type"] != "field" for one in self.tree["children"]):
            return None
        tree = home[0] if len(home) == 1 else {**self.tree, "children": home}
        return Selector(self.text.rpartition(".")[0].strip(), tree)


def compile_selector(text: str) -> Selector:
    """Compile it. Raises ValueError with a sentence that says what is wrong and where."""
    try:
        tree = jmespath.compile(text).parsed
    except exceptions.EmptyExpressionError:
        raise ValueError("must be a JMESPath expression, not empty text") from None
    except exceptions.ParseError as error:
        place = getattr(error, "lex_position", None)
        at = f"at character {place + 1}" if isinstance(place, int) and place < len(text) else "at its end"
        at += "; leave $ out" if text.startswith("$") else ""
        raise ValueError(f'is no JMESPath expression: "{text}" cannot be read {at}') from None
    except exceptions.JMESPathError as error:
        raise ValueError(f'is no JMESPath expression: "{text}": {_first_line(error)}') from None
    for node in _nodes(tree):
        if node["type"] == "function_expression":
            _judge_call(node)
        elif node["type"] == "literal":
            node["value"] = _exact(node["value"])
    return Selector(text, tree)


def _judge_call(node: Any) -> None:
    known = _Functions.FUNCTION_TABLE
    name, given = node["value"], len(node["children"])
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        mend = f" Did you mean {near[0]}()?" if near else ""
        raise ValueError(f"is no JMESPath expression: there is no function {name}().{mend}")
    signature = known[name]["signature"]
    variadic = bool(signature and signature[-1].get("variadic"))
    if given < len(signature) if variadic else given != len(signature):
        raise ValueError(f"is no JMESPath expression: {name}() takes {len(signature)} values, not {given}")


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.get("children", []):
        if isinstance(child, dict):
            yield from _nodes(child)


def _exact(value: Any) -> Any:
    """A literal with its floats as the decimals that were written."""
    match value:
        case float():
            return Decimal(repr(value))
        case list():
            return [_exact(one) for one in value]
        case dict():
            return {name: _exact(one) for name, one in value.items()}
    return value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".:") if str(error) else type(error).__name__


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def decode(reply: Reply) -> Any:
    """The JSON body with whole numbers as int and all others as Decimal. Raises VendorError `malformed`."""
    try:
        return json.loads(reply.body, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_object)
    except _Twice:
        raise VendorError("malformed", f"{reply.where} answered an object with the same key twice") from None
    except (ValueError, ArithmeticError, RecursionError):
        reply.parse(dict)  # words a web page, an empty body and most damage
        raise VendorError("malformed", f"{reply.where} answered data that cannot be read as JSON") from None


class _Twice(Exception):
    """Two values under one key: nobody can know which one counts."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")
