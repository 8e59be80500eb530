"""`python -m ssdreal`."""

from ssdsim.entry import enter

if __name__ == "__main__":
    enter("ssdreal")
