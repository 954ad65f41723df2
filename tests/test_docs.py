"""The documents against the product: what a page says exists, and what must be on a page is there."""

import ast
import importlib.util
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from fastapi.routing import APIRoute
from pydantic import BaseModel

from agents.alphas.alpha import MarketView, Opinion
from agents.alphas.registry import make_alphas
from agents.analyst import FEATURE_NAMES, Analyst, AnalystConfig
from bus.ids import SessionId
from bus.messages.council import AlphaSignal, AnalysisCompleted
from bus.messages.header import MessageMaker
from risk.codes import DENIAL_CODES
from risk.limits import TOLERANCES, RiskLimits
from tests.candle_paths import candles, random_rows
from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd import exit_codes
from tradingd.api.app import ROUTERS, create_app
from tradingd.auth import Auth
from tradingd.cli import app as command_line
from tradingd.read_model_views import OrderView, PositionRow, TraceEntry
from tradingd.settings import Settings, VenueSettings
from tradingd.settings_alerts import AlertChannelSettings
from tradingd.status_view import StatusView

ROOT = Path(__file__).resolve().parents[1]
README, INTERFACES = "README.md", "docs/interfaces.md"
PAGES = (README, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
LINKING_PAGES = (*PAGES, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")
COMMANDS = ("tradingd ", "chmod ", "ss ", "--")
CODE_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EVERY_COMMAND_HAS = frozenset({"--help", "-h"})


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(name: str, language: str) -> list[str]:
    return [body for kind, body in CODE_BLOCK.findall(page(name)) if kind == language]


def code_spans(name: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", CODE_BLOCK.sub("", page(name)))


def section(name: str, heading: str) -> str:
    """From the heading to the next one of its level or a higher one."""
    text = page(name)
    level, start = heading.split(" ")[0], text.index(f"\n{heading}\n") + len(heading) + 2
    end = re.search(rf"^#{{1,{len(level)}}} ", text[start:], re.MULTILINE)
    return text[start : start + end.start()] if end else text[start:]


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row; headings and rules are left out."""
    lines = text.splitlines()
    rows = []
    for index, line in enumerate(lines):
        is_heading = index + 1 < len(lines) and lines[index + 1].startswith("|--")
        if line.startswith("| ") and not is_heading:
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---- links -------------------------------------------------------------------------------------------


def anchors(name: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", page(name)), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", LINKING_PAGES)
def test_every_link_between_documents_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE_BLOCK.sub("", page(name))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(str(found.resolve().relative_to(ROOT))), f"{name}: {target}"


def test_the_readme_leads_to_every_page() -> None:
    for name in PAGES[1:]:
        assert f"]({name})" in page(README), name


def test_the_paths_the_alpha_page_names_exist() -> None:
    for span in code_spans("docs/alphas.md"):
        if re.fullmatch(r"(agents|tests)/[a-z_/]+\.py", span):
            assert (ROOT / span).exists(), span


# ---- commands ----------------------------------------------------------------------------------------


def cli_command(words: list[str]) -> Any:
    """The command that `words` (after `tradingd`) name, or None."""
    found: Any = typer.main.get_command(command_line)
    for word in words:
        if not hasattr(found, "commands"):
            break
        found = found.commands.get(word)
        if found is None:
            return None
    return found


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}


def mentioned_commands(name: str) -> Iterator[list[str]]:
    """The words after `tradingd` in code spans, and in what follows a prompt in console blocks."""
    for span in code_spans(name):
        if span.startswith("tradingd "):
            yield re.split(r"[ ]+", span)[1:]
    for block in code_blocks(name, "console"):
        for line in block.splitlines():
            if line.startswith("$ tradingd "):
                yield shlex.split(line.removeprefix("$ tradingd "), comments=True)


@pytest.mark.parametrize("name", LINKING_PAGES)
def test_every_command_and_option_a_document_mentions_exists(name: str) -> None:
    for words in mentioned_commands(name):
        if not re.fullmatch(r"[a-z]+", words[0]):
            continue  # `tradingd COMMAND`
        command = cli_command(words)
        assert command is not None, f"{name}: tradingd {' '.join(words)}"
        if words[0] == "practice":
            continue  # it reads its own options
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= options_of(command) | EVERY_COMMAND_HAS, f"{name}: tradingd {' '.join(words)}"


def command_paths(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        yield words
        return
    if command.invoke_without_command:
        yield words
    for word, child in command.commands.items():
        yield from command_paths(child, (*words, word))


def test_the_table_of_commands_is_complete_with_all_their_options() -> None:
    told: dict[tuple[str, ...], set[str]] = {}
    for cells in table_rows(section(INTERFACES, "## Command line").partition("### Exit codes")[0]):
        words = spans(cells[0])[0].split()[1:]
        told[tuple(word for word in words if word.islower())] = set(spans(cells[2]))
    real = set(command_paths(typer.main.get_command(command_line)))
    assert set(told) == real
    for path in real - {("practice",)}:
        common = {"--config", "--data-dir"} if path != ("version",) else set()
        own = {option for option in options_of(cli_command(list(path))) if option.startswith("--")}
        assert told[path] | common == own - EVERY_COMMAND_HAS, path


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    rows = table_rows(section(INTERFACES, "### Exit codes"))
    assert {int(code): meaning for code, meaning in rows} == exit_codes.MEANINGS


def test_every_make_target_a_document_mentions_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    for name in LINKING_PAGES:
        named = {span.split()[1] for span in code_spans(name) if re.match(r"make [a-z]+", span)}
        for block in code_blocks(name, "console"):
            named |= set(re.findall(r"^\$ (?:[A-Z_]+=\S+ )*make ([a-z]+)", block, re.MULTILINE))
        assert named <= targets, name


# ---- settings ----------------------------------------------------------------------------------------


def settings_keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        yield before + name
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_keys(kind, f"{before}{name}.")


KEYS = frozenset(settings_keys(Settings))
SECTIONS = frozenset(key.split(".")[0] for key in KEYS if "." in key)


def is_key(dotted: str) -> bool:
    parts = dotted.split(".")
    in_alerts = parts[0] == "alerts" and len(parts) == 3 and parts[2] in AlertChannelSettings.model_fields
    in_venues = parts[0] == "venues" and (len(parts) == 2 or parts[2] in VenueSettings.model_fields)
    return dotted in KEYS or in_venues or in_alerts


@pytest.mark.parametrize("name", LINKING_PAGES)
def test_every_setting_a_document_mentions_exists(name: str) -> None:
    for span in code_spans(name):
        is_file = span.endswith((".journal", ".json"))
        if not is_file and span.split(".")[0] in SECTIONS and re.fullmatch(r"[a-z]+\.[a-z_]+", span):
            assert is_key(span), f"{name}: {span}"
        for heading in re.findall(r"^\[([a-z]+)[.\]]", span):
            assert heading in SECTIONS | {"venues"}, f"{name}: {span}"
    for variable in re.findall(r"\bTRADINGD__([A-Z0-9_]+[A-Z0-9])\b", page(name)):
        if variable != "SECTION__KEY" and "NAME" not in variable:
            assert is_key(variable.lower().replace("__", ".")), f"{name}: TRADINGD__{variable}"


def test_the_table_of_stable_settings_has_the_defaults_of_config_toml() -> None:
    shipped = tomllib.loads(page("config.toml"))
    rows = table_rows(section(INTERFACES, "## Settings"))
    assert len(rows) > 20
    for cells in rows:
        (key,), told = spans(cells[0]), spans(cells[2])
        assert is_key(key), key
        value: Any = shipped
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if told:
            assert told == [str(value).lower() if isinstance(value, bool) else str(value)], key
        elif key == "candles.intervals":
            assert cells[2] == ", ".join(value)
        else:
            assert value in (None, "") or isinstance(value, list | dict), f"{key}: write its default into the table"


def test_the_table_of_risk_tolerances_is_that_of_the_risk_limits() -> None:
    told = {}
    for word, drawdown, positions in table_rows(section(README, "## Three settings")):
        told[word.split()[0]] = {"max_drawdown": drawdown, "max_positions": int(positions)}
    real = {
        word: {"max_drawdown": f"{limits['max_drawdown'] * 100:.0f} %", "max_positions": limits["max_positions"]}
        for word, limits in TOLERANCES.items()
    }
    assert told == real
    assert {name for limits in TOLERANCES.values() for name in limits} == {"max_drawdown", "max_positions"}


def test_the_limits_the_readme_calls_common_are_the_defaults() -> None:
    limits = RiskLimits()
    told = re.search(r"(\d+) % of equity\s+in one asset, (\d+) % in total, (\d+) % loss a day", page(README))
    assert told is not None
    assert [int(number) for number in told.groups()] == [
        limits.exposure_per_asset * 100, limits.exposure_total * 100, limits.daily_loss * 100,
    ]


# ---- denial codes ------------------------------------------------------------------------------------


def test_the_table_of_denial_codes_is_complete_and_says_what_to_do() -> None:
    rows = [cells for cells in table_rows(page("docs/denial-codes.md")) if len(cells) == 4]
    told = [(spans(code)[0], family, meaning) for code, family, meaning, _ in rows]
    assert told == [(entry.code, entry.family, entry.meaning) for entry in DENIAL_CODES.values()]
    assert all(len(remedy) > 10 and remedy.endswith(".") for *_, remedy in rows)


def test_every_family_of_denials_is_explained() -> None:
    families = {cells[0] for cells in table_rows(page("docs/denial-codes.md")) if len(cells) == 3}
    assert families >= {entry.family for entry in DENIAL_CODES.values()}


# ---- JSON and REST -----------------------------------------------------------------------------------


ANSWERS = {
    "### status": StatusView, "### orders": OrderView, "### positions": PositionRow, "### explain": TraceEntry,
}


@pytest.mark.parametrize(("heading", "view"), ANSWERS.items())
def test_the_fields_of_json_answers_are_those_of_the_views(heading: str, view: Any) -> None:
    names = [field.name for field in fields(view)]
    told = [name for cells in table_rows(section(INTERFACES, heading)) for name in spans(cells[0])]
    assert sorted(told) == sorted(names)
    example = json.loads(CODE_BLOCK.findall(section(INTERFACES, heading))[0][1])
    assert sorted(example[0] if isinstance(example, list) else example) == sorted(names)


def test_every_json_example_is_json() -> None:
    for name in PAGES:
        for block in code_blocks(name, "json"):
            json.loads(block)


def test_the_table_of_rest_paths_is_that_of_openapi(tmp_path: Path) -> None:
    api = create_app(SmallDaemon(settings_in(tmp_path)), Auth.open(tmp_path))
    real = {
        (method.upper(), path, "none" if "security" not in operation else "token")
        for path, methods in api.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    # Kept out of the reference with a reason, but not out of the page.
    real |= {
        (method, route.path, "token")
        for router in ROUTERS for route in router.routes
        if isinstance(route, APIRoute) and route.path.startswith("/api/") and not route.include_in_schema
        for method in route.methods or ()
    }
    told = set()
    for what, role, _ in table_rows(section(INTERFACES, "## REST").partition("### Errors")[0]):
        assert role in ("none", "viewer", "operator")
        told.add((what.split()[0], spans(what)[0], "none" if role == "none" else "token"))
    assert told == real


def test_the_table_of_error_codes_is_that_of_the_api() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tradingd/api").glob("*.py")))
    pairs = re.findall(r'\b(4\d\d|5\d\d)(?:,|:)\s+"([A-Z][A-Z_]+)"', sources)
    real = {code for _, code in pairs} | set(re.findall(r'"code": "([A-Z_]+)"', sources))
    real |= set(re.findall(r'SayError\("([A-Z_]+)"', sources))
    refusals = (
        ("operations", r'Error\(\s*"([A-Z_]+)",'), ("mode_switch", r'= \("([A-Z_]+)",'),
        ("mode_switch", r'\(\s*"([A-Z]+_[A-Z_]+)",'), ("mode_switch", r'return "([A-Z_]+)",'),
    )
    for name, refusal in refusals:
        real |= set(re.findall(refusal, (ROOT / f"tradingd/{name}.py").read_text(encoding="utf-8")))
    rows = {spans(code)[0]: status for code, status, _ in table_rows(section(INTERFACES, "### Errors")) if spans(code)}
    assert set(rows) == real
    for status, code in pairs:
        assert rows[code] == status


# ---- the alpha page ----------------------------------------------------------------------------------


def load(name: str, path: Path, source: str) -> ModuleType:
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def breakout(tmp_path: Path) -> Iterator[ModuleType]:
    """The page's alpha, under the name the page gives it."""
    name = "breakout"
    yield load(name, tmp_path / "breakout.py", code_blocks("docs/alphas.md", "python")[0])
    del sys.modules[name]


def test_the_alpha_of_the_page_has_at_most_twenty_lines() -> None:
    source = code_blocks("docs/alphas.md", "python")[0]
    assert 10 < sum(1 for line in source.splitlines() if line.strip()) <= 20


def test_the_alpha_of_the_page_speaks_beside_the_others_and_never_fails(breakout: ModuleType) -> None:
    alphas = (*make_alphas({}), breakout.Breakout())
    config = AnalystConfig("1s", ("1s", "5s"), {"momentum": 1.0, "breakout": 0.5})
    analyst, maker = Analyst(config, ["BTC/USDT"], alphas), MessageMaker("engine", SessionId("docs"))
    emits = [emit.body for one in candles(random_rows(3, 500)) for emit in analyst.handle(maker.make(one, one.ts_init))]
    votes = [body.signals[-1] for body in emits if isinstance(body, AnalysisCompleted)]
    assert len(votes) == 500
    assert {vote.alpha for vote in votes} == {"breakout"}
    assert votes[0].confidence == 0.0
    acts = [vote for vote in votes if vote.action != "hold"]
    assert {vote.action for vote in acts} == {"trail_buy", "trail_sell"}
    assert all(0.58 <= vote.confidence <= 0.9 and vote.weight == 0.5 and vote.trail_ratio > 0 for vote in acts)
    assert [body for body in emits if isinstance(body, AlphaSignal) and body.alpha == "breakout"] == acts
    assert "fail" not in analyst.status().message


def test_the_alpha_of_the_architecture_is_as_short_and_speaks_too(tmp_path: Path) -> None:
    source = code_blocks("ARCHITECTURE.md", "python")[0]
    assert 10 < sum(1 for line in source.splitlines() if line.strip()) <= 20
    dip = load("dip", tmp_path / "dip.py", source).Dip()
    del sys.modules["dip"]
    analyst, maker = Analyst(AnalystConfig("1s", ("1s",), {"dip": 1.0}), ["BTC/USDT"], [dip]), MessageMaker(
        "engine", SessionId("docs")
    )
    emits = [emit.body for one in candles(random_rows(3, 500)) for emit in analyst.handle(maker.make(one, one.ts_init))]
    votes = [body.signals[0] for body in emits if isinstance(body, AnalysisCompleted)]
    assert votes[48].confidence == 0.0
    assert {vote.action for vote in votes[49:]} == {"hold", "trail_buy"}
    assert all(0.65 <= vote.confidence <= 0.9 for vote in votes if vote.action == "trail_buy")
    assert "fail" not in analyst.status().message


def test_the_test_of_the_page_passes(breakout: ModuleType, tmp_path: Path) -> None:
    source = code_blocks("docs/alphas.md", "python")[1]
    load("page_test", tmp_path / "page_test.py", source).test_a_breakout_on_volume_is_followed()
    del sys.modules["page_test"]


def test_the_page_names_every_feature_and_every_field_of_view_and_opinion() -> None:
    view, rest = section("docs/alphas.md", "## What a MarketView holds"), section(
        "docs/alphas.md", "## What an Opinion says"
    )
    told = [name for cells in table_rows(view) for name in spans(cells[0])]
    names = [field.name for field in fields(MarketView)]
    assert sorted(told) == sorted([*names, *FEATURE_NAMES])
    assert [spans(cells[0])[0] for cells in table_rows(rest)] == [field.name for field in fields(Opinion)]


# ---- when something is wrong ---------------------------------------------------------------------------


def said_in_the_code() -> str:
    """Every text of the product, a line each; of an f-string what stands between its values."""
    folders = ("tradingd", "orders", "exchanges", "store", "risk")
    trees = [ast.parse(path.read_text("utf-8")) for each in folders for path in sorted((ROOT / each).rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_the_words_that_the_page_of_troubles_explains_are_those_of_the_product() -> None:
    said = said_in_the_code()
    quoted = [span for span in code_spans("docs/troubleshooting.md") if " " in span and not span.startswith(COMMANDS)]
    pieces = [piece.strip(" ()") for span in quoted for piece in span.split("...")]
    assert len(quoted) > 25
    assert not [piece for piece in pieces if piece not in said]


# ---- words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_a_document_has_no_path_of_one_machine_and_no_endless_line(name: str) -> None:
    text = page(name)
    assert not re.search(r"(?<![\w.])/(work|home|tmp|root)/", text)
    assert all(len(line) <= 125 for line in text.splitlines() if not line.startswith("|"))


def test_the_readme_stays_short() -> None:
    assert len(page(README).splitlines()) < 220
