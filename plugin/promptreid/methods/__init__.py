"""What is made of the shared parts: a room for each method. Importing this registers them."""

from __future__ import annotations

from promptreid.methods.base import register_method
from promptreid.methods.baselines.method import BaselineMethod, ThreeStreams
from promptreid.methods.dmpt.method import DMPTMethod
from promptreid.methods.mip.method import MIPMethod

for _method in (MIPMethod(), DMPTMethod(), BaselineMethod(), ThreeStreams()):
    register_method(_method)
