"""Questions answered for many rows at once: looked up by the few values that a field has, else asked of columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guardrails.augment import DETECTED
from guardrails.replay.questions import Asked, Questions, unanswerable
from guardrails.replay.segment_shapes import Coded
from guardrails.replay.view import CONFLICTS, MOST_VALUES, OFF, SOURCES, Flags, View

Bits = NDArray[np.uint8]
Fired = dict[tuple[int, str], int]
"""How often each rule of each side fired."""

_Table = tuple[Bits, NDArray[np.int64]]
"""The bits of each combination of values, and which questions fire for it: shape (combinations, questions)."""


_BY_VALUES_ONLY: Final = frozenset([OFF, SOURCES, CONFLICTS, DETECTED, "case.category"])
"""What the gate itself asks of these is answered value by value, however many there are: they are few, and there is no other way."""

_MOST_REMEMBERED: Final = 4_000
"""Tables, of segments whose fields have other values each."""


@dataclass(slots=True)
class Plan:
    """Questions by the fields that they read. What their values come to is remembered from segment to segment."""

    questions: tuple[Asked, ...]
    by_fields: Mapping[tuple[str, ...], Sequence[Asked]]
    by_rows: Sequence[Asked]
    _tables: dict[Any, _Table] = field(default_factory=dict)
    _answers: dict[tuple[int, tuple[Any, ...]], bool] = field(default_factory=dict)

    def bits(self, view: View, fired: Fired) -> Bits:
        """The bits of what fires in each row; `fired` is counted up."""
        bits = np.zeros(view.size, np.uint8)
        for fields, group in self.by_fields.items():
            self._look_up(view, fields, group, bits, fired)
        for asked in self.by_rows:
            _count_rows(asked, asked.by_rows(view), bits, fired)
        return bits

    def _look_up(self, view: View, fields: tuple[str, ...], group: Sequence[Asked], bits: Bits, fired: Fired) -> None:
        columns = _few_values(view, fields)
        if columns is None:
            for asked in group:
                _count_rows(asked, asked.by_rows(view), bits, fired)
            return
        table, fires = self._table(fields, group, columns)
        same = _same_code(columns)
        if same is not None:
            bits |= table[same]
            times = fires[same] * view.size
        else:
            codes = _combined(columns)
            if table.any():
                bits |= _looked_up(table, codes)
            times = np.bincount(codes, minlength=len(table)) @ fires
        for asked, count in zip(group, times.tolist(), strict=True):
            _count(asked, count, fired)

    def _table(self, fields: tuple[str, ...], group: Sequence[Asked], columns: Sequence[Coded]) -> _Table:
        key = (fields, *((column.values, column.first) for column in columns))
        if key not in self._tables:
            if len(self._tables) > _MOST_REMEMBERED:
                self._tables.clear()
                self._answers.clear()
            combinations = list(product(*(column.meanings for column in columns)))
            fires = np.array([[self.answer(asked, values) for asked in group] for values in combinations], np.int64).reshape(
                len(combinations), len(group)
            )
            weights = [asked.bits for asked in group]
            table = [
                int(np.bitwise_or.reduce([bits for bits, is_so in zip(weights, row, strict=True) if is_so] or [0])) for row in fires
            ]
            self._tables[key] = (np.array(table, np.uint8), fires)
        return self._tables[key]

    def answer(self, asked: Asked, values: tuple[Any, ...]) -> bool:
        key = (id(asked), values)
        if key not in self._answers:
            self._answers[key] = asked.by_values(values)
        return self._answers[key]

    def rows_of(self, asked: Asked, view: View) -> Flags:
        """In which rows one question fires."""
        columns = _few_values(view, asked.fields) if asked in self.by_fields.get(asked.fields, ()) else None
        if columns is None:
            return asked.by_rows(view)
        _, fires = self._table((*asked.fields, str(id(asked))), [asked], columns)
        same = _same_code(columns)
        if same is not None:
            return np.full(view.size, bool(fires[same, 0]))
        found: Flags = fires[:, 0].astype(bool)[_combined(columns)]
        return found


def plan_of(questions: Questions) -> Plan:
    by_fields: dict[tuple[str, ...], list[Asked]] = {}
    by_rows: list[Asked] = []
    for asked in questions.known.values():
        if asked.fields or asked.by_rows is unanswerable:
            by_fields.setdefault(asked.fields, []).append(asked)
        else:
            by_rows.append(asked)
    return Plan(tuple(questions.known.values()), by_fields, by_rows)


def _few_values(view: View, fields: Collection[str]) -> list[Coded] | None:
    """The columns, or None where they have too many values to go through, or are numbers."""
    columns = []
    for name in fields:
        column = view.coded(name)
        if column is None:
            return None
        columns.append(column)
    return (
        columns if _BY_VALUES_ONLY.issuperset(fields) or prod(len(column.meanings) for column in columns) <= MOST_VALUES else None
    )


def _same_code(columns: Sequence[Coded]) -> int | None:
    """The combination that all rows have, where they have one."""
    code = 0
    for column in columns:
        if column.same is None:
            return None
        code = code * len(column.meanings) + column.same
    return code


def _combined(columns: Sequence[Coded]) -> NDArray[Any]:
    if len(columns) == 1:
        return columns[0].codes
    kind = np.uint16 if prod(len(column.meanings) for column in columns) < 2**16 else np.int64
    combined: NDArray[Any] = columns[0].codes.astype(kind)
    for column in columns[1:]:
        combined = combined * kind(len(column.meanings)) + column.codes.astype(kind)
    return combined


def _looked_up(table: Bits, codes: NDArray[Any]) -> Bits:
    if codes.dtype == np.uint8:
        return np.frombuffer(codes.tobytes().translate(table.tobytes().ljust(256, b"\0")), np.uint8)
    return table.take(codes, mode="clip")


def _count_rows(asked: Asked, rows: Flags, bits: Bits, fired: Fired) -> None:
    if asked.bits:
        bits |= rows.view(np.uint8) * np.uint8(asked.bits)
    _count(asked, int(np.count_nonzero(rows)), fired)


def _count(asked: Asked, count: int, fired: Fired) -> None:
    for rule in asked.rules:
        fired[rule] = fired.get(rule, 0) + count
