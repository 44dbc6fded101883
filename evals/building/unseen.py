"""The unseen-providers pack: each word of a vendor's is a cluster of its own, told once."""

from evals.building.stage import Stage
from evals.building.telling import SIZES, Case, told
from evals.building.unseen_carriers import CARRIERS
from evals.building.unseen_channels import HELP_DESKS, MARKETPLACES
from evals.building.unseen_money import PAYMENT_PROVIDERS
from evals.building.unseen_warehouses import WAREHOUSES
from evals.building.world import SHOPS, WITHOUT_LIMIT

GROUPS = (
    ("payment-provider", PAYMENT_PROVIDERS),
    ("marketplace", MARKETPLACES),
    ("warehouse", WAREHOUSES),
    ("carrier", CARRIERS),
    ("help-desk", HELP_DESKS),
)


def cases() -> list[Case]:
    found = []
    for group, words in GROUPS:
        for number, word in enumerate(words):
            shop = WITHOUT_LIMIT[number // 9 % 2] if number % 9 == 8 else SHOPS[(number * 3) % len(SHOPS)]
            stage = Stage(f"unseen-{word.cluster}", 0, shop, SIZES[number % 3][(number // 3) % 4])
            found.append(told(stage, word.play(stage), f"unseen-{word.cluster}", ["unseen-provider", f"unseen-{group}"]))
    return found
