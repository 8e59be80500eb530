"""What both command lines refuse alike, and what their one line says."""

# What is asked for, and what the line must hold: option, value, and what would be right.
COMMON = {
    "unknown key": (("polcy=x",), "polcy=x", "policy"),
    "added key": (("+foo=1",), "foo=1", "choose among method, drafter, policy"),
    "removed key": (("~seed",), "seed", "needs a value"),
    "added to saguaro": (("+saguaro.x=1",), "saguaro.x=1", "constant, fanout"),
    "option of a plug-in": (("policy.nosuch=1",), "policy.nosuch=1", "budget, prior, ranks"),
    "unknown policy": (("policy=nosuch",), "policy=nosuch", "fixed_fanout, geometric_fanout"),
    "no value": (("lookahead",), "lookahead", "OPTION=VALUE"),
    "several values": (("lookahead=3,5",), "lookahead=3,5", "add -m"),
    "lookahead": (("lookahead=-1",), "lookahead=-1", ">= 0"),
    "batch": (("batch=0",), "batch=0", ">= 1"),
    "seed": (("seed=-1",), "seed=-1", ">= 0"),
    "word for a number": (("lookahead=abc",), "lookahead='abc'", "integer"),
    "a list too long": (
        ("policy=fixed_fanout", "policy.fanout=[3,3,3]", "lookahead=1"),
        "policy.fanout=[3, 3, 3]",
        "lookahead + 1 = 2",
    ),
    "no prompts": (("workload.prompts=0",), "workload.prompts=0", ">= 1"),
}
