"""The keys of a `[connections.NAME]` with `kind = "http_json"`: a vendor without code (INTERFACE 3.5).

Owns the shape of the declaration and what only holds over several keys. Reads nothing and speaks to nobody; selectors
are compiled here, so that `syncd check --offline` finds a slip in one with its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

from connectors.http_json.select import Selector, compile_selector
from syncd.connect.settings import HttpSettings, Secret, SecretRef, Url

RECORDS: Final = "#records"
ID, TODAY = "{id}", "{today}"
_PLACEHOLDER = re.compile(r"\{[a-z_.]+\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Set by HTTP itself or by another key; declared here they would contradict it.
_NOT_FREE = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


def _selector(value: Any) -> Any:
    if isinstance(value, Selector):
        return value
    if not isinstance(value, str):
        raise ValueError('must be a JMESPath expression in quotes, like "account.id"')
    return compile_selector(value)


def _quantity(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("#") and value != RECORDS:
        raise ValueError(f'must be a JMESPath expression, or "{RECORDS}" for the number of records')
    return value if value == RECORDS else _selector(value)


def _words(value: Any) -> Any:
    """Text, or a reference to a secret."""
    if isinstance(value, Secret) or (isinstance(value, str) and value):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((how, where),) = value.items()
        if how in ("env", "file") and isinstance(where, str) and where:
            return Secret(env=where) if how == "env" else Secret(file=where)
    raise ValueError('must be text, { env = "NAME" } or { file = "/path" }')


def _text(value: Any) -> Any:
    return value.text if isinstance(value, Selector) else "***" if isinstance(value, Secret) else value


Select = Annotated[Selector, BeforeValidator(_selector), PlainSerializer(_text)]
Quantity = Annotated[Selector | Literal["#records"], PlainValidator(_quantity), PlainSerializer(_text)]
Words = Annotated[str | Secret, PlainValidator(_words), PlainSerializer(_text)]
Parameter = str | int | bool


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class BasicAuth(_Table):
    """HTTP Basic."""

    kind: Literal["basic"]
    username: Words = Field(description="User name or key.")
    password: SecretRef = Field(description="Password or secret.")


class BearerAuth(_Table):
    """A token that does not change."""

    kind: Literal["bearer"]
    token: SecretRef = Field(description="The token.")


class HeaderAuth(_Table):
    """A header of the vendor's own."""

    kind: Literal["header"]
    name: str = Field(description="Name of the header.")
    value: SecretRef = Field(description="Its whole value.")

    @field_validator("name")
    @classmethod
    def _usable(cls, value: str) -> str:
        return _header_name(value)


class OAuth2(_Table):
    """OAuth 2: client credentials; with `username` and `password` the password grant of older vendors; with
    `refresh_token` a token that rotates."""

    kind: Literal["oauth2"]
    token_url: Url = Field(description="Address of the token endpoint, in full.")
    client_id: Words | None = Field(None, description="The client; some vendors' other grants need none.")
    client_secret: SecretRef | None = Field(None, description="Its secret; left out for a public client.")
    scope: str = Field("", description="Scopes to ask for, separated by blanks.")
    audience: str = Field("", description="Audience to ask for, where the vendor wants one.")
    client_auth: Literal["body", "basic"] = Field("body", description="Where the client's secret goes.")
    username: Words | None = Field(None, description="User of the password grant.")
    password: SecretRef | None = Field(None, description="Password of the password grant.")
    refresh_token: SecretRef | None = Field(None, description="The first refresh token; later ones are kept by syncd.")

    @model_validator(mode="after")
    def _one_grant(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("needs both username and password, or neither")
        if self.refresh_token is not None and self.username is not None:
            raise ValueError("takes either refresh_token or username and password")
        if self.username is None and self.refresh_token is None and None in (self.client_id, self.client_secret):
            raise ValueError("needs client_id and client_secret")
        if self.client_auth == "basic" and self.client_id is None:
            raise ValueError('needs client_id where client_auth is "basic"')
        return self


def _bearer_alone(value: Any) -> Any:
    """A secret by itself is a bearer token: `auth = { env = "BACKUP_TOKEN" }`."""
    if isinstance(value, str | Secret) or (isinstance(value, dict) and set(value) in ({"env"}, {"file"})):
        return {"kind": "bearer", "token": value}
    return _known_kind(value, ("basic", "bearer", "header", "oauth2"))


def _known_kind(value: Any, kinds: tuple[str, ...]) -> Any:
    """A table as it stands, once its kind is one that there is."""
    if isinstance(value, dict) and value.get("kind") not in kinds:
        given = f'"{value["kind"]}" is no kind' if "kind" in value else "needs a kind"
        near = difflib.get_close_matches(str(value.get("kind", "")), kinds, n=1)
        raise ValueError(f'{given}. Did you mean "{near[0]}"?' if near else f"{given}; there are {', '.join(kinds)}")
    return value


Auth = Annotated[
    BasicAuth | BearerAuth | HeaderAuth | OAuth2, Field(discriminator="kind"), BeforeValidator(_bearer_alone)
]


class PagePaging(_Table):
    """Numbered pages, read until one is empty or `total` is reached."""

    kind: Literal["page"]
    param: str = Field(min_length=1, description="Parameter that takes the number of the page.")
    start: int = Field(1, ge=0, description="Number of the first page.")
    size_param: str | None = Field(None, min_length=1, description="Parameter that takes the size of a page.")
    size: int | None = Field(None, ge=1, description="The size to ask for.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        _judge_size(self)
        return self


class OffsetPaging(_Table):
    """Rows from a position on, read until a page is empty or `total` is reached."""

    kind: Literal["offset"]
    param: str = Field(min_length=1, description="Parameter that takes the position of the first row.")
    size_param: str | None = Field(None, min_length=1, description="Parameter that takes the size of a page.")
    size: int | None = Field(None, ge=1, description="The size to ask for.")

    @model_validator(mode="after")
    def _both(self) -> Self:
        _judge_size(self)
        return self


class CursorPaging(_Table):
    """Each page names the next one's cursor; none ends the list."""

    kind: Literal["cursor"]
    cursor: Select = Field(description="Where the cursor stands in the answer.")
    param: str = Field(min_length=1, description="Parameter that takes it.")


class LinkPaging(_Table):
    """A `Link` header with rel="next" (RFC 8288)."""

    kind: Literal["link"]


class NextUrlPaging(_Table):
    """Each page holds the next one's address."""

    kind: Literal["next_url"]
    next_url: Select = Field(description="Where the address stands in the answer.")


class NoPaging(_Table):
    """One answer holds everything."""

    kind: Literal["none"]


def _kind_alone(value: Any) -> Any:
    kinds = ("page", "offset", "cursor", "link", "next_url", "none")
    return _known_kind({"kind": value} if isinstance(value, str) else value, kinds)


Paging = PagePaging | OffsetPaging | CursorPaging | LinkPaging | NextUrlPaging | NoPaging
Paginate = Annotated[Paging, Field(discriminator="kind"), BeforeValidator(_kind_alone)]


class Request(_Table):
    """What is asked, always with GET."""

    path: str = Field(min_length=1, description="Path below base_url.")
    params: dict[str, Parameter] = Field({}, description="Parameters of the query.")

    @field_validator("path")
    @classmethod
    def _below(cls, value: str) -> str:
        return _path(value)


def _path_alone(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class Each(_Table):
    """The list of customers, each of which is asked by itself."""

    path: str = Field(min_length=1, description="Path of the list of customers.")
    params: dict[str, Parameter] = Field({}, description="Parameters of its query.")
    records: Select = Field(description="Where the customers stand in the answer.")
    id: Select = Field(description="A customer's id; it takes the place of {id}.")
    name: Select | None = Field(None, description="A customer's name, for people.")
    total: Select | None = Field(None, description="How many customers there are.")
    paginate: Paginate | None = Field(None, description="How this list is paged, where it is not as the records are.")

    @field_validator("path")
    @classmethod
    def _below(cls, value: str) -> str:
        return _path(value)


class HttpJsonSettings(HttpSettings):
    """`[connections.NAME]` with `kind = "http_json"`. Selectors are JMESPath; `quantity` may be "#records"."""

    base_url: Url = Field(description="Root of the vendor's API.", examples=["https://api.example-backup.com"])
    token_url: Url = Field(
        "", description="Root of another sign-in host, put in the place of auth.token_url's (a sandbox, a region)."
    )
    auth: Auth | None = Field(
        None,
        description="How to sign in: kind basic, bearer, header or oauth2. Secrets by reference.",
        examples=['{ kind = "bearer", token = { env = "BACKUP_TOKEN" } }'],
    )
    headers: dict[str, Words] = Field(
        {},
        description="Further headers of every request, such as a subscription key; a value may be a secret.",
        examples=['{ Subscription-Key = { env = "BACKUP_KEY" } }'],
    )
    request: Annotated[Request, BeforeValidator(_path_alone)] = Field(
        description="What to ask: path and params. {id} with each, {today} for the day's date.",
        examples=['{ path = "/v2/devices", params = { state = "active" } }'],
    )
    paginate: Paginate | None = Field(
        None,
        description="How the list is paged: page, offset, cursor, link, next_url or none.",
        examples=['{ kind = "cursor", cursor = "meta.next", param = "cursor" }'],
    )
    records: Select = Field(
        description='Where the records stand in the answer; "@" for a bare list.', examples=["items"]
    )
    where: Select | None = Field(
        None,
        description="Which records count: true or false for each; total counts them all.",
        examples=["state == 'active'"],
    )
    customer: Select | None = Field(
        None,
        description="A record's customer; with each it may be left out, else it is compared.",
        examples=["account.id"],
    )
    customer_name: Select | None = Field(
        None, description="The customer's name, for people.", examples=["account.name"]
    )
    sku: Select = Field(description="A record's SKU; a constant is written \"'server'\".", examples=["plan"])
    quantity: Quantity = Field(
        RECORDS, description='A record\'s quantity, or "#records": each record counts 1.', examples=[RECORDS]
    )
    subject: Select | None = Field(None, description="The user or device, for the evidence.", examples=["hostname"])
    total: Select | None = Field(
        None, description="How many records there are: proves that the read was whole.", examples=["meta.total"]
    )
    each: Each | None = Field(
        None,
        description="Ask once for each customer: the list of customers, and {id} in request.",
        examples=['{ path = "/v2/accounts", records = "items", id = "id" }'],
    )

    @field_validator("headers")
    @classmethod
    def _usable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            _header_name(name)
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """What only shows over several keys, all of it."""
        params = tuple(map(str, self.request.params.values()))
        named = any(ID in one for one in (self.request.path, *params))
        if self.each is not None and not named:
            yield "has each, but request asks nothing of a customer: write {id} in request.path"
        if self.each is None and named:
            yield "has {id} in request, but no each that says which customers there are"
        if self.each is None and self.customer is None:
            yield "needs customer: where a record names its customer"
        yield from _clashes("request", self.request.params, self.paging)
        yield from _strangers("request.path", (self.request.path,), {ID})
        yield from _strangers("request.params", params, {ID, TODAY})
        if self.each is not None:
            yield from _clashes("each", self.each.params, self.each.paginate or self.paging)
            yield from _strangers("each.path", (self.each.path,), set())
            yield from _strangers("each.params", tuple(map(str, self.each.params.values())), {TODAY})

    @property
    def paging(self) -> Paging:
        """How the list is paged; without `paginate` one answer holds everything."""
        return self.paginate or NoPaging(kind="none")

    @property
    def sign_in_url(self) -> str:
        """The token endpoint: as `auth` says, below another root where `token_url` names one."""
        if not isinstance(self.auth, OAuth2):
            return ""
        if not self.token_url:
            return self.auth.token_url
        return self.token_url + "/" + self.auth.token_url.partition("://")[2].partition("/")[2]


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError(f'"{value}" is no name of a header')
    if value.lower() in _NOT_FREE:
        raise ValueError(f'the header "{value}" belongs to HTTP itself')
    return value


def _path(value: str) -> str:
    if "://" in value or value.startswith("//"):
        raise ValueError("must be a path below base_url, like /v2/devices")
    if "?" in value or "#" in value:
        raise ValueError("must be a path alone; put parameters into params")
    return value


def _judge_size(paging: PagePaging | OffsetPaging) -> None:
    if (paging.size is None) != (paging.size_param is None):
        raise ValueError("needs both size_param and size, or neither")


def _clashes(key: str, params: Mapping[str, Parameter], paging: Paging) -> Iterator[str]:
    own = (getattr(paging, "param", None), getattr(paging, "size_param", None))
    for name in sorted(set(params).intersection(own)):
        yield f'sets the parameter "{name}" in {key}.params and by paginate; keep one'


def _strangers(key: str, texts: tuple[str, ...], known: set[str]) -> Iterator[str]:
    there = f"there is {' and '.join(sorted(known))}" if known else "nothing is filled in there"
    for one in (one for text in texts for one in _PLACEHOLDER.findall(text)):
        if one not in known:
            yield f"has {one} in {key}; {there}"


def filled(params: Mapping[str, Parameter], **places: str) -> dict[str, str]:
    """The parameters as text with `{id}` and `{today}` filled in."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}
    for place, value in places.items():
        texts = {name: text.replace(f"{{{place}}}", value) for name, text in texts.items()}
    return texts
