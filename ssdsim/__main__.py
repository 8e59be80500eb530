"""`python -m ssdsim`."""

from ssdsim.command.entry import enter

if __name__ == "__main__":
    enter("ssdsim")
