"""The plots of the HTML report as inline SVG. Colours are CSS classes of the page, so that they follow light and dark."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from evals.metrics import Confident, RiskPoint, equal_mass_bins, risk_coverage_points
from evals.statistics import wilson

_CELL, _LABEL = 26, 170
_SIZE, _EDGE = 300, 60


def confusion_svg(matrix: Mapping[str, Mapping[str, int]]) -> Markup:
    """Rows are what was expected, columns what came; a cell is as dark as its share of the row."""
    names = sorted({*matrix, *(got for row in matrix.values() for got in row)})
    place = {name: index for index, name in enumerate(names)}
    side = _LABEL + _CELL * len(names)
    parts = [_axis_names(names)]
    for expected, row in matrix.items():
        total = sum(row.values())
        for got, count in row.items():
            parts.append(_cell(place[got], place[expected], count, count / total, f"{expected} → {got}: {count} of {total}"))
    lines = Markup("").join(
        Markup('<path class="rule" d="M{0} {1}H{2}M{3} {4}V{2}"/>').format(_LABEL, at, side, at, _LABEL)
        for at in range(_LABEL, side + 1, _CELL)
    )
    return _svg(side + 2, side + 2, "Confusion matrix: rows expected, columns got", Markup("").join([lines, *parts]))


def _axis_names(names: Sequence[str]) -> Markup:
    found = []
    for index, name in enumerate(names):
        middle = _LABEL + _CELL * index + _CELL / 2
        found.append(Markup('<text class="label" text-anchor="end" x="{}" y="{}">{}</text>').format(_LABEL - 6, middle + 4, name))
        turned = Markup('<text class="label" transform="translate({} {}) rotate(-90)">{}</text>')
        found.append(turned.format(middle + 4, _LABEL - 6, name))
    return Markup("").join(found)


def _cell(column: int, row: int, count: int, share: float, told: str) -> Markup:
    x, y = _LABEL + _CELL * column, _LABEL + _CELL * row
    kind = "hit" if column == row else "miss"
    number = "on" if share > 0.5 else "off"
    return Markup(
        '<g><title>{}</title><rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}"/>'
        '<text class="number {}" text-anchor="middle" x="{}" y="{}">{}</text></g>'
    ).format(told, kind, x + 1, y + 1, _CELL - 2, _CELL - 2, 0.2 + 0.8 * share, number, x + _CELL / 2, y + _CELL / 2 + 4, count)


def reliability_svg(answers: Sequence[Confident]) -> Markup:
    """Bins of equal mass: how sure against how often right, with the 95 % interval of the share. On the diagonal is honest."""
    parts = [Markup('<path class="guide" d="M{} {}L{} {}"/>').format(*_at(0, 0), *_at(1, 1))]
    for members in equal_mass_bins(answers):
        right, n = sum(answer.right for answer in members), len(members)
        sure = sum(answer.confidence for answer in members) / n / 10_000
        low, high = wilson(right, n)
        (x, top), (_, bottom), (_, y) = _at(sure, high), _at(sure, low), _at(sure, right / n)
        told = f"confidence {sure:.2f}: {right} of {n} right"
        bar = Markup(
            '<g><title>{}</title><path class="bar" d="M{:.1f} {:.1f}V{:.1f}"/><circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/></g>'
        )
        parts.append(bar.format(told, x, top, bottom, x, y))
    return _plot("Reliability: confidence against share right", "confidence", "share right", 1.0, parts)


def risk_coverage_svg(answers: Sequence[Confident]) -> Markup:
    """The share of wrong answers among the most confident ones, by how many are answered."""
    points = risk_coverage_points(answers)
    most = _nice(max((point.risk for point in points), default=0.0))
    parts: list[Markup] = []
    if points:
        parts.append(Markup('<path class="line" d="{}"/>').format(_steps(points, most)))
    for point in points:
        x, y = _at(point.coverage, point.risk / most)
        told = (
            f"confidence of at least {point.confidence / 10_000:.2f}: {point.coverage:.1%} answered, {point.risk:.1%} of them wrong"
        )
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>').format(x, y, told))
    return _plot("Risk and coverage: share wrong by share answered", "share answered", "share wrong", most, parts)


def _steps(points: Sequence[RiskPoint], most: float) -> str:
    placed = [_at(point.coverage, point.risk / most) for point in points]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)


def _nice(most: float) -> float:
    return next(top for top in (0.05, 0.1, 0.2, 0.5, 1.0) if most <= top)


def _at(x: float, y: float) -> tuple[float, float]:
    return _EDGE + x * _SIZE, 10 + (1 - y) * _SIZE


def _plot(title: str, across: str, up: str, most: float, parts: Sequence[Markup]) -> Markup:
    frame = [Markup('<path class="rule" d="M{} 10V{}H{}"/>').format(_EDGE, 10 + _SIZE, _EDGE + _SIZE)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (x, bottom), (left, y) = _at(tick, 0), _at(0, tick)
        frame.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(left, y, left + _SIZE))
        frame.append(Markup('<text class="label" text-anchor="middle" x="{}" y="{}">{:g}</text>').format(x, bottom + 16, tick))
        frame.append(
            Markup('<text class="label" text-anchor="end" x="{}" y="{}">{:g}</text>').format(left - 6, y + 4, round(tick * most, 4))
        )
    middle = 10 + _SIZE / 2
    frame.append(
        Markup('<text class="label" text-anchor="middle" x="{}" y="{}">{}</text>').format(_EDGE + _SIZE / 2, _SIZE + 44, across)
    )
    frame.append(
        Markup('<text class="label" text-anchor="middle" transform="translate(11 {}) rotate(-90)">{}</text>').format(middle, up)
    )
    return _svg(_EDGE + _SIZE + 14, _SIZE + 52, title, Markup("").join([*frame, *parts]))


def _svg(width: int, height: int, title: str, body: Markup) -> Markup:
    return Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>').format(
        escape(title), width, height, width, height, body
    )
