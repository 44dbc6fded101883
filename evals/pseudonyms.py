"""Other words for personal ones: the same word always becomes the same other, and nobody without the key can lead it back.

What the program compares survives: two addresses that were equal stay equal however they are written, and postal codes that began
alike still do."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from app.signals.fingerprints import folded

_CONSONANTS, _VOWELS = "bdfghklmnprstvz", "aeiou"
_SYLLABLES = 4


class Pseudonyms:
    """`key` is any secret of this machine."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}\x1f{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def opaque(self, text: str) -> str:
        """For tokens and secrets: 16 hexadecimal digits."""
        return self.digest("opaque", text).hex()[:16]

    def coded(self, text: str) -> str:
        """Of the same shape: each digit another digit, each letter another letter. Signs stay, and case counts for nothing."""
        found, before = [], ""
        for char in text:
            if not char.isalnum():
                found.append(char)
                continue
            found.append(self._shifted(char, before))
            before += char.casefold()
        return "".join(found)

    def _shifted(self, char: str, before: str) -> str:
        """Depends on the characters before it, so that equal beginnings stay equal and others differ."""
        step = int.from_bytes(self.digest("code", before)[:4], "big")
        if char.isascii() and char.isdigit():
            return str((int(char) + 1 + step % 9) % 10)
        if char.isascii():
            first = ord("a") if char.islower() else ord("A")
            return chr(first + (ord(char) - first + 1 + step % 25) % 26)
        return chr(ord("a") + self.digest("other", before + char)[0] % 26)

    def words(self, text: str) -> str:
        """Word by word, so that the same street or person is recognised in any spelling and order of fields."""
        return " ".join(self._word(word) for word in folded(text).split())

    def _word(self, word: str) -> str:
        if any(char.isascii() and char.isdigit() for char in word):
            return self.coded(word)
        raw = self.digest("word", word)
        pairs = zip(raw[:_SYLLABLES], raw[_SYLLABLES:], strict=False)
        return "".join(_CONSONANTS[a % len(_CONSONANTS)] + _VOWELS[b % len(_VOWELS)] for a, b in pairs).capitalize()

    def email(self, text: str) -> str:
        return f"p{self.digest('email', text.strip().lower()).hex()[:12]}@example.net"

    def ip(self, text: str) -> str:
        return f"203.0.113.{self.digest('ip', text.strip())[0]}"

    def number(self, value: int) -> int:
        return int(self.coded(str(value)))


def read_or_make_key(path: Path) -> bytes:
    """The key of this machine, made on first use and readable by its owner alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "xb", opener=private) as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return path.read_bytes()


def private(name: str, flags: int) -> int:
    """An opener of files that only their owner may read."""
    return os.open(name, flags, 0o600)
