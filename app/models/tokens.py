"""What a linear text model counts: tokens of fact lines and words, or groups of letters.

A fact line `path=value (note)` gives its path, the two together and the words of the value. Other lines give their words and
pairs of neighbouring words. Ids, amounts and times are told apart from nothing, because they say nothing about the next order.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Literal, TypeAlias

Ngrams: TypeAlias = Literal["word12", "char35", "mixed"]

_FACT = re.compile(r"^([A-Za-z_][\w.]*)(?:\[[^\]]*\])?(?:@\d+)?=(.*?)(?: \(([^()]*)\))?$")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_LONG_NUMBER = re.compile(r"\d{6,}|(?=[a-z]*\d[a-z]*\d)(?=\d*[a-z]\d*[a-z])[a-z0-9]{12,}")
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d(?:t[\d:.]+(?:z|[+-]\d\d:?\d\d))?", re.IGNORECASE)
_SHORTEST, _LONGEST = 3, 5
_MOST_LETTERS = 6_000
"""Of one text; what is longer is judged by its beginning."""


def tokens(text: str, ngrams: Ngrams) -> list[str]:
    """In the order of the text, repeated where the text repeats itself."""
    return _SPLITTERS[ngrams](text[:_MOST_LETTERS].casefold())


def _words_and_pairs(text: str) -> list[str]:
    return [token for line in text.splitlines() for token in _line(line)]


def _line(line: str) -> Iterator[str]:
    fact = _FACT.match(line.strip())
    if fact is None:
        words = _words(line)
        yield from words
        yield from _pairs(words)
        return
    path, value, note = fact.groups()
    yield path
    words = _words(value)
    if words:
        yield f"{path}={' '.join(words)}"
    yield from words
    yield from _pairs(words)
    yield from (f"{path}!{mark.strip()}" for mark in (note or "").split(",") if "conflict" in mark or "stale" in mark)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(_DATE.sub(" ", text).replace("_", " ")) if not _LONG_NUMBER.fullmatch(word)]


def _pairs(words: list[str]) -> Iterator[str]:
    return (f"{left} {right}" for left, right in pairwise(words))


def _letters(text: str) -> list[str]:
    """Within words, each with a blank on either side, so that beginnings and ends are told from middles."""
    found = []
    for word in _WORD.findall(text):
        padded = f" {word} "
        for size in range(_SHORTEST, _LONGEST + 1):
            found += [padded[start : start + size] for start in range(len(padded) - size + 1)]
    return found


def _mixed(text: str) -> list[str]:
    """Words carry a mark, so that no word is taken for a group of letters."""
    words = _WORD.findall(text)
    return [*_letters(text), *(f"={word}" for word in words), *(f"={pair}" for pair in _pairs(words))]


_SPLITTERS: Mapping[Ngrams, Callable[[str], list[str]]] = {"word12": _words_and_pairs, "char35": _letters, "mixed": _mixed}
