"""A fault: one small change to the source that the tests must reject."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In minivit/<module>.py the code `old` becomes `new` (pattern.py has the form of both).

    within: the function, "name" or "Class.name", where `old` stands more than once in the module. only_time: the change
    costs time or memory alone, so that no test can or should see it. tests: the beginning of the names of the tests to
    ask, where coverage can't tell them, as they start a process of their own, or where hundreds run the lines of which
    few could see it.
    """

    name: str
    module: str
    old: str
    new: str
    within: str | None = None
    only_time: bool = False
    tests: str = ""

    @property
    def folder(self):
        """The folder of minivit that it is planted in; the lesson's files for those at the top."""
        return self.module.rpartition("/")[0].split("/")[0] + ("/gpu" if "/gpu/" in self.module else "") or "top"
