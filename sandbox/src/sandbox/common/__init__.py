"""What both simulators share: a virtual clock, planned faults, the request log, and the ASGI shell that applies them.

Use: build `SimApp(routes, clock=..., faults=..., log=..., refusals=...)`; add `control_routes(...)` to the routes.
"""

from sandbox.common.app import SimApp
from sandbox.common.clock import SimClock
from sandbox.common.control import control_routes
from sandbox.common.faults import FaultPlan
from sandbox.common.log import RequestLog

__all__ = ["FaultPlan", "RequestLog", "SimApp", "SimClock", "control_routes"]
