"""`python -m ssdsim`."""

from ssdsim.entry import enter

if __name__ == "__main__":
    enter("ssdsim")
