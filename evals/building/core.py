"""The core pack: every category, several stories each, four tellings of a story."""

from evals.building import core_claims, core_money, core_orders, core_parcels, core_promise, core_rest, core_warehouse
from evals.building.telling import Case, Story, stage_of, told

TELLINGS = 4
STORIES: tuple[Story, ...] = (
    *core_money.STORIES,
    *core_claims.STORIES,
    *core_promise.STORIES,
    *core_orders.STORIES,
    *core_warehouse.STORIES,
    *core_parcels.STORIES,
    *core_rest.STORIES,
)


def cases() -> list[Case]:
    found = []
    for number, story in enumerate(STORIES):
        for variant in range(TELLINGS):
            stage = stage_of(story, number, variant)
            found.append(told(stage, story.tell(stage), story.cluster))
    return found
