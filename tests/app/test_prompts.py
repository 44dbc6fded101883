"""Prompts are what was approved, say the policy's own numbers, and name every word of the taxonomy."""

import hashlib
import shutil
from pathlib import Path

import pytest

from app.errors import ConfigurationInvalid
from app.prompts import Prompts, fill, limits_wording, load_prompts
from guardrails.money import Money
from guardrails.policy.load import load_policy
from guardrails.taxonomy import Action, Category, Team

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "prompts", tmp_path / "prompts"))


def prompts() -> Prompts:
    return load_prompts(ROOT / "prompts")


def bless(folder: Path, name: str) -> None:
    """Put the file's present hash into the manifest."""
    manifest = folder / "manifest.yaml"
    lines = [
        line.split("sha256: ")[0] + f"sha256: {hashlib.sha256((folder / name).read_bytes()).hexdigest()}}}"
        if f"file: {name}," in line
        else line
        for line in manifest.read_text().splitlines()
    ]
    manifest.write_text("\n".join(lines))


def test_the_system_prompt_shows_the_policys_own_limits() -> None:
    policy = load_policy((ROOT / "config" / "policy.yaml").read_text(), "policy.yaml")

    shown = fill(prompts()["classify"].system, {"limits": limits_wording(policy.limits)})

    for table in policy.limits.values():
        for money in table.values():
            assert str(money) in shown


def test_a_moved_limit_moves_in_the_prompt() -> None:
    assert (
        limits_wording({"high_value": {"JPY": Money(81234, "JPY"), "EUR": Money(12345, "EUR")}})
        == "- high_value: 123.45 EUR, 81234 JPY"
    )


def test_no_limit_is_typed_into_a_prompt() -> None:
    policy = load_policy((ROOT / "config" / "policy.yaml").read_text(), "policy.yaml")

    for table in policy.limits.values():
        for money in table.values():
            assert str(money) not in prompts()["classify"].system


@pytest.mark.parametrize("word", [*Category, *Team, *Action])
def test_every_name_of_the_taxonomy_is_in_the_system_prompt(word: str) -> None:
    assert f"`{word}`" in prompts()["classify"].system


@pytest.mark.parametrize("category", [*Category])
def test_every_category_has_a_definition_and_an_example(category: str) -> None:
    system = prompts()["classify"].system

    assert f"- `{category}` (" in system
    assert f"→ `{category}`" in system


def test_the_system_prompt_is_the_same_bytes_every_time() -> None:
    assert prompts() == prompts()
    assert "{{facts}}" not in prompts()["classify"].system


def test_a_changed_file_does_not_start_and_the_error_says_what_to_do(folder: Path) -> None:
    (folder / "classify.user.md").write_text("{{facts}} {{texts}} be nice")

    with pytest.raises(
        ConfigurationInvalid,
        match=r"classify\.user\.md: has changed since it was approved.*set this file's sha256 there to [0-9a-f]{64}",
    ):
        load_prompts(folder)


def test_following_the_errors_advice_blesses_the_change(folder: Path) -> None:
    before = load_prompts(folder)["classify"].sha256
    (folder / "classify.user.md").write_text("{{facts}} {{texts}} be nice")
    bless(folder, "classify.user.md")

    assert load_prompts(folder)["classify"].sha256 != before


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "classify.system.md").unlink()

    with pytest.raises(ConfigurationInvalid, match=r"classify\.system\.md: listed in manifest\.yaml but not there"):
        load_prompts(folder)


def test_an_unlisted_file_is_named(folder: Path) -> None:
    (folder / "draft.md").write_text("x")

    with pytest.raises(ConfigurationInvalid, match=r"draft\.md: not listed"):
        load_prompts(folder)


@pytest.mark.parametrize(("name", "slot"), [("classify.user.md", "weather"), ("classify.system.md", "facts")])
def test_a_placeholder_that_nobody_fills_is_named(folder: Path, name: str, slot: str) -> None:
    path = folder / name
    path.write_text(path.read_text() + f"\n{{{{{slot}}}}}\n")
    bless(folder, name)

    with pytest.raises(ConfigurationInvalid, match=rf"nothing fills the placeholder \{{\{{{slot}\}}\}}"):
        load_prompts(folder)


@pytest.mark.parametrize(
    "text", ["", "schema: other/v1", "schema: [", "schema: ordermend/prompts/v1\nprompts: {classify: {version: 1}}"]
)
def test_an_unusable_manifest_is_refused_by_name(folder: Path, text: str) -> None:
    (folder / "manifest.yaml").write_text(text)

    with pytest.raises(ConfigurationInvalid, match=r"manifest\.yaml"):
        load_prompts(folder)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="no prompt manifest"):
        load_prompts(tmp_path)


def test_a_placeholder_inside_a_value_stays_text() -> None:
    assert fill("{{facts}}|{{texts}}", {"facts": "{{texts}}", "texts": "t"}) == "{{texts}}|t"
