"""The control API as one application."""

from fastapi import FastAPI

from tradingd.api import (
    docs,
    errors,
    routes_account,
    routes_auth,
    routes_grids,
    routes_orders,
    routes_read,
    routes_risk,
    routes_trading,
)
from tradingd.api.guard import Guard
from tradingd.auth import Auth
from tradingd.control import Control
from tradingd.version import VERSION

_ABOUT = (
    "Watch and steer one running trading daemon. Log in at /api/auth/login and press Authorize. "
    "Money, prices and quantities are decimal strings, ratios run from 0 to 1, times are UTC. "
    "Every error is {code, message, ...}."
)


def create_app(control: Control, auth: Auth) -> FastAPI:
    """The REST API over a runtime. Serve it with `tradingd.api.server.serve_api`."""
    app = FastAPI(
        title="tradingd", version=VERSION, description=_ABOUT, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )
    app.state.control = control
    app.state.auth = auth
    app.state.hashing = routes_auth.hashing_limit()
    errors.install(app)
    for router in (
        routes_auth.router, routes_read.open_router, routes_read.router, routes_risk.router, routes_trading.router,
        routes_orders.router, routes_account.router, routes_grids.router,
    ):
        app.include_router(router)
    docs.install(app)
    app.add_middleware(Guard, host=control.settings.api.host)
    return app
