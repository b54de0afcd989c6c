"""The page's frame: one style sheet for light and dark, desk and phone."""

CSS = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5a6675; --paper: #f6f7f9; --card: #ffffff; --line: #d9dee5;
  --accent: #1f6feb; --good: #1a7f4b; --bad: #b3321f; --wait: #8a6100; --Dash-Fill-Interactive-Strong: var(--accent); }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa6b5; --paper: #12161c; --card: #1a2029;
  --line: #2e3744; --accent: #6ea8fe; --good: #5fd08f; --bad: #ff8b7a; --wait: #e3b341;
  --Dash-Text-Primary: #e6e9ee; --Dash-Text-Strong: #f2f4f7; --Dash-Text-Weak: #9aa6b5; --Dash-Text-Disabled: #6b7787;
  --Dash-Fill-Inverse-Strong: #1a2029; --Dash-Stroke-Strong: #5a6675; --Dash-Stroke-Weak: #2e3744;
  --Dash-Fill-Interactive-Weak: #232b36; --Dash-Fill-Primary-Hover: #232b36; --Dash-Fill-Primary-Active: #2b3542;
  --Dash-Shading-Strong: rgba(0,0,0,.6); --Dash-Shading-Weak: rgba(0,0,0,.4); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); font-size: .92rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin-top: 1rem; }
.controls { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: end; }
.controls > div { min-width: 12rem; } .controls label { color: var(--ink); }
.side { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); gap: 1rem; }
.side > section { min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } td.number, th.number { text-align: right; }
.online { color: var(--good); } .offline { color: var(--bad); } .silent, .stopping { color: var(--wait); }
.swatch { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; margin-right: .45rem; }
.js-plotly-plot text { fill: var(--ink) !important; }
.js-plotly-plot .hoverlayer .bg { fill: var(--card) !important; stroke: var(--line) !important; }
@media (max-width: 48rem) { .side { grid-template-columns: minmax(0, 1fr); } main { padding: .6rem; }
  section { padding: .7rem; } }
"""

HTML = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
{%css%}
<style>CSS</style>
</head>
<body>
{%app_entry%}
<footer>
{%config%}
{%scripts%}
{%renderer%}
</footer>
</body>
</html>
""".replace("CSS", CSS)
