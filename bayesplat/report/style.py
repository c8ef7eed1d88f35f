"""The look of the page: system fonts, dark on white, narrow enough to read, whole figures on paper."""

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 50rem; padding: 1.5rem 1rem 3rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 2.5rem 0 .6rem; padding-top: .6rem; border-top: 2px solid #1a1a1a; }
h3 { font-size: 1.08rem; margin: 1.8rem 0 .4rem; }
p { margin: .5rem 0; }
a { color: #0b4f8a; }
a:focus-visible, .scroll:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.meta { color: #444; margin: 0 0 1rem; }
nav { border: 1px solid #999; padding: .4rem 1rem; }
nav ol { display: flex; flex-wrap: wrap; gap: 0 1.2rem; list-style: none; margin: 0; padding: 0; }
nav li { padding: .25rem 0; }
ul { margin: .4rem 0; padding-left: 1.3rem; }
li { margin: .2rem 0; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl.facts div { border: 1px solid #bbb; padding: .5rem .8rem; }
dt { font-size: .9rem; color: #444; }
dd { margin: 0; }
dd strong { font-size: 1.25rem; }
.notice { border: 1px solid; border-left-width: .6rem; padding: .4rem 1rem; margin: .8rem 0; }
.notice p { margin: .3rem 0; }
.passed { border-color: #0072b2; }
.warning { border: 2px solid #a33b00; border-left-width: .6rem; background: #fff3e6; }
.warning .verdict { font-weight: 600; }
.warning .verdict strong { text-transform: uppercase; letter-spacing: .03em; }
.flag { color: #8a3000; white-space: nowrap; }
figure { margin: 1.2rem 0; }
figure img { display: block; width: auto; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { font-size: .92rem; color: #333; margin-top: .4rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .92rem; color: #333; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #ccc; }
caption span { display: block; position: sticky; left: 0; max-width: min(48rem, 100vw - 2rem); }
thead th { border-bottom: 2px solid #1a1a1a; vertical-align: bottom; }
tbody th { font-weight: 600; }
.number { text-align: right; }
td.number { white-space: nowrap; }
.number + th:not(.number), .number + td:not(.number) { padding-left: .8rem; }
th:last-child, td:last-child { padding-right: 0; }
.references li { margin: .4rem 0; }
pre {
  font: .8rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #bbb; padding: .8rem; background: #fafafa;
}
footer { margin-top: 2.5rem; padding-top: .6rem; border-top: 1px solid #999; color: #444; font-size: .9rem; }
@page { size: A4; margin: 16mm 15mm; }
@media print {
  html { font-size: 10pt; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  caption span { max-width: none; }
  h2, h3, caption { break-after: avoid; }
  figure, table, .notice, dl.facts, li { break-inside: avoid; }
  figure img { max-height: 200mm; max-width: 135mm; }
  .scroll { overflow: visible; }
  .notice, pre { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  pre { font-size: 6.5pt; columns: 2; }
  a { color: inherit; }
  p, li { orphans: 3; widows: 3; }
}
"""
