"""The shipped policy with something changed, as an operator would change its text."""

import re
from pathlib import Path

from app.published import PolicyText

FILE = Path(__file__).parents[2] / "config" / "policy.yaml"
SHIPPED = FILE.read_text(encoding="utf-8")


def high_value(usd: str, version: str = "lowered") -> PolicyText:
    """With another limit in USD from which on a person must look."""
    changed, found = re.subn(r"(high_value:[^\n]*?USD: )[0-9.]+", rf"\g<1>{usd}", SHIPPED, count=1)
    assert found == 1
    # its examples tell of the shipped limits
    return PolicyText("policy.yaml", versioned(re.sub(r"^examples:.*", "", changed, flags=re.MULTILINE | re.DOTALL), version))


def overlaid(written: PolicyText) -> PolicyText:
    """With an overlay that lowers one more limit."""
    version = re.findall(r"^version: (.*)$", written.document, re.MULTILINE)[0]
    overlay = f"schema: ordermend/policy-overlay/v1\nversion: peak\ntightens: {version}\nlimits:\n  high_value: {{KWD: none}}\n"
    return PolicyText(written.name, written.document, overlay)


def versioned(text: str, version: str) -> str:
    changed, found = re.subn(r"^version: .*$", f"version: {version}", text, count=1, flags=re.MULTILINE)
    assert found == 1
    return changed


AS_SHIPPED = PolicyText("policy.yaml", SHIPPED)
BROKEN = PolicyText("policy.yaml", SHIPPED.replace("order.total >=", "order.totl >="))
