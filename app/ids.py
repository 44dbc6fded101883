"""Ids: a prefix that says what it is, then 26 characters that sort by time of making."""

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str, now: datetime) -> str:
    """`sig_`, `ord_`, `case_`, `dec_`, `act_`, `key_` and the like: 48 bits of milliseconds, then 80 bits of chance."""
    number = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
