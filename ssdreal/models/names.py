"""Names of the models that ship with this project or that it builds."""

PACKAGED = ("smollm2_135m_draft",)
TINY = ("tiny_target", "tiny_draft", "tiny_trimmed_draft")
NAMES = ("smollm2_135m", "smollm2_135m_draft", *TINY)
WITH_WEIGHTS = ("smollm2_135m", *PACKAGED)  # names in conf/shape whose weights can be had
