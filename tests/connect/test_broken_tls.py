"""TLS that breaks: before a byte of ours left it is "not sent", after that nobody knows; HTTP/2 is never spoken."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncd.connect.http import Http, Reply
from syncd.connect.limits import Gate
from syncd.connect.outcome import outcome
from syncd.model import NotSent, Receipt, Refused, Unknown, Wire

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%s\r\n{"quantity": 27}'
WHOLE = ANSWER % b"content-length: 16\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def _reset(sock: socket.socket) -> None:
    """Ends with RST, without TLS's goodbye."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Vendor:
    """Speaks TLS, and then does as told with the request and its socket. `asked`: requests that came to it."""

    def __init__(self, certificate: Path, then: Callable[[ssl.SSLSocket], None], *, hello: bool = True) -> None:
        self.asked: list[bytes] = []
        self.protocols: list[str | None] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listening.getsockname()[1]}"
        self._then, self._hello = then, hello
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._tls.set_alpn_protocols(["h2", "http/1.1"])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listening.accept()
                sock.settimeout(5)
                with suppress(OSError):
                    self._one(sock)

    def _one(self, sock: socket.socket) -> None:
        if not self._hello:
            sock.recv(64)
            _reset(sock)
            return
        with self._tls.wrap_socket(sock, server_side=True) as spoken:
            self.protocols.append(spoken.selected_alpn_protocol())
            self.asked.append(spoken.recv(65_536))
            self._then(spoken)


@contextmanager
def vendor(certificate: Path, then: Callable[[ssl.SSLSocket], None], **options: bool) -> Iterator[Vendor]:
    made = Vendor(certificate, then, **options)
    yield made
    made.listening.close()


@contextmanager
def way_out(url: str, trusted: Path | None) -> Iterator[Http]:
    gate = Gate(concurrency=2, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)
    http = Http(url, gate=gate, timeout=2.0, first_wait=0.001, ca_bundle=str(trusted) if trusted else None)
    yield http
    http.close()


def send(url: str, trusted: Path | None) -> Receipt | Refused | NotSent | Unknown:
    """Sends, and reads the answer as a connector does: it must show the quantity."""
    with way_out(url, trusted) as http:
        return outcome(
            http.send(Wire("POST", "lines", b"{}")),
            receipt=lambda reply: Receipt("7") if reply.try_parse(dict[str, int]) == {"quantity": 27} else None,
            refused=lambda reply: Refused("invalid", "no") if reply.try_parse(dict[str, str]) else None,
            throttled_is_harmless=False,
        )


def answers(told: bytes) -> Callable[[ssl.SSLSocket], None]:
    def then(spoken: ssl.SSLSocket) -> None:
        spoken.sendall(told)
        _reset(spoken)

    return then


def whole(spoken: ssl.SSLSocket) -> None:
    spoken.sendall(WHOLE)
    with suppress(OSError):
        spoken.unwrap()


def test_a_whole_answer_over_tls_is_done_and_speaks_no_http_2(certificate: Path) -> None:
    """Whoever speaks no HTTP/2 meets no GOAWAY: what is offered is HTTP/1.1 alone, one request on each connection."""
    with vendor(certificate, whole) as there:
        assert send(there.url, certificate) == Receipt("7")
    assert there.protocols == ["http/1.1"]
    assert len(there.asked) == 1


@pytest.mark.parametrize(
    "told",
    [b"", WHOLE[:20], WHOLE[:-4], ANSWER[:-4] % b"", ANSWER % b"transfer-encoding: chunked\r\n"],
    ids=["nothing", "half a status", "short", "short without a length", "no chunk"],
)
def test_tls_that_breaks_after_the_request_leaves_it_unknown(certificate: Path, told: bytes) -> None:
    """Without TLS's goodbye an answer is not known to be whole."""
    with vendor(certificate, answers(told)) as there:
        assert isinstance(send(there.url, certificate), Unknown)
    assert len(there.asked) == 1  # and it left once


def test_a_greeting_that_breaks_is_no_request(certificate: Path) -> None:
    with vendor(certificate, answers(WHOLE), hello=False) as there:
        assert isinstance(send(there.url, certificate), NotSent)
    assert there.asked == []


def test_a_certificate_that_cannot_be_trusted_gets_no_request(certificate: Path) -> None:
    with vendor(certificate, answers(WHOLE)) as there:
        told = send(there.url, None)
    assert isinstance(told, NotSent)
    assert "has a certificate that cannot be trusted" in told.reason
    assert there.asked == []


def test_a_read_over_broken_tls_is_repeated(certificate: Path) -> None:
    """So that the tests above are about writing."""
    left = iter([answers(b""), answers(WHOLE[:-4]), whole])
    with (
        vendor(certificate, lambda spoken: next(left)(spoken)) as there,
        way_out(there.url, certificate) as http,
    ):
        assert isinstance(http.read("lines"), Reply)
    assert len(there.asked) == 3
