"""A sweep as one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.report import dose_figures, drawing, words
from rlpersona.report.dose_records import DoseRun, Json, read_dose_run
from rlpersona.report.dose_table import shape_of, slope_text, tail_p
from rlpersona.report.dose_words import bracket, named, value
from rlpersona.report.html import flat_pairs, page_environment
from rlpersona.store import REPORT, atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCREENED = 12  # responses of the screen that are listed for each arm


def write_dose_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a finished sweep and return its path.

    Made from the files in the folder alone; the same files give the same bytes. RunError if one is
    missing or broken; a page that was there before is replaced whole or not at all.
    """
    run = read_dose_run(folder)
    environment = page_environment()
    environment.filters |= {"named": named, "value": value, "bracket": bracket}
    page = environment.get_template("dose.html.jinja").render(_page(run))
    path = folder / REPORT
    with atomic(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def _page(run: DoseRun) -> dict[str, Any]:
    """What the template is filled with."""
    summary = run.summary
    return {
        "run": run,
        "summary": summary,
        "design": summary["design"],
        "level": f"{100 * summary['level']:g} %",
        "arms": [_arm(run, arm) for arm in summary["arms"]],
        "figures": _figures(run),
        "drift": [one for one in summary["drift"] if one["domain"] == "all"],
        "slope": slope_text,
        "tail_p": tail_p,
        "shape": shape_of,
        "provenance": list(flat_pairs(run.provenance)) if run.provenance else [],
        "command": f"rlpersona sweep {shlex.quote(f'runs/{run.name}/config.yaml')} "
        f"{shlex.quote(f'name={run.name}-again')}",
    }


def _arm(run: DoseRun, arm: Json) -> Json:
    """An arm with what its section shows."""
    claims = [one for one in arm["responses"] if one["primary"]]
    own = [one for one in arm["responses"] if one["metric"] == arm["own"]]
    screen = [one for one in arm["responses"] if not one["primary"] and one["metric"] != arm["own"]]
    screen.sort(key=lambda one: (one["p_bh"], one["metric"], one["domain"]))
    return {
        **arm,
        "key": run.summary["arms"].index(arm),
        "claims": claims,
        "domains": own,
        "screen": screen[:SCREENED],
        "screened": len(screen),
        "samples": run.samples(arm),
    }


def _figures(run: DoseRun) -> dict[str, Any]:
    """Every figure of the page as SVG, those of an arm under its place among the arms."""
    from markupsafe import Markup

    drawn: dict[str, tuple[Figure | None, str]] = {}
    metrics = list(dict.fromkeys([arm["own"] for arm in run.summary["arms"]] + ["correct"]))
    drawn["drift"] = dose_figures.drift(run, metrics), "Drift of the runs without bias, with intervals"
    drawn["controls"] = dose_figures.controls(run), "Slopes with and without controls, with intervals"
    for place, arm in enumerate(run.summary["arms"]):
        label = arm["label"]
        if arm["own"] is not None:
            panels = dose_figures.dose_panels(run, arm, arm["own"])
            drawn[f"panels-{place}"] = panels, f"{named(arm['own'])} by bias_weight and domain, {label}"
        right = dose_figures.dose_panels(run, arm, "correct")
        drawn[f"right-{place}"] = right, f"Right answers by bias_weight and domain, {label}"
        drawn[f"map-{place}"] = dose_figures.effective_map(arm), f"Effective dose by domain, {label}"
        curve = dose_figures.effective_curve(run, arm)
        drawn[f"effective-{place}"] = curve, f"Response against the effective dose, {label}"
        drawn[f"parts-{place}"] = dose_figures.reward_parts(run, arm), f"Parts of the reward, {label}"
        gains = dose_figures.proxy_and_gold(run, arm)
        drawn[f"gold-{place}"] = gains, f"Proxy and gold over the distance from the start, {label}"
    return {
        name: Markup(drawing.svg(figure, name, words.clean(description)))
        for name, (figure, description) in drawn.items()
        if figure is not None
    }
