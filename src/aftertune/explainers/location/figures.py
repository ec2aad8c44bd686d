"""The figures on where a change sits.

1. `grid_chart`: what the swap of each module brings and takes away, layers down, modules across, as numbers.
2. `cumulative_chart`: the share that is there with all of the tuned model up to, or from, each layer.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from aftertune.explainers.location.result import ATTENTION, FEED_FORWARD
from aftertune.explainers.location.rows import CumulativeRow, ModuleRow
from aftertune.explainers.location.where import per_cent
from aftertune.report.chart_style import Spec, styled
from aftertune.report.colours import BASE, GREY, TUNED, ramp

ROW, COLUMN = 15, 74
TINT = (0.04, 0.5)  # opacity of a cell: so that its number can be read on it, on a light page and on a dark one
OUTSIDE = "outside layers"
BRINGS, TAKES = "brings, % (tuned into base)", "takes away, % (base into tuned)"
UP_TO, ONWARD = "up to the layer", "from the layer on"


def grid_chart(rows: Sequence[ModuleRow]) -> Spec | None:
    """A cell for each module that was swapped, its share in it; None where none was."""
    values = [value for row in rows for value in _cells(row)]
    if not values:
        return None
    places = list(dict.fromkeys(_place(row) for row in rows))
    top = max(max(value["share"] for value in values), 0.01)
    columns = [one for one in (ATTENTION, FEED_FORWARD, OUTSIDE) if any(value["module"] == one for value in values)]
    scale = alt.Scale(domain=[0, top], range=list(TINT), clamp=True)
    shade = alt.FillOpacity("share:Q", scale=scale, legend=None)
    size = {"width": COLUMN * len(columns), "height": ROW * len(places)}
    panels = [_panel(way, columns, places, shade).properties(title=way, **size) for way in (BRINGS, TAKES)]
    return styled(alt.hconcat(*panels, spacing=24), {"location_modules": values})


def _panel(way: str, columns: Sequence[str], places: Sequence[str], shade: alt.FillOpacity) -> Any:
    """The cells of one way of swapping; the names of layers stand at the first one only."""
    across = alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)
    down = alt.Axis(ticks=False, domain=False, labelFontSize=9) if way == BRINGS else None
    plain = alt.Chart(alt.NamedData(name="location_modules")).transform_filter(alt.datum.way == way)
    plain = plain.encode(
        x=alt.X("module:N", sort=list(columns), title=None, scale=alt.Scale(domain=list(columns)), axis=across),
        y=alt.Y("place:N", sort=list(places), title="layer", scale=alt.Scale(domain=list(places)), axis=down),
    )
    cells = plain.mark_rect(fill=ramp()[-1]).encode(fillOpacity=shade)
    return alt.layer(cells, plain.mark_text(fontSize=9).encode(text=alt.Text("written:N")))


def cumulative_chart(rows: Sequence[CumulativeRow]) -> Spec | None:
    """Two lines over the layers with their 95% intervals; None where no share is defined."""
    values = [value for row in rows for value in _points(row)]
    if not values:
        return None
    ways, legend = [UP_TO, ONWARD], alt.Legend(symbolOpacity=1)  # not as pale as the bands
    looks: dict[str, Any] = {
        "color": alt.Color(
            "way:N", scale=alt.Scale(domain=ways, range=[BASE, TUNED]), title="tuned weights", legend=legend
        ),
        "x": alt.X("layer:Q", title="layer", axis=alt.Axis(tickMinStep=1, format="d")),
    }
    plain = alt.Chart(alt.NamedData(name="location_cumulative")).encode(**looks)
    share = alt.Y("share:Q", title="share of the change", axis=alt.Axis(format="%"))
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=ways, range=[[1, 0], [6, 3]]), title="tuned weights")
    band = plain.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q")
    line = plain.mark_line(strokeWidth=2).encode(y=share, strokeDash=dash)
    half = alt.Chart(alt.NamedData(name="half")).mark_rule(color=GREY, strokeDash=[2, 2]).encode(y="share:Q")
    drawn = alt.layer(half, band, line).properties(width=370, height=210)
    return styled(drawn, {"location_cumulative": values, "half": [{"share": 0.5}]})


def _place(row: ModuleRow) -> str:
    return row.module if row.layer is None else str(row.layer)


def _cells(row: ModuleRow) -> Iterator[dict[str, Any]]:
    module = row.module if row.layer is not None else OUTSIDE
    for way, share in ((BRINGS, row.brings), (TAKES, row.takes)):
        if share is not None:
            yield {
                **{"place": _place(row), "module": module, "way": way, "share": share},
                "written": per_cent(share, 1).replace("-", "−"),
            }


def _points(row: CumulativeRow) -> Iterator[dict[str, Any]]:
    lines = ((UP_TO, row.up_to, row.up_to_interval), (ONWARD, row.onward, row.onward_interval))
    for way, share, interval in lines:
        if share is not None:
            low, high = interval or (share, share)
            yield {"layer": row.layer, "way": way, "share": share, "low": low, "high": high}
