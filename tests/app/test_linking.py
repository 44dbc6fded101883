"""Which order a signal goes to, by the ids in its body."""

import pytest

from app.linking import Link, is_shared, order_identifier, resolve


def known(**holders: str) -> dict[str, frozenset[str]]:
    return {identifier.replace("__", ":"): frozenset(orders.split()) for identifier, orders in holders.items()}


def test_an_id_that_an_order_holds_leads_to_it() -> None:
    assert resolve(["pi_1", "ch_1"], known(ch_1="A")) == Link(("A",), merge=False, opens=False)


def test_ids_of_two_orders_mean_that_they_are_one() -> None:
    assert resolve(
        ["order:1001", "gid://shopify/Order/7"], {"order:1001": frozenset("A"), "gid://shopify/Order/7": frozenset("B")}
    ) == Link(("A", "B"), merge=True, opens=False)


def test_a_shared_id_carries_to_all_its_orders_and_joins_none() -> None:
    assert resolve(["inventory_item:5"], known(inventory_item__5="A B")) == Link(("A", "B"), merge=False, opens=False)


def test_an_own_id_beats_a_shared_one() -> None:
    assert resolve(["sku:X", "pi_1"], known(sku__X="B", pi_1="A")) == Link(("A",), merge=False, opens=False)


def test_a_new_order_is_opened_although_another_holds_the_same_sku() -> None:
    assert resolve(["order:1002", "sku:X"], known(sku__X="A")) == Link((), merge=False, opens=True)


@pytest.mark.parametrize("identifier", ["order:1001", "gid://shopify/Order/7"])
def test_an_id_of_an_order_opens_one(identifier: str) -> None:
    assert resolve([identifier], {}).opens


@pytest.mark.parametrize("identifier", ["pi_1", "1Z999", "gid://shopify/FulfillmentOrder/1", "sku:X"])
def test_any_other_unknown_id_waits(identifier: str) -> None:
    assert resolve([identifier], {}) == Link((), merge=False, opens=False)


def test_an_order_is_named_with_and_without_its_sign() -> None:
    assert order_identifier("#1001") == order_identifier(" 1001 ") == "order:1001"


def test_customers_skus_and_items_are_shared() -> None:
    assert [is_shared(i) for i in ("customer:x", "sku:x", "inventory_item:x", "order:x")] == [True, True, True, False]
