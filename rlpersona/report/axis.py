"""An axis run as one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.errors import RunError
from rlpersona.report import axis_figures, drawing
from rlpersona.report.axis_table import place
from rlpersona.report.html import flat_pairs, page_environment
from rlpersona.store import CONFIG, PROVENANCE, REPORT, SUMMARY, atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PCA = "pca.parquet"
Json = dict[str, Any]


def write_axis_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a finished axis run and return its path.

    Made from the files in the folder alone; the same files give the same bytes. RunError if one is
    missing or broken; a page that was there before is replaced whole or not at all.
    """
    import pandas as pd

    try:
        summary, provenance = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in (SUMMARY, PROVENANCE)
        )
        table = pd.read_parquet(folder / PCA)
        config = (folder / CONFIG).read_text(encoding="utf-8")
        page = _page(summary, table)
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            f"{folder} is no finished axis run: {error}",
            f"Finish it: rlpersona axis name={folder.name} --resume",
        ) from error
    environment = page_environment()
    environment.filters["place"] = place
    path = folder / REPORT
    text = environment.get_template("axis.html.jinja").render(
        **page, config=config, provenance=list(flat_pairs(provenance))
    )
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))
    return path


def _page(summary: Json, table: pd.DataFrame) -> dict[str, Any]:
    """What the template is filled with."""
    from markupsafe import Markup

    drawn: dict[str, tuple[Figure | None, str]] = {
        "scatter": (axis_figures.scatter(table, summary), "Roles in the plane of PC1 and PC2"),
        "projections": (axis_figures.projections(summary), "Roles by their place on the axis"),
        "layers": (axis_figures.by_layer(summary), "Separation and distance by layer"),
        "components": (axis_figures.components(summary), "Components and their cosine with the axis"),
    }
    name = summary["run"]
    again = (
        f"rlpersona axis {shlex.quote(f'runs/{name}/config.yaml')} {shlex.quote(f'name={name}-again')}"
    )
    return {
        "summary": summary,
        "level": f"{100 * summary['level']:g} %",
        "here": summary["layers"][summary["layer"]],
        "roles": sorted(summary["roles"], key=lambda one: -one["projection"]["estimate"]),
        "figures": {
            key: Markup(drawing.svg(figure, key, said))
            for key, (figure, said) in drawn.items()
            if figure is not None
        },
        "command": again,
    }
