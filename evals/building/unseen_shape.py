"""One report or event of a system that no parser of ours knows."""

from dataclasses import dataclass
from typing import Any

from evals.building.labels import Label
from evals.building.stage import Stage
from evals.building.world import decimal
from guardrails.taxonomy import Action, Category

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """`kind` is a CloudEvents type, or `report` for what comes through POST /triage. `{ref}`, `{sku}`, `{total}` and `{code}` in texts stand
    for the order's own."""

    cluster: str
    label: Label
    kind: str
    source: str
    data: Body
    financial: str = "paid"
    fulfilment: str | None = None
    hours: float = 30

    def play(self, stage: Stage) -> Label:
        stage.record(self.financial, self.fulfilment).at(self.hours)
        data = _filled(self.data, stage)
        if self.kind == "report":
            stage.reported(self.source, str(data["description"]), data["facts"])
        else:
            stage.event(self.kind, self.source, data)
        return self.label


def _filled(value: Any, stage: Stage) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, stage) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, stage) for item in value]
    if not isinstance(value, str):
        return value
    total = f"{decimal(stage.order.total, stage.order.shop.currency)} {stage.order.shop.currency}"
    known = {"{ref}": stage.ref, "{sku}": stage.order.lines[0].sku, "{total}": total, "{code}": stage.code}
    for mark, word in known.items():
        value = value.replace(mark, word)
    return value


def report(
    cluster: str,
    category: Category,
    because: str,
    by: str,
    description: str,
    facts: Body,
    step: Action | None = None,
    *,
    also: tuple[Category, ...] = (),
    financial: str = "paid",
    fulfilment: str | None = None,
    needs: str | None = None,
    conflict: bool = False,
) -> Word:
    """A system's report in free text, with at most a few facts in that system's own words."""
    label = Label(category, because, step=step, also=also, needs=needs, conflict=conflict)
    return Word(cluster, label, "report", by, {"description": description, "facts": facts}, financial, fulfilment)


def event(
    cluster: str,
    category: Category,
    because: str,
    kind: str,
    source: str,
    data: Body,
    step: Action | None = None,
    *,
    also: tuple[Category, ...] = (),
    fulfilment: str | None = None,
    conflict: bool = False,
    hours: float = 30,
) -> Word:
    """A CloudEvent of a known type with a vendor's unknown codes."""
    return Word(
        cluster, Label(category, because, step=step, also=also, conflict=conflict), kind, source, data, "paid", fulfilment, hours
    )
