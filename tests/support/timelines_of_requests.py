"""Requests that come as told, on a machine in whole units of time."""

from dataclasses import dataclass

from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.workloads.base import Request, Workload

# A verify takes 1, a prompt's pass 2.
PLAIN = Machine(Constant(verify=1.0, step=0.0, prefill=2.0), Constant(verify=0.0, step=0.25))


@dataclass(frozen=True)
class Told(Workload):
    requests_: tuple[Request, ...] = ()

    longest_prompt = property(lambda self: max(one.prompt_tokens for one in self.requests_))
    longest_output = property(lambda self: max(one.output_tokens for one in self.requests_))

    def requests(self, seed):
        return list(self.requests_)
