"""One salient map by itself: as a file (an interactive page, or figure 1 as SVG or PNG), and in a notebook.

The notebook's is a small piece of HTML that needs nothing from outside: prompt tokens shaded by density, instruction
underlined, and the response; pointing at (or focusing) a response token shades the prompt tokens by their level for it,
pointing at a prompt token shades the response. Colours are translucent over the notebook's own, so light and dark both
work.
"""

import uuid
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from aftertune.errors import RunError
from aftertune.explainers.attribution.charts import map_chart
from aftertune.explainers.attribution.prompt_pairs import TEMPLATES, side_of
from aftertune.explainers.attribution.result import SalientMap
from aftertune.report.environment import render
from aftertune.report.formats import number
from aftertune.report.packing import encode_bytes
from aftertune.report.render import write_picture
from aftertune.runs.parts import write_text
from aftertune.runs.readable import readable, visible

SUFFIXES = (".html", ".svg", ".png", ".pdf")
STYLE = """
#ID{font:14px/1.7 system-ui,sans-serif;max-width:70em}
#ID b{font-weight:600}#ID .k{opacity:.65;font-size:12px;margin:.6em 0 .1em}
#ID .x{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid rgba(128,128,128,.35);border-radius:6px;
padding:.4em .6em;max-height:22em;overflow:auto}
#ID .x span{border-radius:3px;background:rgba(var(--c,240,180,0),var(--a,0))}
#ID .p span.i{text-decoration:underline;text-decoration-thickness:2px;text-underline-offset:3px}
#ID .x span.on{outline:2px solid rgb(128,90,213)}#ID .x span{cursor:default}
"""

SCRIPT = """
(function(){const root=document.getElementById('ID');if(!root)return;const levels=root.dataset.levels;
const prompt=[...root.querySelectorAll('.p span')],response=[...root.querySelectorAll('.r span')];
const say=root.querySelector('.s'),rest=say.textContent,width=response.length;
const paint=(e,a,c)=>{e.style.setProperty('--a',a);e.style.setProperty('--c',c)};
const level=(n,m)=>parseInt(levels[n*width+m],16);
const clear=()=>{prompt.forEach(e=>{paint(e,e.dataset.d,'240,180,0');e.className=e.dataset.i?'i':''});
response.forEach(e=>{paint(e,0,'0,0,0');e.className=''});say.textContent=rest};
const show=(own,other,k,at)=>{clear();own[k].classList.add('on');let top=[];
other.forEach((e,j)=>{const v=at(j);paint(e,v*0.07,'128,90,213');if(v)top.push([v,e.textContent.trim()])});
top.sort((a,b)=>b[0]-a[0]);say.textContent=top.slice(0,8).map(t=>t[1]+' '+t[0]).join('  \\u00b7  ')||'nothing'};
const byResponse=m=>show(response,prompt,m,n=>level(n,m)),byPrompt=n=>show(prompt,response,n,m=>level(n,m));
response.forEach((e,m)=>{e.onpointerenter=e.onfocus=()=>byResponse(m)});
prompt.forEach((e,n)=>{e.onpointerenter=()=>byPrompt(n)});
root.onpointerleave=clear;clear()})();
"""


def write_instance(
    path: str | Path,
    salient: SalientMap,
    importance: npt.NDArray[np.float32] | None = None,
    probability: npt.NDArray[np.float32] | None = None,
) -> Path:
    """Write one map as .html, .svg, .png or .pdf, as the suffix says; returns the path.

    With ``importance`` (n_prompt, n_response) and ``probability`` (n_response,) the page shows those numbers too.
    Raises `RunError` for another suffix, shapes that do not fit the map, or a place that cannot be written.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise RunError(f"{target.name} has no suffix that can be written. Name the file .html, .svg, .png or .pdf.")
    _check_shape("importance", importance, salient.levels.shape)
    _check_shape("probability", probability, (salient.n_response,))
    if target.suffix == ".html":
        write_text(target, _page(salient, importance, probability))
    else:
        write_picture(target, map_chart(salient))
    return target


def _page(
    salient: SalientMap, importance: npt.NDArray[np.float32] | None, probability: npt.NDArray[np.float32] | None
) -> Markup:
    side: dict[str, Any] = {"role": "only", **side_of(salient), "score": number(salient.score())}
    side |= {"copied": None, "repetitive": False, "helpfulness": salient.helpfulness}
    if importance is not None:
        side["importance"] = encode_bytes(importance.astype("<f4"))
    if probability is not None:
        side["probability"] = [float(f"{value:.4g}") for value in probability.tolist()]
    payload = {"id": salient.id, "sides": [side]}
    scripts = [TEMPLATES / "instance.js"]
    return render("instance.html", TEMPLATES, salient=salient, payload=payload, scripts=scripts)


def _check_shape(name: str, array: npt.NDArray[np.float32] | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise RunError(f"The {name} has shape {array.shape}, the map needs {shape}. Give both of the same attribution.")


def render_instance(
    prompt_tokens: Sequence[str],
    response_tokens: Sequence[str],
    levels: npt.NDArray[np.uint8],
    densities: npt.NDArray[np.float64],
    is_instruction: npt.NDArray[np.bool_],
    title: str = "",
) -> str:
    """One instance as an HTML fragment with its own style and script.

    ``levels`` (n_prompt, n_response) in 0..10, ``densities`` and ``is_instruction`` (n_prompt,). Raises `ValueError`
    if the shapes do not agree, which only a fault of ours can cause.
    """
    if levels.shape != (len(prompt_tokens), len(response_tokens)):
        raise ValueError(f"levels {levels.shape} are not ({len(prompt_tokens)}, {len(response_tokens)}).")
    name = f"aftertune-{uuid.uuid4().hex[:12]}"
    data = "".join(f"{level:x}" for level in levels.reshape(-1).tolist())
    parts = [
        f"<b>{escape(title)}</b>" if title else "",
        '<div class="k">Prompt: shaded by density, instruction underlined</div>',
        f'<div class="x p">{_prompt_spans(prompt_tokens, densities, is_instruction)}</div>',
        '<div class="k">Response: point at a token to see the prompt tokens it depends on</div>',
        f'<div class="x r">{_response_spans(response_tokens)}</div>',
        '<div class="k s">Levels run from 0 to 10, the most important prompt token of each response token.</div>',
    ]
    style, script = STYLE.replace("ID", name), SCRIPT.replace("ID", name)
    return (
        f'<div id="{name}" data-levels="{data}"><style>{style}</style>{"".join(parts)}<script>{script}</script></div>'
    )


def _prompt_spans(
    tokens: Sequence[str], densities: npt.NDArray[np.float64], is_instruction: npt.NDArray[np.bool_]
) -> str:
    shades = 0.75 * densities / max(float(densities.max(initial=0.0)), 1e-12)
    return "".join(
        f'<span data-d="{shade:.2f}" style="--a:{shade:.2f}" title="density {value:.2f}"{_mark(marked)}>'
        f"{_text(text)}</span>"
        for text, shade, value, marked in zip(readable(tokens), shades, densities, is_instruction, strict=True)
    )


def _response_spans(tokens: Sequence[str]) -> str:
    return "".join(f'<span tabindex="0">{_text(text)}</span>' for text in readable(tokens))


def _mark(is_instruction: bool) -> str:
    return ' class="i" data-i="1"' if is_instruction else ""


def _text(text: str) -> str:
    return escape(visible(text)).replace("\n", "↵\n") or "◦"
