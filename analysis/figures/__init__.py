"""The figures of the notebooks: each function draws one, from a profile's folder under traces/."""

import matplotlib.pyplot as plt
import seaborn as sns


def style() -> None:
    """Set what all figures have in common."""
    sns.set_theme(style="whitegrid", context="notebook")
    plt.rcParams |= {"figure.dpi": 90, "savefig.dpi": 90, "axes.titleweight": "bold"}
