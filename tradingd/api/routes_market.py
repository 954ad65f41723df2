"""What the council sees: the scanner's ranking, and of one symbol the newest analysis and its thirty days."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tradingd.api.access import ControlOf, Viewer
from tradingd.api.errors import ApiError, json_response
from tradingd.api.routes_read import ERRORS
from tradingd.api.schema_shapes import VALUES
from tradingd.market_views import (
    MonthProfiles,
    ProfileError,
    ScannerView,
    SymbolMarketView,
    fundamentals_view,
    month_view,
)
from tradingd.symbols import find_symbol

Symbol = Annotated[
    str, Query(min_length=2, max_length=40, examples=["BTC/USDT"], json_schema_extra={VALUES: "symbols"})
]

router = APIRouter(prefix="/api", tags=["market"], responses=ERRORS)


@router.get("/scanner", response_model=ScannerView)
async def scanner(control: ControlOf, _: Viewer) -> Response:
    """The ranked symbols with scores and reasons, those on the watch list first; and who was left out, and why."""
    return json_response(control.read_model.market.scanner())


@router.get("/market", response_model=SymbolMarketView)
async def market(request: Request, control: ControlOf, _: Viewer, symbol: Symbol) -> Response:
    """One symbol: regime, every feature and every alpha's opinion of the newest candle, thirty days, status and age."""
    known = find_symbol(symbol, control.prices())
    if known is None:
        traded = ", ".join(sorted(control.prices())[:8])
        raise ApiError(
            422, "UNKNOWN_SYMBOL", f"{symbol!r} is not traded here. Traded, for example: {traded}", field="symbol"
        )
    profiles: MonthProfiles = request.app.state.profiles
    try:
        stored = await asyncio.to_thread(profiles.stored, known)
    except ProfileError as error:
        raise ApiError(503, "HISTORY_DAMAGED", str(error)) from error
    seen = control.read_model.market
    fundamentals = fundamentals_view(stored.first_ns, control.now(), is_halted=seen.is_halted(known))
    return json_response(SymbolMarketView(known, seen.analysis(known), month_view(stored.month), fundamentals))
