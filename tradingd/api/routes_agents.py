"""The alphas behind the council: their weights, their results; and the glass over agents, alphas and events."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from bus.messages.council import WeightChanged
from tradingd.alpha_fold import AlphaResultView
from tradingd.api.access import ControlOf, Operator, Viewer
from tradingd.api.errors import ApiError, ErrorBody, json_response, sliced_response
from tradingd.api.models import Responses
from tradingd.api.models_agents import AlphaDebugView, AlphaState, WeightRequest, WeightView, weight_view
from tradingd.api.routes_read import ERRORS, SymbolQuery, symbol_of
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.api.schema_shapes import VALUES
from tradingd.control import Control
from tradingd.decision_view import DecisionView, Wanted, decision_views
from tradingd.profile import ProfileView, profile_view
from tradingd.read_model_views import TraceEntry
from tradingd.recent_events import EventView

_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "There is no such alpha or agent"}}
Name = Annotated[
    str,
    Path(
        min_length=1, max_length=64, description="An alpha, such as momentum", json_schema_extra={VALUES: "alphas"}
    ),
]
AgentName = Annotated[
    str,
    Path(
        min_length=1, max_length=64, description="One of the six, such as analyst", json_schema_extra={VALUES: "agents"}
    ),
]
DecisionId = Annotated[str, Path(min_length=1, max_length=120, description="Of a decision or a proposal")]
_EVENTS_AT_ONCE: Final = 50
_ONE_SEARCH: Final = asyncio.Semaphore(1)
"""Through the journal at a time: it reads all of it."""
Word = Annotated[str, Query(max_length=80)]

router = APIRouter(prefix="/api", tags=["agents"], responses=ERRORS)


@router.get("/agents/performance", response_model=list[AlphaResultView])
async def performance(control: ControlOf, _: Viewer) -> Response:
    """Each alpha: how often it was right, what the trades it led have earned, its share in the profit."""
    return json_response([control.read_model.alphas.result(name) for name in sorted(control.alpha_weights())])


@router.get("/agents/{agent_id}/weight", response_model=WeightView, responses=_UNKNOWN)
async def weight(control: ControlOf, _: Viewer, agent_id: Name) -> Response:
    """How much this alpha counts in the council, and who said so."""
    return json_response(_weight_view(control, agent_id))


@router.put("/agents/{agent_id}/weight", response_model=WeightView, responses=OPERATOR_ERRORS | _UNKNOWN)
@router.post(
    "/agents/{agent_id}/weight", response_model=WeightView, responses=OPERATOR_ERRORS | _UNKNOWN,
    operation_id="post_weight",
)
async def set_weight(control: ControlOf, who: Operator, agent_id: Name, request: WeightRequest) -> Response:
    """Let an alpha count more or less, 0 = off: at once, and after restarts until it is set anew or released."""
    known = _weight_view(control, agent_id)
    if (request.weight is None) == (request.version is None):
        raise ApiError(422, "INVALID_WEIGHT", "give weight (0 to 1), or version: one of the two")
    weight, reason = request.weight, request.reason
    if weight is None:
        found = next((change for change in known.changes if change.version == request.version), None)
        if found is None:
            kept = ", ".join(str(change.version) for change in known.changes) or "none"
            raise ApiError(404, "UNKNOWN_VERSION", f"version {request.version} of {agent_id} is not kept: {kept} are")
        weight, reason = found.weight, reason or f"back to version {found.version}"
    version = control.read_model.alphas.weights.version(agent_id) + 1
    await control.execute(WeightChanged(agent_id, weight, who.user, reason, version=version), by=who.user)
    return json_response(_weight_view(control, agent_id))


@router.delete("/agents/{agent_id}/weight", response_model=WeightView, responses=OPERATOR_ERRORS | _UNKNOWN)
async def release_weight(control: ControlOf, who: Operator, agent_id: Name) -> Response:
    """Take a person's word back: what was learnt of the alpha, or else the file, says again how much it counts."""
    _weight_view(control, agent_id)
    await control.execute(control.released_weight(agent_id, who.user), by=who.user)
    return json_response(_weight_view(control, agent_id))


@router.get("/decisions", response_model=list[DecisionView], tags=["status"])
async def decisions(
    control: ControlOf, _: Viewer,
    symbol: SymbolQuery = None,
    outcome: Annotated[Wanted | None, Query(description="An outcome, or a verdict on a proposal")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """What the council decided, with every vote, newest first: what led to nothing, too."""
    wanted = symbol_of(control, symbol) if symbol else ""
    council = control.read_model.council
    return json_response(decision_views(council, symbol=wanted, outcome=outcome or "", limit=limit))


@router.get(
    "/decisions/{decision_id}/trace", response_model=list[TraceEntry], tags=["status"],
    responses={404: {"model": ErrorBody, "description": "No such decision"}},
)
async def decision_trace(control: ControlOf, _: Viewer, decision_id: DecisionId) -> Response:
    """Why the council decided so: the candle, every vote, the proposal or why there was none, the verdict with the
    numbers of the rules that failed. By the id of a decision or of a proposal."""
    model = control.read_model
    entries = model.decision_trace(decision_id)
    if entries is None and model.is_past_decision(decision_id):
        async with _ONE_SEARCH:
            entries = await asyncio.to_thread(model.past_decision_trace, decision_id)
    if entries is None:
        message = f"there is no decision {decision_id[:64]!r}: `tradingd decisions` and GET /api/decisions list them"
        raise ApiError(404, "UNKNOWN_DECISION", message)
    return json_response([asdict(entry) for entry in entries])


@router.get("/debug/alphas", response_model=list[AlphaDebugView], tags=["debug"])
async def alphas(control: ControlOf, _: Viewer) -> Response:
    """Each alpha live: last signal, confidence, state, time it takes, memory it holds, success rate."""
    parts, uptime_s = control.inspected(), control.status().uptime_s
    views = []
    for name, held in sorted(control.alpha_weights().items()):
        part = parts.get(f"alpha:{name}")
        fold = control.read_model.alphas
        last = fold.last_signal(name)
        failing = part is not None and part.timing.failures > 0
        state: AlphaState = "off" if not held else "failing" if failing else "waiting" if last is None else "active"
        shown = None if part is None else await profile_view(name, part, uptime_s)
        views.append(AlphaDebugView(name, state, held, last, fold.result(name), shown))
    return json_response(views)


@router.get("/debug/agents/{agent_id}/profile", response_model=ProfileView, tags=["debug"], responses=_UNKNOWN)
async def profile(control: ControlOf, _: Viewer, agent_id: AgentName) -> Response:
    """How long one of the six agents thinks, and how much memory hangs on it."""
    part = control.inspected().get(f"agent:{agent_id}")
    if part is None:
        raise _unknown(agent_id, {name[6:]: 0.0 for name in control.inspected() if name.startswith("agent:")})
    return json_response(await profile_view(agent_id, part, control.status().uptime_s))


@router.get("/debug/events", response_model=list[EventView], tags=["debug"])
async def events(
    control: ControlOf, _: Viewer, after: Word = "", kind: Word = "", source: Word = "",
    limit: Annotated[int, Query(ge=1, le=2_000)] = 200,
) -> Response:
    """The last events again, oldest first: ask with `after` = the last id you have for what came since."""
    found: dict[str, EventView] = {}
    for done in range(0, limit, _EVENTS_AT_ONCE):  # a few at a time: the loop also trades
        wanted = min(_EVENTS_AT_ONCE, limit - done)
        part = control.read_model.events.replay(after=after, kind=kind, source=source, limit=wanted)
        found.update((event.id, event) for event in part)
        if len(part) < wanted:
            break
        after = part[-1].id
        await asyncio.sleep(0)
    return await sliced_response(list(found.values()), lambda event: event)


def _weight_view(control: Control, alpha: str) -> WeightView:
    weights = control.alpha_weights()
    if alpha not in weights:
        raise _unknown(alpha, weights)
    return weight_view(alpha, weights[alpha], control.settings.council.weights, control.read_model.alphas.weights)


def _unknown(name: str, known: Mapping[str, float]) -> ApiError:
    return ApiError(404, "UNKNOWN_AGENT", f"there is no {name[:64]!r} here: there are {', '.join(sorted(known))}")


