"""A figure that shows itself once: in a notebook's cell, in a window, or, where neither can be, in words.

    figure = plt.figure(FigureClass=Figure)
    show(figure)
"""

import base64
import io
import sys

import matplotlib.figure
import matplotlib.pyplot as plt


class Figure(matplotlib.figure.Figure):
    """A figure for `show`. A notebook's cell draws it once, though `show` and the cell's last line both ask for it."""

    _drawn_in = None

    def _ipython_display_(self):
        from IPython.display import display
        cell = notebook().execution_count
        if self._drawn_in != cell:
            self._drawn_in = cell
            png = io.BytesIO()
            self.savefig(png, format="png", dpi=2 * self.dpi)           # twice the pixels in the same room: sharp
            width = round(self.get_figwidth() * self.dpi)
            display({"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": repr(self)}, raw=True,
                    metadata={"image/png": {"width": width}})


def show(figure):
    """Show a figure. It stays in pyplot's care only while a window shows it, so that figures do not pile up."""
    if figure.canvas.required_interactive_framework:                    # the backend has windows
        plt.show()
        return
    plt.close(figure)
    if notebook():
        figure._ipython_display_()
    else:
        print(f"no window can be opened here (matplotlib's backend is {plt.get_backend()}): "
              'figure = p.show() and figure.savefig("FILE.png") keep the picture', file=sys.stderr)


def notebook():
    """The IPython shell where its cells can show pictures, as in Jupyter, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if shell and "image/png" in shell.display_formatter.active_types else None
