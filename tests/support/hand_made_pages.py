"""Pages of a run made by hand."""

from timelines import DEVICES, ssd

from ssdsim.page.pack import packed, payload
from ssdsim.page.write import html
from ssdsim.run.metrics import confidence, measure

TABS = ("overview", "timeline", "round", "text", "compare", "surface")


def hand_made(**changes):
    run = ssd(40, 1)
    run.info |= {"source": "sim", "complete": True, "lossless": True, "config": {"lookahead": 5}}
    run.info["metrics"] = measure(run.tables, DEVICES) | {"ci95": confidence(run.tables)}
    run.info |= changes
    return run


def page_of(*runs):
    return html(payload(*map(packed, runs)))
