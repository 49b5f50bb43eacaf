"""Signing in: secret and certificate, every refusal that Microsoft distinguishes, settings, least privilege."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from connector_kit import MOMENT
from m365_kit import Bench
from pydantic import ValidationError

from connectors.microsoft365.config import Microsoft365Settings
from connectors.microsoft365.permissions import advice
from connectors.microsoft365.tokens import assertion, claimed_roles, pem_text, token_error
from syncd.connect.contract import Ask
from syncd.connect.http import Reply
from syncd.connect.settings import Secret
from syncd.errors import UserFault, VendorError
from syncd.model import Query, State

KEYS = {"kind": "microsoft365", "tenant_id": "t", "client_id": "c"}


@pytest.fixture(scope="session")
def pems() -> tuple[str, str, str]:
    """(key and certificate, the certificate alone, another key with its certificate)"""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    def make() -> tuple[str, str]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncd")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        return (private + public).decode(), public.decode()

    ours, public = make()
    return ours, public, make()[0]


def test_sign_in_says_who_answered(bench: Bench) -> None:
    answer = bench.connection.sign_in()
    assert answer.identity == f"Microsoft Graph v1.0, Acme MSP ({bench.world.partner_tenant})"
    assert answer.warnings == ()


def test_the_partner_tenant_may_be_named_by_its_domain(bench: Bench) -> None:
    assert "Acme MSP" in bench.connect(tenant_id="Partner.Example").sign_in().identity


def test_an_answer_from_another_tenant_is_refused(bench: Bench) -> None:
    bench.sandbox.tenants[bench.world.partner_tenant].faults["wrong_tenant"] = -1
    with pytest.raises(VendorError, match="answered by") as refused:
        bench.connection.sign_in()
    assert refused.value.code == "wrong_tenant"


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ({"client_secret": "wrong"}, "unauthorized", "AADSTS7000215"),
        ({"client_id": "another"}, "consent", "AADSTS700016"),
        ({"tenant_id": "00000000-0000-4000-8000-000000000000"}, "not_found", "never read as zero"),
    ],
)
def test_wrong_credentials_are_told_in_words(bench: Bench, keys: dict[str, str], code: str, words: str) -> None:
    with pytest.raises(VendorError) as refused:
        bench.connect(**keys).sign_in()
    assert refused.value.code == code
    assert words in str(refused.value)
    assert "sandbox-secret" not in str(refused.value)
    assert len(bench.paths("/token")) == 1


def test_an_expired_token_is_renewed_once(bench: Bench) -> None:
    connection = bench.connect()
    ask = [Ask(bench.customer(), (Query("consumed"),))]
    assert [one.state for one in connection.counts(ask, MOMENT)] == ["known"]
    bench.sandbox.double.advance(4000)
    assert [one.state for one in connection.counts(ask, MOMENT)] == ["known"]
    assert len(bench.paths("/token")) == 2


def test_a_sign_in_host_that_is_away_for_a_moment_is_asked_again(bench: Bench) -> None:
    bench.tenant().faults["sign_in_unavailable"] = 2
    assert bench.quantity("consumed") == "27"
    bench.tenant().faults["sign_in_unavailable"] = 9
    assert bench.one("consumed", client_id="sandbox-client").code == "unavailable"
    assert bench.tenant().faults["sign_in_unavailable"] == 6


def test_a_certificate_signs_in(make_bench: Callable[..., Bench], pems: tuple[str, str, str]) -> None:
    ours, public, other = pems
    bench = make_bench(certificate=public)
    (bench.folder / "app.pem").write_text(ours)
    for certificate in (ours, "app.pem", Secret(file="app.pem"), ours.replace("\n", "\\n")):
        connection = bench.connect(client_secret=None, certificate=certificate)
        assert "Acme MSP" in connection.sign_in().identity
    (reading,) = bench.ask(Query("consumed"), client_secret=None, certificate=ours)
    assert reading.state == State.KNOWN
    with pytest.raises(VendorError, match="AADSTS700027") as refused:
        bench.connect(client_secret=None, certificate=other).sign_in()
    assert refused.value.code == "unauthorized"


def test_a_certificate_that_is_not_yet_known_everywhere_is_tried_again(
    make_bench: Callable[..., Bench], pems: tuple[str, str, str]
) -> None:
    bench = make_bench(certificate=pems[1])
    bench.tenant().faults["lagging_certificate"] = 2
    (reading,) = bench.ask(Query("consumed"), client_secret=None, certificate=pems[0])
    assert reading.state == State.KNOWN
    assert len(bench.paths("/token")) == 3


def test_an_assertion_is_what_microsoft_asks_for(pems: tuple[str, str, str]) -> None:
    import jwt

    address = "https://login.microsoftonline.com/t/oauth2/v2.0/token"
    text = assertion(pems[0], "app", address)
    header = jwt.get_unverified_header(text)
    claims = jwt.decode(text, options={"verify_signature": False})
    assert (header["alg"], header["typ"]) == ("PS256", "JWT")
    assert len(header["x5t#S256"]) == 43  # SHA-256 in base64url without padding
    assert (claims["aud"], claims["iss"], claims["sub"]) == (address, "app", "app")
    assert 0 < claims["exp"] - claims["nbf"] <= 600
    assert assertion(pems[0], "app", address) != text  # a new jti each time


@pytest.mark.parametrize("pem", ["-----BEGIN nothing-----", "key", "certificate"])
def test_half_a_certificate_is_the_users_fault(pems: tuple[str, str, str], pem: str) -> None:
    both, public, _ = pems
    text = {"key": both.removesuffix(public), "certificate": public}.get(pem, pem)
    with pytest.raises(UserFault, match=r"certificate: holds no readable"):
        assertion(text, "app", "https://login.example")


def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserFault, match=r"nowhere\.pem cannot be read"):
        pem_text(Secret(literal="nowhere.pem"), tmp_path)


@pytest.mark.parametrize("given", [{}, {"client_secret": "s", "certificate": "c"}])
def test_exactly_one_credential(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of client_secret and certificate"):
        Microsoft365Settings.model_validate({**KEYS, **given})


def test_no_secret_shows_in_the_settings() -> None:
    settings = Microsoft365Settings.model_validate({**KEYS, "client_secret": "hush"})
    assert "hush" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("given", "login", "scope"),
    [
        ({}, "https://login.microsoftonline.com", "https://graph.microsoft.com/.default"),
        (
            {"base_url": "https://graph.microsoft.us"},
            "https://login.microsoftonline.us",
            "https://graph.microsoft.us/.default",
        ),
        (
            {"base_url": "https://dod-graph.microsoft.us"},
            "https://login.microsoftonline.us",
            "https://dod-graph.microsoft.us/.default",
        ),
        (
            {"base_url": "https://microsoftgraph.chinacloudapi.cn"},
            "https://login.chinacloudapi.cn",
            "https://microsoftgraph.chinacloudapi.cn/.default",
        ),
        (
            {"base_url": "https://graph.new.example", "token_url": "https://login.new.example"},
            "https://login.new.example",
            "https://graph.new.example/.default",
        ),
        (
            {"base_url": "http://127.0.0.1:9", "token_url": "http://127.0.0.1:9"},
            "http://127.0.0.1:9",
            "https://graph.microsoft.com/.default",
        ),
        (
            {"base_url": "http://localhost:9", "token_url": "https://login.chinacloudapi.cn"},
            "https://login.chinacloudapi.cn",
            "https://microsoftgraph.chinacloudapi.cn/.default",
        ),
        (
            {"base_url": "https://gateway.example", "scope": "https://graph.microsoft.com/.default"},
            "https://login.microsoftonline.com",
            "https://graph.microsoft.com/.default",
        ),
    ],
)
def test_every_cloud_has_its_own_sign_in_host_and_scope(given: dict[str, str], login: str, scope: str) -> None:
    settings = Microsoft365Settings.model_validate({**KEYS, "client_secret": "s", **given})
    assert (settings.login_root, settings.token_scope) == (login, scope)


@pytest.mark.parametrize(
    ("status", "body", "aadsts", "code"),
    [
        # a wrong secret as Entra words it, ids and times replaced
        (
            401,
            b'{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.",'
            b'"error_codes":[7000215],"timestamp":"2026-11-20 10:00:00Z","trace_id":"x","correlation_id":"y"}',
            7000215,
            "unauthorized",
        ),
        (
            400,
            b'{"error":"invalid_grant","error_description":"AADSTS65001: The user has not consented"}',
            65001,
            "consent",
        ),
        (400, b'{"error":"invalid_request","error_codes":[900023]}', 900023, "not_found"),
        (400, b'{"error":"access_denied","error_codes":[53003]}', 53003, "forbidden"),
        (400, b'{"error":"invalid_client","error_codes":[999]}', 999, "unauthorized"),
        (400, b'{"error":"invalid_scope","error_codes":[1002012]}', 1002012, "invalid"),
        (429, b"", 0, "throttled"),
        (503, b"<html></html>", 0, "unavailable"),
        (403, b"<html>proxy</html>", 0, "unavailable"),
        (400, b"<html>proxy</html>", 0, "unauthorized"),
    ],
)
def test_token_errors_by_their_number(status: int, body: bytes, aadsts: int, code: str) -> None:
    number, error = token_error(Reply(status, {}, body), "contoso")
    assert (number, error.code, error.status) == (aadsts, code, status)
    assert "contoso" in str(error)
    assert "\n" not in str(error)


def test_missing_and_wider_permissions_are_named(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(roles=("Directory.Read.All", "User.ReadWrite.All", "Mail.Read"))
    (warning,) = bench.connection.sign_in().warnings
    assert warning.startswith("The app holds more than syncd uses: Mail.Read, User.ReadWrite.All.")
    assert advice({"LicenseAssignment.Read.All", "User.Read.All"}) == (
        "The app lacks Directory.Read.All, which is needed for the customer list.",
        "The app lacks Organization.Read.All, which is needed for telling trials, proving that it is the right tenant.",
    )


def test_a_token_that_nobody_can_look_into_gives_no_advice(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(opaque=True, roles=("Directory.Read.All", "Mail.Read"))
    assert bench.connection.sign_in().warnings == ()
    assert bench.quantity("consumed") == "27"


@pytest.mark.parametrize("token", ["", "a.b.c", "opaque", "x.e30.y", "..", "é.é.é"])
def test_tokens_of_another_form_tell_nothing(token: str) -> None:
    assert claimed_roles(token) is None


def test_naming_the_connector_loads_nothing_heavy() -> None:
    code = (
        "import sys, connectors.microsoft365 as c; c.connector;"
        "print(sorted({'jwt', 'cryptography', 'werkzeug', 'sqlalchemy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
