"""Draws tables of the bench as bars, in SVG: the same bytes for the same figures."""

import io

# What is shown of the tables, by the beginning of their titles, and in which words.
SHOWN = [
    ("drawn: busy shader, 1280x720", "a busy shader\n1280x720"),
    ("drawn: busy shader, 1920x1080", "a busy shader\n1920x1080"),
    ("files: camera, 1280x720", "a camera, from a file\n1280x720"),
]
ROWS = [("frames/s", "frames/s, more is better"), ("CPU ms a frame", "CPU time a frame in ms, less is better")]
# Grey that can be read on white and on black, and colours likewise that colour-blind people tell apart.
INK = "#7a828c"
COLOURS = {
    "mb-encode": "#1f8f5f",
    "GStreamer, openh264enc": "#3b82c4",
    "GStreamer, x264enc": "#8aa9d6",
    "ffmpeg, libx264 superfast": "#d98324",
    "ffmpeg, libx264 ultrafast": "#e0ab6b",
}


def bars(tables):
    """For each of `SHOWN` that was measured: its words, and the lines in it with the cell of each of `ROWS`."""
    found = []
    for beginning, words in SHOWN:
        for table in tables:
            if table.title.startswith(beginning):
                names = [name for name in table.head[1:] if name in COLOURS]
                found.append((words, [(name, [table.cell(row, name) for row, _ in ROWS]) for name in names]))
    return found


def drawn(tables):
    """The chart as text."""
    # One of the bench's packages, which not every part needs.
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    settings = {
        "svg.hashsalt": "mb-encode",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    groups = bars(tables)
    with matplotlib.rc_context(settings):
        figure, panels = pyplot.subplots(1, len(ROWS), figsize=(10, 0.6 + 0.28 * sum(len(it) + 1 for _, it in groups)))
        for at, (panel, (_, title)) in enumerate(zip(panels, ROWS)):
            panel.set_title(title, fontsize=10, loc="left")
            _panel(panel, groups, at)
        handles = {}
        for panel in panels:
            handles.update(zip(*reversed(panel.get_legend_handles_labels())))
        order = [name for name in COLOURS if name in handles]
        figure.legend([handles[name] for name in order], order, loc="lower center", ncols=len(order), frameon=False, fontsize=9)
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": "scripts/bench"})
        pyplot.close(figure)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _panel(panel, groups, at):
    """The bars of one of `ROWS`, group below group."""
    place, ticks = 0.0, []
    for words, named in groups:
        ticks.append((place + (len(named) - 1) / 2, words))
        for name, figures in named:
            bar = panel.barh(place, float(figures[at]), height=0.85, color=COLOURS[name], label=name)
            panel.bar_label(bar, [str(figures[at])], padding=3, fontsize=9, color=INK)
            place += 1
        place += 1
    panel.set_yticks([where for where, _ in ticks], [words if at == 0 else "" for _, words in ticks])
    panel.invert_yaxis()
    panel.margins(x=0.12)
    panel.xaxis.set_visible(False)
    panel.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        panel.spines[side].set_visible(False)
    panel.spines["left"].set_color(INK)
