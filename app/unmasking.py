"""Undo the disguises in which text may hide an order: odd Unicode, spacing, digits for letters, and common encodings.

Nothing here decides anything: it only gives the readings of a text that a person would not see at a glance.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

LONGEST = 20_000
"""Characters of one text that are read; the rest is never shown to a model either (`app/rendering.py` cuts far earlier)."""

_TAGS = range(0xE0000, 0xE0080)
_OVERRIDES = "\u202d\u202e"
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff]"
)
_BETWEEN_LATIN = re.compile("(?<=[A-Za-z])[\u00ad\u200b-\u200d\u2060-\u2064\ufeff]+(?=[A-Za-z])")
_DIACRITICS = re.compile("[\u0300-\u036f]")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f")

# Cyrillic and Greek letters that pass for Latin ones (a small part of Unicode's confusables; NFKC does the rest).
_LOOKALIKES = str.maketrans(
    "асеорхуіјѕһԁԛԝАВЕКМНОРСТХУІЈЅαειοκνρτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aceopxyijshdqwABEKMHOPCTXYIJSaeiokvptuxABEZHIKMNOPTYX",
)
_MIXED = re.compile(r"\b(?=\w*[A-Za-z])(?=\w*[\u0370-\u03ff\u0400-\u052f])\w+\b")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*·]){2,}\w(?!\w)")
_JOINTS = re.compile(r"[_\-*~`^|+/\\.]+")
_LEET = str.maketrans("013457@$", "oieastas")
_LEET_WORD = re.compile(r"[A-Za-z013457@$]{3,}")
_RUN_OF_SPACE = re.compile(r"\s{3,}")

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE32 = re.compile(r"\b[A-Z2-7]{24,}={0,6}")
_BASE85 = re.compile(r"[!-~]{30,}")
_HEX = re.compile(r"\b(?:[0-9a-fA-F]{2}[ :]?){12,}\b")
_BINARY = re.compile(r"(?:\b[01]{8}\b\s?){4,}")
_MORSE = re.compile(r"(?:[.-]{1,6}[ /]+){8,}[.-]{1,6}")
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}){4,}|(?:\\x[0-9a-fA-F]{2}){4,}")
_MORSE_LETTERS = dict(
    zip(
        [
            ".-",
            "-...",
            "-.-.",
            "-..",
            ".",
            "..-.",
            "--.",
            "....",
            "..",
            ".---",
            "-.-",
            ".-..",
            "--",
            "-.",
            "---",
            ".--.",
            "--.-",
            ".-.",
            "...",
            "-",
            "..-",
            "...-",
            ".--",
            "-..-",
            "-.--",
            "--..",
        ],
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text. `disguise` is empty for the text as anyone sees it, else how it was hidden."""

    text: str
    disguise: str = ""


def hidden_characters(text: str) -> str | None:
    """What is hidden in plain sight, or None. Right-to-left marks, emoji joiners and flags are honest uses and pass."""
    without_flags = _FLAG.sub("", text)
    if any(ord(char) in _TAGS for char in without_flags):
        return "invisible tag characters"
    if any(char in text for char in _OVERRIDES):
        return "characters that turn the reading direction around"
    if len(_BETWEEN_LATIN.findall(text)) >= 3:
        return "invisible characters inside words"
    return None


def plain(text: str) -> str:
    """As a reader sees it: compatibility forms composed, invisible characters gone, look-alike letters Latin, no accents."""
    shown = "".join(chr(ord(char) - _TAGS.start) if ord(char) in _TAGS else char for char in text[:LONGEST])
    shown = INVISIBLE.sub("", unicodedata.normalize("NFKC", shown))
    shown = _RUN_OF_SPACE.sub(lambda run: "\n" if "\n" in run[0] else "  ", shown)
    shown = _MIXED.sub(lambda word: word[0].translate(_LOOKALIKES), shown)
    return unicodedata.normalize("NFC", _DIACRITICS.sub("", unicodedata.normalize("NFD", shown)))


def readings(text: str) -> Iterator[Reading]:
    """Every way in which the text may be meant, the plain one first."""
    seen = plain(text)
    yield Reading(seen)
    yield from _respelled(seen)
    for disguise, decoded in _decoded(seen):
        yield Reading(plain(decoded), disguise)


def _respelled(text: str) -> Iterator[Reading]:
    joined = _SPACED.sub(lambda run: re.sub(r"[ .\-_*·]", "", run[0]), text)
    if joined != text:
        yield Reading(re.sub(r"(?<=\w)-(?=\w)", "", joined), "spaced-out letters")
    if _JOINTS.search(text):
        yield Reading(_JOINTS.sub(" ", text), "words joined by signs")
    if sum(_mixes_digits(word) for word in _LEET_WORD.findall(text)) >= 3:
        yield Reading(text.translate(_LEET), "digits for letters")
    yield Reading(text[::-1], "reversed letters")
    yield Reading(codecs.encode(text, "rot13"), "rot13")


def _mixes_digits(word: str) -> bool:
    return not word.isalpha() and any(char.isalpha() for char in word)


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    for found in _BASE64.finditer(text):
        yield from _as_text("base64", _base64(found[0]))
    for found in _BASE32.finditer(text):
        yield from _as_text("base32", _base32(found[0]))
    for found in _BASE85.finditer(text):
        yield from _as_text("base85", _base85(found[0]))
    for found in _HEX.finditer(text):
        yield from _as_text("hexadecimal", _hexadecimal(found[0]))
    for found in _BINARY.finditer(text):
        yield from _as_text("binary", bytes(int(octet, 2) for octet in found[0].split()))
    for found in _MORSE.finditer(text):
        yield "Morse code", _morse(found[0])
    if _ESCAPES.search(text):
        yield "escaped characters", _ESCAPES.sub(_unescape, text)
    if re.search(r"(?:%[0-9a-fA-F]{2}|&#?\w{2,8};)", text):
        yield "escaped characters", html.unescape(unquote(text))


def _as_text(disguise: str, raw: bytes | None) -> Iterator[tuple[str, str]]:
    """Only what reads as text: a picture or a token stays what it is."""
    if not raw:
        return
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return
    if sum(char.isprintable() or char.isspace() for char in decoded) == len(decoded):
        yield disguise, decoded


def _base64(token: str) -> bytes | None:
    bare = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _base32(token: str) -> bytes | None:
    bare = token.rstrip("=")
    try:
        return base64.b32decode(bare + "=" * (-len(bare) % 8))
    except (binascii.Error, ValueError):
        return None


def _base85(token: str) -> bytes | None:
    for decode in (base64.b85decode, base64.a85decode):
        try:
            raw = decode(token)
        except ValueError:
            continue
        if raw.isascii():
            return raw
    return None


def _hexadecimal(token: str) -> bytes | None:
    try:
        return bytes.fromhex(token.replace(":", " "))
    except ValueError:
        return None


def _morse(run: str) -> str:
    return " ".join("".join(_MORSE_LETTERS.get(sign, "") for sign in word.split()) for word in run.split("/"))


def _unescape(run: re.Match[str]) -> str:
    return "".join(chr(int(code, 16)) for code in re.findall(r"\\[ux]([0-9a-fA-F]+)", run[0]))
