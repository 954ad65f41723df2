"""/practice/faults: faults ordered while the exchange runs, and what is wrong just now."""

import orjson
from aiohttp import web

from exchanges.practice.fault_script import FaultError, read_fault
from exchanges.practice.faults import Faults
from exchanges.practice.rest_market import reply


class FaultControl:
    """GET lists, POST adds (from now on, or `at` seconds after now), DELETE ends all."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        path = "/practice/faults"
        return [web.get(path, self.listing), web.post(path, self.add), web.delete(path, self.clear)]

    async def listing(self, _request: web.Request) -> web.Response:
        return reply({"now": round(self._faults.now_s(), 3), "faults": self._faults.listing()})

    async def add(self, request: web.Request) -> web.Response:
        """400 with the reason when it is not a fault."""
        try:
            row = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            return reply({"error": f"this is no JSON: {error}"}, 400)
        now = self._faults.now_s()
        if isinstance(row, dict) and type(row.get("at")) in (int, float):
            row = {**row, "at": now + row["at"]}
        try:
            fault = read_fault(row, default_at=now)
        except FaultError as error:
            return reply({"error": str(error)}, 400)
        self._faults.add(fault)
        return reply(self._faults.listing()[-1])

    async def clear(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return reply({"faults": []})
