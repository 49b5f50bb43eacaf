"""A declaration as config.toml has it: what is right loads, and every slip is told at once with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.config.load import load
from syncd.connect.registry import Kinds
from syncd.errors import UserFault

HEAD = (
    '[syncd]\ntimezone = "UTC"\n[connections.backup]\nkind = "http_json"\nbase_url = "https://api.example-backup.com"\n'
)
PLACE = "config.toml › [connections.backup]"
PROMISED = """
auth = { kind = "bearer", token = { env = "BACKUP_TOKEN" } }     # basic | bearer | header | oauth2
request  = { path = "/v2/devices", params = { state = "active" } }
paginate = { kind = "cursor", cursor = "meta.next", param = "cursor" }   # page | offset | cursor | link…
records  = "items"               # JMESPath
customer = "account.id"
sku      = "plan"
quantity = "#records"            # a path, or "#records" for the number of records
subject  = "hostname"            # for the evidence
total    = "meta.total"          # optional: proves that the read was whole
"""
LEAST = 'request = "/v2/devices"\nrecords = "@"\ncustomer = "account"\nsku = "plan"\n'


def faults(folder: Path, text: str, head: str = HEAD) -> list[str]:
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings" / "a.toml").write_text('[[customer]]\nname = "A"\nbackup = "a"\n')
    (folder / "config.toml").write_text(head + text)
    try:
        load(folder / "config.toml", Kinds(), {"BACKUP_TOKEN": "t"}, secrets=False)
    except UserFault as found:
        return [str(one) for one in found.faults]
    return []


@pytest.mark.parametrize(
    "text",
    [
        PROMISED,
        LEAST,
        LEAST + 'auth = { env = "BACKUP_TOKEN" }\npaginate = "link"',
        LEAST + 'auth = { kind = "basic", username = "u", password = { env = "BACKUP_TOKEN" } }',
        LEAST + 'auth = { kind = "header", name = "X-Api-Key", value = { env = "BACKUP_TOKEN" } }',
        LEAST + 'auth = { kind = "oauth2", token_url = "https://login.example/t", client_id = "c",'
        ' client_secret = { env = "BACKUP_TOKEN" }, scope = "read" }',
        LEAST + 'paginate = { kind = "page", param = "page", start = 0, size_param = "per_page", size = 100 }',
        LEAST + 'paginate = { kind = "offset", param = "offset", size_param = "limit", size = 100 }',
        LEAST + 'paginate = { kind = "next_url", next_url = "links.next" }',
        LEAST.replace("/v2/devices", "/v2/accounts/{id}/devices")
        + 'each = { path = "/v2/accounts", records = "items", id = "id" }',
    ],
)
def test_what_the_interface_promises_loads(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LEAST.replace('"@"', '"items[?"'), 'records: is no JMESPath expression: "items[?" cannot be read at its end.'),
        (LEAST + 'total = "lenght(x)"', "total: is no JMESPath expression: there is no function lenght(). Did you mean"
         " length()?"),
        (LEAST + 'quantity = "#rows"', 'quantity: must be a JMESPath expression, or "#records" for the number of'
         " records."),
        (LEAST + 'paginate = { kind = "cursr" }', 'paginate: "cursr" is no kind. Did you mean "cursor"?'),
        (LEAST + "paginate = {}", "paginate: needs a kind; there are page, offset, cursor, link, next_url, none."),
        (LEAST + 'auth = { kind = "bearr" }', 'auth: "bearr" is no kind. Did you mean "bearer"?'),
        (LEAST + 'paginate = { kind = "cursor", cursor = "a.", param = "c" }', "paginate.cursor: is no JMESPath"
         ' expression: "a." cannot be read at its end.'),
        (LEAST + 'paginate = { kind = "page", param = "p", size = 5 }', "paginate.page: needs both size_param and size,"
         " or neither."),
        (LEAST + 'subjct = "hostname"', 'subjct: unknown key. Did you mean "subject"?'),
        (LEAST + 'headers = { "bad name" = "x" }', 'headers: "bad name" is no name of a header.'),
        (LEAST + 'headers = { Host = "x" }', 'headers: the header "Host" belongs to HTTP itself.'),
        (LEAST + "headers = { a = 1 }", 'headers.a: must be text, { env = "NAME" } or { file = "/path" }.'),
        (LEAST.replace("/v2/devices", "https://other.example/x"), "request: must be a path below base_url, like"
         " /v2/devices."),
        (LEAST.replace("/v2/devices", "/v2/devices?x=1"), "request: must be a path alone; put parameters into"
         " params."),
        (LEAST + 'auth = { kind = "oauth2", token_url = "http://login.example", client_id = "c", client_secret = "s"}',
         "auth.token_url: must begin with https:// (plain http:// is accepted for loopback hosts only)."),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text) == [f"{PLACE} › {told}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LEAST.replace('customer = "account"\n', ""), "needs customer: where a record names its customer."),
        (LEAST.replace("/v2/devices", "/v2/{id}"), "has {id} in request, but no each that says which customers there"
         " are."),
        (LEAST + 'each = { path = "/a", records = "@", id = "id" }', "has each, but request asks nothing of a customer:"
         " write {id} in request.path."),
        (LEAST.replace('"/v2/devices"', '{ path = "/v2/{period}", params = { page = 1, day = "{month}" } }')
         + 'paginate = { kind = "page", param = "page" }',
         'sets the parameter "page" in request.params and by paginate; keep one; has {period} in request.path; there is'
         " {id}; has {month} in request.params; there is {id} and {today}."),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_told_at_once(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text) == [f"{PLACE}: {told}"]


def test_all_slips_are_told_at_once(tmp_path: Path) -> None:
    text = 'request = { pth = "/x" }\nrecords = "["\ncustomer = ""\nsku = 3\nauth = { kind = "basic", username = "u" }'
    assert len(faults(tmp_path, text)) == 5


def test_base_url_is_required(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, LEAST, HEAD.replace('base_url = "https://api.example-backup.com"\n', ""))
    assert fault == f'{PLACE} › base_url: is missing. Write it like base_url = "https://api.example-backup.com".'


def test_no_fault_repeats_a_secret(tmp_path: Path) -> None:
    told = faults(tmp_path, LEAST + 'auth = { kind = "bearer", tokn = "hunter2" }\nheaders = { k = ["hunter2"] }')
    assert told
    assert "hunter2" not in " ".join(told)
