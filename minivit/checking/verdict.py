"""What `compare` returns: a row a step, and the verdict; print it for a table."""

from dataclasses import dataclass, field

from ..explain import screens

GRADIENT = "gradient of "


@dataclass
class Row:
    """One step's verdict. largest: max |ours − theirs|; relative: ‖ours − theirs‖ / ‖theirs‖; note: a misfit's kind.

    own: the relative difference of this step alone, made again from the reference's own input: without what the steps
    before it left. allowed: what rounding may leave of it. agrees: whether own is within that, and nothing before it
    is the reason for a larger `relative`.
    """

    name: str
    shape: tuple
    largest: float
    relative: float
    agrees: bool
    note: str = ""
    own: float = 0.0
    allowed: float = 0.0

    @property
    def right(self):
        """Whether this step is right in itself, whatever it was given."""
        return self.own <= self.allowed


@dataclass
class Comparison:
    """The verdict on every step; print it for a table.

    rows: one a step that the reference has. first_difference: the name of the first that disagrees, or None. cause:
    what removes the difference, in words, or None where nothing known does. shows: where no cause is known, what the
    step's input and output show. unused: names that are no step. remarks: what else was seen, of the pixels. unasked:
    names of gradients, where these are not compared.
    """

    model: str
    reference: str
    rows: list
    tolerance: float
    cause: str | None = None
    unused: list = field(default_factory=list)
    shows: str | None = None
    remarks: list = field(default_factory=list)
    unasked: list = field(default_factory=list)

    @property
    def agrees(self):
        """Whether every row agrees."""
        return all(row.agrees for row in self.rows)

    @property
    def first_difference(self):
        """The name of the first row that disagrees, or None."""
        return next((row.name for row in self.rows if not row.agrees), None)

    def __bool__(self):
        return self.agrees

    def __repr__(self):
        name_width = max(len(row.name) for row in self.rows)
        shapes = {row.name: " x ".join(map(str, row.shape)) for row in self.rows}
        shape_width = max(map(len, shapes.values()))
        lines = [f"{self.model} against {self.reference}",
                 f"{'step':{name_width}}  {'shape':>{shape_width}}  {'largest':>8}  {'relative':>8}  {'its own':>8}"]
        for row in self.rows:
            mark = row.note or ("ok" if row.agrees else "follows" if row.right else "DIFFERS")
            pointer = "  <- first" if row.name == self.first_difference else ""
            lines.append(f"{row.name:{name_width}}  {shapes[row.name]:>{shape_width}}  {row.largest:8.1e}  "
                         f"{row.relative:8.1e}  {row.own:8.1e}  {mark}{pointer}")
        return "\n".join([*lines, *self._verdict()])

    def _repr_html_(self) -> str:
        return screens.comparison_screen(self, list(self._verdict())).as_html()

    def _verdict(self):
        if self.unused:
            yield f"not compared, as no step has these names: {', '.join(self.unused)}"
        if self.unasked:
            names = ", ".join(self.unasked[:2]) + (", …" if len(self.unasked) > 2 else "")
            yield f"not compared: {names} ({len(self.unasked)} in all); give gradients=True (--gradients)"
        yield from self.remarks
        if self.agrees:
            largest = max(row.relative for row in self.rows)
            yield (f"all {len(self.rows)} rows agree, to a relative difference of {self.tolerance:.0e}"
                   if largest <= self.tolerance else
                   f"all {len(self.rows)} rows agree: made again from the reference's own input, no step is off by "
                   f"more than rounding; in all it grew to {largest:.0e}")
            return
        wrong = sum(not row.agrees for row in self.rows)
        follow = sum(not row.agrees and row.right for row in self.rows)
        yield (f"{wrong} of {len(self.rows)} rows differ by more than {self.tolerance:.0e}"
               + (f", {follow} of them only by what they were given" if follow else "")
               + f"; first: {self.first_difference}")
        if self.cause:
            yield f"cause: {self.cause}"
        else:
            yield "cause: none that is known; look at what makes this step out of the one before"
        if self.shows:
            yield self.shows
