"""An order whose request was made before it was approved."""

from collections.abc import Callable
from typing import final

from risk.approved import Approved, OrderRequest


@final
class PreparedSubmission:
    """Implements `exchanges.venue.PreparedOrder`: `post` sends what was made for `order`."""

    __slots__ = ("_order", "_post")

    def __init__(self, order: OrderRequest, post: Callable[[], None]) -> None:
        self._order = order
        self._post = post

    def send(self, approved: Approved) -> None:
        """Post it, as the venue's `submit` does; raises `ValueError` when it is another order that was approved."""
        order = self._order
        if approved.order is not order and approved.order != order:
            raise ValueError(f"{order.client_order_id} was prepared, {approved.order.client_order_id} approved")
        self._post()
