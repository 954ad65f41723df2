"""A lease in Redis: one holder at a time, each with a higher number than all before it."""

from typing import Final

import redis.asyncio as redis
from redis.exceptions import RedisError

_TAKE: Final = """
local held = redis.call('HGETALL', KEYS[1])
local known = {}
for i = 1, #held, 2 do known[held[i]] = held[i + 1] end
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
if known.holder and known.holder ~= ARGV[1] and tonumber(known.until_ms) > ms then return {0, known.holder} end
local token = tonumber(known.token or '0')
if known.holder ~= ARGV[1] then token = token + 1 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', token, 'until_ms', ms + ARGV[2])
return {token, ARGV[1]}
"""
_GIVE_BACK: Final = """
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then redis.call('HSET', KEYS[1], 'until_ms', 0) end
return 0
"""
_TIMEOUT_S: Final = 3.0


class RedisLease:
    """Take it again to keep it. Judged by Redis' own clock; the number survives the holder (fencing)."""

    def __init__(self, url: str, key: str) -> None:
        self._client = redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._key = key

    async def take(self, holder: str, ttl_s: float) -> tuple[int, str]:
        """(number, holder); the number is 0 when somebody else holds it. Raises `OSError` when Redis is away."""
        try:
            token, who = await self._client.eval(_TAKE, 1, self._key, holder, str(int(ttl_s * 1000)))
        except RedisError as error:
            raise OSError(f"Redis: {error}") from error
        return int(token), who.decode()

    async def give_back(self, holder: str) -> None:
        """Somebody else may take it at once. Raises `OSError` when Redis is away."""
        try:
            await self._client.eval(_GIVE_BACK, 1, self._key, holder)
        except RedisError as error:
            raise OSError(f"Redis: {error}") from error

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()
