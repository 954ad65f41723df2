"""The laboratory from here: backtests in processes of their own, their sessions, and the candle history."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from tradingd.api.access import Operator, Viewer
from tradingd.api.errors import ApiError, ErrorBody, json_response
from tradingd.api.models import Responses
from tradingd.api.models_research import BacktestRequest
from tradingd.api.routes_read import ERRORS
from tradingd.api.routes_trading import OPERATOR_ERRORS
from tradingd.research_jobs import (
    SESSION_NAME,
    JobView,
    LaboratoryError,
    ResearchJobs,
    TooManyJobsError,
    UnknownJobError,
)
from tradingd.research_line import Ended

_UNKNOWN: Final[Responses] = {404: {"model": ErrorBody, "description": "There is no such backtest or session"}}
_CONFLICT: Final[Responses] = {409: {"model": ErrorBody, "description": "It is not completed"}}
_NOTHING: Final = 7
"""The exit code of `tradelab` for what is not there."""
JobId = Annotated[str, Path(min_length=1, max_length=64)]
SessionName = Annotated[str, Path(pattern=SESSION_NAME)]
Names = Annotated[
    list[Annotated[str, Query(pattern=SESSION_NAME)]], Query(min_length=1, max_length=10, examples=[["one", "two"]])
]

router = APIRouter(prefix="/api", responses=ERRORS)


def jobs_of(request: Request) -> ResearchJobs:
    """Those of this app."""
    jobs: ResearchJobs = request.app.state.research
    return jobs


JobsOf = Annotated[ResearchJobs, Depends(jobs_of)]


@router.post(
    "/backtest/run", response_model=JobView, status_code=202, tags=["backtest"], responses=OPERATOR_ERRORS
)
async def run(jobs: JobsOf, who: Operator, request: BacktestRequest) -> Response:
    """Run a backtest in a process of its own, when its turn comes: `state` and `progress` tell."""
    try:
        return json_response(jobs.start(request.options(), request.param, who.user), 202)
    except TooManyJobsError as error:
        raise ApiError(429, "TOO_MANY_JOBS", str(error), headers={"Retry-After": "5"}) from error


@router.get("/backtest", response_model=list[JobView], tags=["backtest"])
async def jobs_listed(jobs: JobsOf, _: Viewer) -> Response:
    """Those asked for since the daemon started, newest first."""
    return json_response(jobs.views())


@router.get("/backtest/{job_id}/status", response_model=JobView, tags=["backtest"], responses=_UNKNOWN)
async def status(jobs: JobsOf, _: Viewer, job_id: JobId) -> Response:
    """How far one is."""
    return json_response(await _known(jobs, job_id))


@router.get(
    "/backtest/{job_id}/results", response_model=dict[str, Any], tags=["backtest"], responses=_UNKNOWN | _CONFLICT
)
async def results(jobs: JobsOf, _: Viewer, job_id: JobId) -> Response:
    """Figures, trades and where the data came from: docs/backtest.md explains each field."""
    view = await _known(jobs, job_id)
    if view.state != "completed":
        why = view.error or f"{view.progress.percent} % are done"
        raise ApiError(409, "NOT_COMPLETED", f"backtest {view.id} is {view.state}: {why}")
    try:
        return Response(await jobs.results(view.id), media_type="application/json")
    except UnknownJobError as error:
        raise _unknown(job_id) from error


@router.post(
    "/backtest/{job_id}/cancel", response_model=JobView, tags=["backtest"], responses=OPERATOR_ERRORS | _UNKNOWN
)
async def cancel(jobs: JobsOf, who: Operator, job_id: JobId) -> Response:
    """End it. Again, or when it has ended, is no error."""
    try:
        return json_response(await jobs.cancel(job_id))
    except UnknownJobError as error:
        raise _unknown(job_id) from error


@router.get("/research/sessions", response_model=list[dict[str, Any]], tags=["research"])
async def sessions(jobs: JobsOf, _: Viewer) -> Response:
    """Every backtest the laboratory keeps, with its main figures."""
    return json_response(await jobs.sessions())


@router.get("/research/sessions/{name}", response_model=dict[str, Any], tags=["research"], responses=_UNKNOWN)
async def session(jobs: JobsOf, _: Viewer, name: SessionName) -> Response:
    """One of them: figures, trades and where the data came from."""
    return Response(await _session(jobs, name), media_type="application/json")


@router.get("/research/compare", response_model=dict[str, Any], tags=["research"], responses=_UNKNOWN)
async def compare(jobs: JobsOf, _: Viewer, names: Names) -> Response:
    """The main figures of several sessions side by side."""
    try:
        return json_response(await jobs.compared(names))
    except UnknownJobError as error:
        raise _unknown_session(error) from error


@router.get("/data/coverage", response_model=list[dict[str, Any]], tags=["research"])
async def coverage(jobs: JobsOf, _: Viewer) -> Response:
    """Each series of the candle history: how much of it is there, and which gaps it has."""
    return _answer(await _ask(jobs, "data", "coverage"), empty=b"[]")


async def _session(jobs: ResearchJobs, name: str) -> bytes:
    try:
        return await jobs.results(name)
    except UnknownJobError as error:
        raise _unknown_session(error) from error


def _unknown_session(error: UnknownJobError) -> ApiError:
    return ApiError(404, "UNKNOWN_SESSION", f"{error}: GET /api/research/sessions lists them")


async def _ask(jobs: ResearchJobs, *arguments: str) -> Ended:
    try:
        return await jobs.ask(*arguments)
    except LaboratoryError as error:
        raise ApiError(503, "LABORATORY", str(error), headers={"Retry-After": "5"}) from error


def _answer(ended: Ended, empty: bytes) -> Response:
    if ended.code == _NOTHING:
        return Response(empty, media_type="application/json")
    if ended.code != 0:
        raise ApiError(503, "LABORATORY", ended.note or "the laboratory failed", headers={"Retry-After": "5"})
    return Response(ended.out, media_type="application/json")


async def _known(jobs: ResearchJobs, job_id: str) -> JobView:
    try:
        return await jobs.view(job_id)
    except UnknownJobError as error:
        raise _unknown(job_id) from error


def _unknown(job_id: str) -> ApiError:
    return ApiError(404, "UNKNOWN_BACKTEST", f"there is no backtest {job_id[:64]!r}: GET /api/backtest lists them")
