"""Approval is a type that only the gate can make: by construction at runtime, and by reading the product's code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk.approved import Approved, NotApprovedError
from tests.risk.examples import ENTRY, review

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tradingd", "agents", "bus", "exchanges", "market", "orders", "research", "risk", "store")
ALLOWED = {ROOT / "risk" / "gate.py", ROOT / "risk" / "approved.py"}


def forgeries(source: str) -> Iterator[str]:
    """Places that make an approval, or reach for what makes one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            if getattr(called, "id", getattr(called, "attr", "")) == "Approved":
                yield f"line {node.lineno}: Approved(...)"
            elif isinstance(called, ast.Attribute) and called.attr == "__new__" and any(
                getattr(argument, "id", getattr(argument, "attr", "")) == "Approved" for argument in node.args
            ):
                yield f"line {node.lineno}: __new__(Approved)"
        elif isinstance(node, ast.alias) and node.name == "_GATE_KEY":
            yield f"line {node.lineno}: import of _GATE_KEY"
        elif isinstance(node, ast.alias) and node.name == "Approved" and node.asname not in (None, "Approved"):
            yield f"line {node.lineno}: Approved under another name"
        elif isinstance(node, ast.Name | ast.Attribute | ast.Constant) and "_GATE_KEY" in (
            getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "value", ""),
        ):
            yield f"line {node.lineno}: _GATE_KEY"


@pytest.mark.parametrize("forgery", [
    "Approved(key, order, (), 0)", "risk.approved.Approved(1, 2, 3, 4)", "from risk.approved import _GATE_KEY",
    "key = risk.approved._GATE_KEY", "getattr(approved, '_GATE_KEY')", "object.__new__(Approved)",
    "from risk.approved import Approved as Yes",
])
def test_the_scan_sees_a_forgery(forgery: str) -> None:
    assert list(forgeries(forgery))


def test_no_code_of_the_product_makes_an_approval_but_the_gate() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if path not in ALLOWED]
    assert len(files) > 20
    found = {str(path.relative_to(ROOT)): list(forgeries(path.read_text())) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_gate_makes_an_approval_in_one_place_only() -> None:
    calls = [line for line in forgeries((ROOT / "risk" / "gate.py").read_text()) if "Approved(...)" in line]
    assert len(calls) == 1


@pytest.mark.parametrize("key", [None, object(), True, "risk.gate", 0])
def test_nobody_without_the_key_makes_an_approval(key: object) -> None:
    with pytest.raises(NotApprovedError, match="submit the order to the engine"):
        Approved(key, ENTRY, tuple, 0)


def test_an_approval_cannot_be_changed_from_outside() -> None:
    approved = review(ENTRY)
    assert isinstance(approved, Approved)
    with pytest.raises(AttributeError):
        approved.order = ENTRY  # type: ignore[misc]
    with pytest.raises(AttributeError):
        approved.extra = 1  # type: ignore[attr-defined]


def test_checks_are_put_into_words_once_and_only_when_asked_for() -> None:
    approved = review(ENTRY)
    assert isinstance(approved, Approved)
    assert approved.checks is approved.checks
    assert len(approved.checks) > 30
