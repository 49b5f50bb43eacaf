"""The keys of a `microsoft365` connection, and which cloud they mean. Reads no file and speaks to nobody."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from syncd.connect.settings import HttpSettings, SecretRef, is_loopback

GRAPH = "https://graph.microsoft.com"
LOGIN = "https://login.microsoftonline.com"

# Each cloud's sign-in host and Graph root belong together; a token of one is worthless in another
# (Microsoft Graph documentation, concepts/deployments). The American login host serves two Graph roots, so the map
# goes from Graph to login; the way back names the first.
_LOGIN_OF_GRAPH = {
    "graph.microsoft.com": LOGIN,
    "graph.microsoft.us": "https://login.microsoftonline.us",
    "dod-graph.microsoft.us": "https://login.microsoftonline.us",
    "microsoftgraph.chinacloudapi.cn": "https://login.chinacloudapi.cn",
}


class Microsoft365Settings(HttpSettings):
    """`[connections.NAME]` with `kind = "microsoft365"`."""

    tenant_id: str = Field(
        min_length=1,
        description="The partner's own tenant: its id or a verified domain.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_id: str = Field(
        min_length=1,
        description="Application id of the app registration that each customer's admin consented to.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_secret: SecretRef | None = Field(
        None, description="The app's client secret; or use certificate.", examples=['{ env = "M365_CLIENT_SECRET" }']
    )
    certificate: SecretRef | None = Field(
        None,
        description="PEM with the app's private key and certificate, instead of a secret; text or path of a file.",
        examples=['{ file = "/run/secrets/m365.pem" }'],
    )
    scope: str = Field(
        "", description="Resource to ask tokens for; only where a gateway hides Graph. Default: the cloud's Graph root."
    )
    product_names: str = Field(
        "",
        description="CSV with Microsoft's published product names (SkuPartNumber,SkuId,ProductName).",
        examples=["product-names.csv"],
    )

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("needs exactly one of client_secret and certificate")
        return self

    @property
    def graph_root(self) -> str:
        """Root of the API, without version."""
        return self.base_url or GRAPH

    @property
    def login_root(self) -> str:
        """Root of the sign-in host: as configured, else the one that belongs to the Graph root's cloud."""
        return self.token_url or _LOGIN_OF_GRAPH.get(urlsplit(self.graph_root).hostname or "", LOGIN)

    @property
    def token_scope(self) -> str:
        """What a token is asked for: the Graph root of the cloud, with `/.default`.

        A loopback host is a double or a tunnel that stands in for Graph and is no resource that a sign-in host could
        know, so the token is asked for the Graph that belongs to the sign-in host. Any other `base_url` is taken as a
        Graph root of its own: new national clouds need no change here.
        """
        if self.scope:
            return self.scope
        root = self.graph_root
        if is_loopback(urlsplit(root).hostname or ""):
            login = self.login_root
            root = next((f"https://{graph}" for graph, its in _LOGIN_OF_GRAPH.items() if its == login), GRAPH)
        return f"{root}/.default"
