"""The keys of a `partnercenter` connection, and which cloud they mean. Reads no file and speaks to nobody."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field

from syncd.connect.settings import HttpSettings, SecretRef, is_loopback

API = "https://api.partnercenter.microsoft.com"
LOGIN = "https://login.microsoftonline.com"
CHINA_API, CHINA_LOGIN = "https://partner.partnercenterapi.microsoftonline.cn", "https://login.chinacloudapi.cn"


class PartnerCenterSettings(HttpSettings):
    """`[connections.NAME]` with `kind = "partnercenter"`.

    The American government cloud uses the global API with its own sign-in host, so `token_url` names it there; China's
    two hosts belong together.
    """

    tenant_id: str = Field(
        min_length=1,
        description="The partner's own tenant: its id or a verified domain.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_id: str = Field(
        min_length=1,
        description="Application id of the app registered in the partner's tenant.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_secret: SecretRef = Field(
        description="The app's client secret.", examples=['{ env = "PARTNER_CLIENT_SECRET" }']
    )
    refresh_token: SecretRef = Field(
        description="From one sign-in of the partner's service user with MFA; syncd keeps the ones that follow.",
        examples=['{ env = "PARTNER_REFRESH_TOKEN" }'],
    )
    # Documented: 500 a minute for each of customers and subscriptions; other tools of the partner share them.
    requests_per_minute: int | None = Field(300, ge=1, description="Upper bound of requests in a minute.")

    @property
    def root(self) -> str:
        """Root of the API, without version."""
        return self.base_url or API

    @property
    def login_root(self) -> str:
        """Root of the sign-in host: as configured, else the one of the API's cloud."""
        return self.token_url or (CHINA_LOGIN if self.root == CHINA_API else LOGIN)

    @property
    def token_scope(self) -> str:
        """What a token is asked for. A loopback host stands in for the API of the sign-in host's cloud."""
        root = self.root
        if is_loopback(urlsplit(root).hostname or ""):
            root = CHINA_API if self.login_root == CHINA_LOGIN else API
        return f"{root}/user_impersonation offline_access"
