"""Asking this machine without going through a proxy."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import openai


def client_for(base_url: str | None) -> openai.DefaultAsyncHttpxClient | None:
    """For an address of this machine a client that no proxy of the environment gets between; None elsewhere. OpenAI's client
    closes it."""
    return openai.DefaultAsyncHttpxClient(trust_env=False) if base_url and _is_here(base_url) else None


def _is_here(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
