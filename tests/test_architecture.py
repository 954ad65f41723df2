"""What ARCHITECTURE.md and the rules of the house promise, checked against the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tradingd", "agents", "bus", "exchanges", "market", "orders", "research", "risk", "store")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SPAN = re.compile(r"`([^`\n]+)`")
PATH_LIKE = re.compile(r"[a-z_]+(/[a-z_]+)*/([a-z_]+\.[a-z]+)?")
RATIOS = {"daily_drawdown", "weekly_drawdown", "max_drawdown", "daily_loss", "confidence"}
"""What may become a float although it is a Decimal: shares of something, never an amount."""
COMPILES_ITSELF = {"bus/codec_plans.py exec", "market/record.py exec"}
"""The codec's packers and the births of records are made of the field names of our own types, as `dataclass` does it;
nothing from outside gets there."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers"}


def trees() -> Iterator[tuple[str, ast.Module, list[str]]]:
    for path in SOURCES:
        text = path.read_text()
        yield str(path.relative_to(ROOT)), ast.parse(text), text.splitlines()


def called(node: ast.Call) -> str:
    """`a.b.c` of a call, as written."""
    return ast.unparse(node.func)


# ---- the document -----------------------------------------------------------------------------------


def paths_named() -> list[str]:
    text = re.sub(r"```.*?```", "", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.DOTALL)
    return sorted({span for span in SPAN.findall(text) if PATH_LIKE.fullmatch(span)})


def test_the_document_names_many_paths() -> None:
    assert len(paths_named()) > 20


@pytest.mark.parametrize("path", paths_named())
def test_each_path_the_document_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_layers_of_the_document_are_the_ones_that_are_checked() -> None:
    document = (ROOT / "ARCHITECTURE.md").read_text()
    drawn = re.search(r"```\n(research\n.*?)\n```", document, re.DOTALL)
    assert drawn is not None
    checked = re.search(r'type = "layers"\nlayers = \[(.*?)\]', (ROOT / "pyproject.toml").read_text())
    assert checked is not None
    assert drawn[1].splitlines() == re.findall(r'"([^"]+)"', checked[1])


# ---- the tree ---------------------------------------------------------------------------------------


def test_every_package_at_the_root_is_one_of_ours() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == {*PACKAGES, "tests", "benchmarks", "simulator"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path.relative_to(ROOT)) for path in SOURCES if FORBIDDEN_NAMES & set(path.stem.split("_"))] == []


def test_an_init_file_holds_a_docstring_and_nothing_else() -> None:
    wrong = []
    for path in SOURCES:
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text())
            if len(tree.body) != 1 or ast.get_docstring(tree) is None:
                wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree, _ in trees() if ast.get_docstring(tree) is None] == []


# ---- the code ---------------------------------------------------------------------------------------


def test_whoever_catches_everything_says_why() -> None:
    wrong = []
    for name, tree, lines in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "" if node.type is None else ast.unparse(node.type)
            is_broad = caught in ("", "Exception", "BaseException")
            raises_again = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if is_broad and not raises_again and not re.search(r"# noqa: \S+ - \S+", lines[node.lineno - 1]):
                wrong.append(f"{name}:{node.lineno}")
    assert wrong == []


def test_nothing_is_evaluated_unpickled_or_given_to_a_shell() -> None:
    wrong = []
    for name, tree, _ in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if {"pickle", "marshal", "shelve", "dill"} & {module.split(".")[0] for module in modules}:
                    wrong.append(f"{name}:{node.lineno} import")
            if isinstance(node, ast.Call):
                shell = any(key.arg == "shell" and ast.unparse(key.value) != "False" for key in node.keywords)
                if shell or called(node) in ("eval", "exec", "os.system", "os.popen", "yaml.load"):
                    wrong.append(f"{name} {called(node)}")
    assert set(wrong) - COMPILES_ITSELF == set()


def test_the_daemon_starts_without_the_laboratorys_libraries() -> None:
    """Parquet and databases for analysis take a quarter of the daemon's memory; whoever asks for history loads them."""
    heavy = ("pyarrow", "duckdb", "pandas", "numba", "ccxt", "schemathesis")
    text = f"import sys, tradingd.daemon, tradingd.api.app; print([one for one in {heavy} if one in sys.modules])"
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_money_never_becomes_a_float_where_orders_are_decided() -> None:
    """The only door is `market.instrument.to_float`; a ratio is no money."""
    wrong = []
    for name, tree, _ in trees():
        if name.split("/")[0] not in ("orders", "risk"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) == "float":
                given = ast.unparse(node.args[0]) if node.args else ""
                if given.rsplit(".", 1)[-1] not in RATIOS:
                    wrong.append(f"{name}:{node.lineno} float({given})")
    assert wrong == []


def test_every_task_is_held_by_somebody() -> None:
    """A task that nobody holds can be collected while it runs, and its failure is never heard."""
    wrong = []
    for name, tree, _ in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                last = called(node.value).rsplit(".", 1)[-1]
                if last in ("create_task", "ensure_future"):
                    wrong.append(f"{name}:{node.lineno}")
    assert wrong == []


def test_only_the_gate_holds_the_key_to_approvals() -> None:
    users = {
        name for name, tree, _ in trees() for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "_GATE_KEY")
        or (isinstance(node, ast.Attribute) and node.attr == "_GATE_KEY")
        or (isinstance(node, ast.alias) and node.name == "_GATE_KEY")
    }
    assert users == {"risk/approved.py", "risk/gate.py"}


def test_no_order_code_reads_a_clock_or_draws_lots() -> None:
    forbidden = {"time", "datetime", "random", "secrets", "uuid", "asyncio", "threading", "logging"}
    wrong = []
    for name, tree, _ in trees():
        if name.split("/")[0] not in ("orders", "risk"):
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{name} {each}" for each in names if each.split(".")[0] in forbidden]
    assert wrong == []
