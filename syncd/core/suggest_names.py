"""Names of companies and products brought to a form in which two systems' spellings can be compared.

Owns words, legal forms, domains and how alike two names are. Does not decide what belongs together (`suggest`).
What always holds: all functions are pure, and alikeness is the same in both directions.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

# Legal forms as the last words of a name, after punctuation is gone ("G.m.b.H." comes as "gmbh", "S. A." as "s a").
# What may be somebody's own name ("Group", "Partners", "Holdings") is no legal form and stays.
_LEGAL = frozenset(
    "ab ag aps as asa bv bvba co company corp corporation cv doo eg ek ev ggmbh gbr gmbh inc incorporated kft kg kgaa "
    "limited llc llp lp ltd ltda mbh nv ohg oy oyj pa pc plc pllc pte pty pvt sa sarl sas se sl sro spa srl ug".split()
)
# Letters that do not fall apart into a base letter and a mark.
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ı": "i"})
_WORD = re.compile(r"\w+")
_DOMAIN = re.compile(r"(?:https?://)?(?:www\.)?((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,})(?:[/:?].*)?")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Domains that many companies share: they tell nothing about who somebody is.
_SHARED = frozenset(
    "aol.com gmail.com gmx.de gmx.net googlemail.com hotmail.com icloud.com live.com me.com msn.com outlook.com "
    "proton.me protonmail.com web.de yahoo.com onmicrosoft.com facebook.com linkedin.com example.com".split()
)
# How catalogues shorten Microsoft's families, and words that say how something is sold and not what it is.
_SHORT = {"m365": ("microsoft", "365"), "o365": ("office", "365"), "d365": ("dynamics", "365")}
_SOLD = frozenset("csp licence licences license licenses ms nce per seat seats subscription user users".split())
# One of these in only one of two names makes them two products, however alike the rest is.
_EDITIONS = frozenset(
    "add addon annual archiving charity dod donation education eea faculty gcc gcchigh gov government monthly no "
    "nonprofit non profit staff student students teams trial unattended usgov without yearly".split()
)


@lru_cache(maxsize=65536)
def words(text: str) -> tuple[str, ...]:
    """The words of a name: without case, marks on letters and punctuation. `&` and `+` are "and"."""
    told = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(one for one in told if not unicodedata.combining(one)).translate(_LETTERS)
    bare = re.sub(r"[&+]", " and ", bare)
    # A point, or an apostrophe, inside a word joins it: "L.L.C.", "O'Neill".
    return tuple(_WORD.findall(re.sub(r"(?<=\w)[.'’](?=\w)|[._'’]", lambda m: "" if m[0] != "_" else " ", bare)))


@lru_cache(maxsize=65536)
def company_words(name: str) -> tuple[str, ...]:
    """The words of a company's name without the legal form; never none where the name has any."""
    found = list(words(name))
    if len(found) > 1 and found[0] == "the":
        found = found[1:]
    while len(found) > 1:
        if found[-1] in _LEGAL:
            found.pop()
        elif len(found) > 2 and "".join(found[-2:]) in _LEGAL and len(found[-1]) == len(found[-2]) == 1:
            found = found[:-2]  # "S. A."
        elif found[-1] == "and" or found[-2:] == ["and", "co"]:
            found.pop()  # "& Co. KG"
        else:
            break
    return tuple(found)


@lru_cache(maxsize=65536)
def product_words(name: str) -> tuple[str, ...]:
    """The words of a product's name, families written out, without the words of how it is sold."""
    found: list[str] = []
    for word in words(name):
        found += _SHORT.get(word, (word,))
    return tuple(word for word in found if word not in _SOLD) or tuple(found)


def joined(text: str) -> str:
    """A name or key as one run of letters and figures, to compare "M365-BP" with "m365 bp"."""
    return "".join(words(text)).replace("_", "")


def domain(text: str) -> str:
    """The domain that a key or a web address is, in lower case; "" where it is none, or one that many share."""
    found = _DOMAIN.fullmatch(text.strip().casefold())
    return found[1] if found and found[1] not in _SHARED else ""


def is_shared(text: str) -> bool:
    """Whether this is the domain of a mail or web house that many companies use."""
    found = _DOMAIN.fullmatch(text.strip().casefold())
    return found is not None and found[1] in _SHARED


def domain_label(text: str) -> str:
    """What a company chose in its domain: "contoso" of contoso.onmicrosoft.com and of contoso.co.uk; "" for none."""
    name = domain(text)
    if not name:
        return ""
    if name.endswith(".onmicrosoft.com"):
        return joined(name.split(".")[-3])
    parts = name.split(".")
    second = len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in ("ac", "co", "com", "edu", "gov", "net", "org")
    return joined(parts[-3] if second else parts[-2])


def is_guid(text: str) -> bool:
    """Whether a key is unique by itself, in whatever system it stands."""
    return _GUID.fullmatch(text.strip().casefold()) is not None


def alikeness(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How alike two names are, 0 to 100, whatever the order of their words.

    Names that differ in a number are not alike at all: "Office 365 E3" is no misspelt "Office 365 E5".
    """
    if figures(one) != figures(other) or not one or not other:
        return 0
    return round(fuzz.ratio(" ".join(sorted(one)), " ".join(sorted(other))))


def figures(found: tuple[str, ...]) -> tuple[str, ...]:
    """The words that hold a figure, sorted."""
    return tuple(sorted(word for word in found if any(letter.isdigit() for letter in word)))


def same_edition(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two product names speak of the same edition (for schools, without Teams, yearly…)."""
    return _EDITIONS.intersection(one) == _EDITIONS.intersection(other)
