"""The control API as one application."""

from typing import Final

from fastapi import Depends, FastAPI

from tradingd.api import (
    docs,
    document,
    errors,
    routes_account,
    routes_agents,
    routes_auth,
    routes_grids,
    routes_market,
    routes_metrics,
    routes_orders,
    routes_read,
    routes_research,
    routes_risk,
    routes_settings,
    routes_trading,
    routes_tuning,
)
from tradingd.api.guard import Guard
from tradingd.api.hosts import OwnNames
from tradingd.api.idempotency import Idempotency
from tradingd.api.proper_json import proper_json
from tradingd.api.rate_limit import RateLimit
from tradingd.api.websocket_hub import Hub
from tradingd.auth import Auth
from tradingd.control import Control
from tradingd.market_views import MonthProfiles
from tradingd.research_jobs import ResearchJobs
from tradingd.version import VERSION

_ABOUT = (
    "Watch and steer one running trading daemon. Log in at /api/auth/login and press Authorize. "
    "Money, prices and quantities are decimal strings, ratios run from 0 to 1, times are UTC. "
    "Every error is {code, message, ...}."
)


ROUTERS: Final = (
    routes_auth.router, routes_read.open_router, routes_read.router, routes_risk.router, routes_trading.router,
    routes_orders.router, routes_account.router, routes_grids.router, routes_agents.router, routes_settings.router,
    routes_research.router, routes_market.router, routes_tuning.router, routes_metrics.router,
)


def app_of_routes() -> FastAPI:
    """Every route, and nothing behind it: what the reference is made from."""
    app = FastAPI(
        title="tradingd", version=VERSION, description=_ABOUT, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False, dependencies=[Depends(proper_json)],
    )
    for router in ROUTERS:
        app.include_router(router)
    return app


def create_app(control: Control, auth: Auth) -> FastAPI:
    """The REST API over a runtime. Serve it with `tradingd.api.server.serve_api`."""
    app = app_of_routes()
    app.state.control = control
    app.state.auth = auth
    app.state.hashing = routes_auth.hashing_limit()
    api = control.settings.api
    app.state.names = OwnNames(api.host, api.allowed_hosts)
    hub = app.state.hub = Hub(control)
    app.state.profiles = MonthProfiles(control.settings.data_dir / "history", control.settings.venue, control.now)
    app.state.research = ResearchJobs(
        control.settings, lambda: control.status().session,
        lambda view: hub.publish("progress", {"event": "backtest", "backtest": view}),
    )
    errors.install(app, ROUTERS)
    docs.install(app)
    document.install(app, control)
    app.add_middleware(Idempotency, auth=auth)
    app.add_middleware(Guard, names=app.state.names, rate=RateLimit(api.requests_per_second), auth=auth)
    return app
