"""Settings from the environment, prefix `ORDERMEND_`, nested with `__`. Secrets come from nowhere else."""

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.signals.shapes import Source

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class WebhookSecrets(BaseModel):
    """One secret per source, and the one before it while a rotation is under way."""

    shopify_secret: SecretStr = SecretStr("")
    shopify_secret_previous: SecretStr = SecretStr("")
    stripe_secret: SecretStr = SecretStr("")
    stripe_secret_previous: SecretStr = SecretStr("")
    easypost_secret: SecretStr = SecretStr("")
    easypost_secret_previous: SecretStr = SecretStr("")
    aftership_secret: SecretStr = SecretStr("")
    aftership_secret_previous: SecretStr = SecretStr("")
    shipbob_secret: SecretStr = SecretStr("")
    shipbob_secret_previous: SecretStr = SecretStr("")
    woocommerce_secret: SecretStr = SecretStr("")
    woocommerce_secret_previous: SecretStr = SecretStr("")
    events_secret: SecretStr = SecretStr("")
    events_secret_previous: SecretStr = SecretStr("")

    def of(self, source: Source) -> tuple[str, ...]:
        """The secrets that may have signed a delivery of this source; empty when none is configured."""
        values = (getattr(self, f"{source}_secret", None), getattr(self, f"{source}_secret_previous", None))
        return tuple(v.get_secret_value() for v in values if v is not None and v.get_secret_value().strip())


class LlmEndpoint(BaseModel):
    """Any OpenAI-compatible endpoint. Without a base_url and key the rules classifier works alone."""

    base_url: str | None = None
    api_key: SecretStr = SecretStr("")
    model: str = "gpt-5-mini"


class ShopifyConnector(BaseModel):
    """The Admin API of the shop on which fulfilment is held and released."""

    admin_url: str = ""
    """e.g. `https://example.myshopify.com/admin/api/2026-07`"""
    access_token: SecretStr = SecretStr("")


class StripeConnector(BaseModel):
    api_url: str = "https://api.stripe.com"
    secret_key: SecretStr = SecretStr("")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ORDERMEND_", env_nested_delimiter="__", extra="ignore")

    database_url: str = ""
    """Empty: an embedded PostgreSQL in `data_dir`. Any server of version 14 or newer otherwise."""
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("ordermend")))
    config_dir: Path = PROJECT_ROOT / "config"
    prompts_dir: Path = PROJECT_ROOT / "prompts"
    classifier: Literal["auto", "rules", "llm", "local"] = "auto"
    """`auto`: `llm` when an endpoint is configured; else rules, and what serves switches to the local model once that is ready.
    `local` insists on it: what serves refuses to start where it cannot come."""
    local_model: Literal["fetch", "present", "off"] = "fetch"
    """`present`: its weights are used when they are here and never fetched by itself. `off`: it is not started."""
    explained: tuple[Literal["review", "blocked", "automated"], ...] = ("review", "blocked")
    """The states in which a model explains a case, where one that routes without words is in force; empty: no explanations."""
    webhooks: WebhookSecrets = WebhookSecrets()
    llm: LlmEndpoint = LlmEndpoint()
    shopify: ShopifyConnector = ShopifyConnector()
    stripe: StripeConnector = StripeConnector()
    body_limit_bytes: int = 1_048_576
    signal_max_attempts: int = 5
    claim_lease_s: int = 600
    worker_concurrency: int = 8
    sweep_every_s: int = 30
    host: str = "127.0.0.1"
    port: int = 8000
    database_pool_size: int = 10
