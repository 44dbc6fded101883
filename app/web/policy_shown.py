"""The JSON that goes out about policies: the one in force, the one on trial, and who published what."""

from typing import Any

from app.published import Trial
from app.simulate import in_short
from app.tables import PublishedPolicy
from app.web.shown import Moment, Shown


class Publication(Shown):
    """Who published a policy, when and why. `report` is in short what it would have changed; null where there was no past."""

    id: str
    mode: str
    version: str
    sha256: str
    name: str
    published_at: Moment
    by: str
    why: str
    ended_at: Moment | None
    report: dict[str, Any] | None


class ShadowShown(Shown):
    """The policy on trial: of the judgements since, how many it would have ruled the same, tighter or looser."""

    publication: Publication
    judged: int
    agree: int
    tighter: int
    looser: int
    failed: int


class PolicyShown(Shown):
    """The whole policy as data. `sha256` is over `document`."""

    name: str
    version: str
    sha256: str
    document: dict[str, Any]
    published: Publication | None
    shadow: ShadowShown | None


def publication(row: PublishedPolicy) -> Publication:
    shown = {name: getattr(row, name) for name in Publication.model_fields}
    return Publication.model_validate(shown | {"report": None if row.report is None else in_short(row.report)})


def shadow_shown(row: PublishedPolicy, trial: Trial) -> ShadowShown:
    return ShadowShown(
        publication=publication(row),
        judged=trial.judged,
        agree=trial.agree,
        tighter=trial.tighter,
        looser=trial.looser,
        failed=trial.failed,
    )
