"""A device that does nothing before it is waited for: what it still has to read must stay."""

from ssdreal.static import server
from ssdreal.static.capture import Lane
from ssdreal.static.passes import StaticReader


class LateLane(Lane):
    def capture(self, work):
        replay = super().capture(work)
        return lambda: self.asked.append(replay)

    def copy(self, there, here):
        self.asked.append(lambda: there.copy_(here))

    def mark(self):
        self.asked.append(None)
        return self.up_to_the_mark

    def up_to_the_mark(self):
        mark = self.asked.index(None)
        asked, self.asked = self.asked[:mark], self.asked[mark + 1 :]
        for work in asked:
            work()

    def wait(self):
        super().wait()
        asked, self.asked = self.asked, []
        for work in filter(None, asked):
            work()

    @property
    def asked(self):
        return self.__dict__.setdefault("_asked", [])

    @asked.setter
    def asked(self, left):
        self.__dict__["_asked"] = left


def use(patch):
    """Let static servers run on such devices."""
    patch.setattr(server, "Lane", LateLane)
    read = StaticReader._pass

    def in_turn(reader, *arguments, **named):  # what is no graph is asked for like any other
        reader.lane.wait()
        return read(reader, *arguments, **named)

    patch.setattr(StaticReader, "_pass", in_turn)
