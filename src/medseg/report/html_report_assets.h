// Style and script of the run report.
#pragma once

namespace medseg::html {

inline constexpr const char* kReportStyle = R"css(
:root{--ink:#1f2937;--muted:#6b7280;--line:#e5e7eb;--accent:#0072b2;--soft:#f8fafc}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:#fff;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,header>div{max-width:1180px;margin:0 auto;padding:0 28px}
header{border-bottom:1px solid var(--line);background:var(--soft);padding:30px 0 22px}
h1{margin:0;font-size:26px;letter-spacing:-.01em}
h2{margin:44px 0 6px;font-size:19px}
.meta{color:var(--muted);margin-top:4px;font-size:13.5px}
nav{margin-top:14px;font-size:14px}nav a{color:var(--accent);text-decoration:none;margin-right:18px}nav a:hover{text-decoration:underline}
.facts{display:flex;flex-wrap:wrap;gap:12px;margin:26px 0 0}
.fact{border:1px solid var(--line);border-radius:10px;padding:10px 18px 12px;min-width:128px}
.fact b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}
.fact span{color:var(--muted);font-size:12.5px}
.note{color:var(--muted);font-size:13.5px;margin:0 0 10px}
img{display:block;max-width:100%;height:auto}
figure{margin:14px 0 26px;border:1px solid var(--line);border-radius:10px;overflow:hidden;background:#fff}
figcaption{padding:9px 16px;font-size:13.5px;border-bottom:1px solid var(--line);background:var(--soft)}
figcaption span{color:var(--muted);margin-left:8px}
figure img{margin:0 auto;cursor:zoom-in}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:18px;align-items:start}
.charts figure{margin:6px 0}
.bar{display:flex;align-items:center;gap:14px;margin:0 0 8px}
.bar input{border:1px solid var(--line);border-radius:8px;padding:6px 11px;font:inherit;font-size:13.5px;width:230px}
.bar span{color:var(--muted);font-size:13px}
.scroll{overflow:auto;max-height:560px;border:1px solid var(--line);border-radius:10px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13.5px}
th{position:sticky;top:0;background:var(--soft);text-align:left;font-weight:600;padding:8px 14px;border-bottom:1px solid var(--line);cursor:pointer;white-space:nowrap;user-select:none}
th:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
th.n,td.n{text-align:right;font-variant-numeric:tabular-nums}
th::after{content:"";display:inline-block;width:12px;color:var(--accent);text-align:right}
th[aria-sort=ascending]::after{content:"\2191"}th[aria-sort=descending]::after{content:"\2193"}
td{padding:5px 14px;border-bottom:1px solid #f1f3f5;white-space:nowrap}
td.n{padding-right:26px}tr:hover td{background:#f5f9fc}
td.none{color:#b6bcc6}
button{border:1px solid var(--line);border-radius:8px;background:#fff;padding:6px 12px;font:inherit;font-size:13px;cursor:pointer;margin-top:8px}
details{border:1px solid var(--line);border-radius:10px;margin-top:14px}summary{padding:10px 16px;cursor:pointer;font-weight:600}
pre{margin:0;padding:4px 16px 16px;overflow:auto;font-size:12.5px;line-height:1.45}
footer{color:var(--muted);font-size:12.5px;padding:46px 0 36px}
dialog{border:0;padding:0;max-width:98vw;max-height:98vh;border-radius:8px}dialog::backdrop{background:#111a}
dialog img{max-width:98vw;max-height:98vh;width:auto;cursor:zoom-out}
@media print{nav,.bar input,button{display:none}.scroll{max-height:none;overflow:visible}}
)css";

inline constexpr const char* kReportScript = R"js(
"use strict";
const limit = 400;
const isNumber = v => typeof v === "number";
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);   // missing values stay at the end
  if (isNumber(a) && isNumber(b)) return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, {numeric: true});
}
function show(value, column) {
  if (value === null) return "\u2013";
  if (!isNumber(value)) return value;
  if (Number.isInteger(value) && !column.share) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : Math.abs(value) >= 100 ? value.toFixed(1) : value.toFixed(3);
}
function buildTable(section, table) {
  const state = {column: table.sort, sign: table.descending ? -1 : 1, filter: "", all: false};
  const input = section.querySelector("input"), info = section.querySelector(".bar span");
  const head = section.querySelector("thead tr"), body = section.querySelector("tbody"), more = section.querySelector("button");
  table.columns.forEach((column, index) => {
    const th = document.createElement("th");
    th.textContent = column.name;
    th.tabIndex = 0;
    if (column.numeric) th.className = "n";
    const sortHere = () => {
      state.sign = state.column === index ? -state.sign : 1;
      state.column = index;
      draw();
    };
    th.onclick = sortHere;
    th.onkeydown = e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sortHere(); } };
    head.append(th);
  });
  function draw() {
    let rows = table.rows;
    if (state.filter) rows = rows.filter(r => r.some(v => String(v).toLowerCase().includes(state.filter)));
    const found = rows.length;
    if (state.column >= 0) rows = [...rows].sort((a, b) => compare(a[state.column], b[state.column], state.sign));
    if (!state.all) rows = rows.slice(0, limit);
    body.replaceChildren(...rows.map(row => {
      const tr = document.createElement("tr");
      row.forEach((value, i) => {
        const column = table.columns[i], td = document.createElement("td");
        td.textContent = show(value, column);
        if (column.numeric) td.className = value === null ? "n none" : "n";
        if (column.share && isNumber(value)) {
          const part = Math.max(0, Math.min(1, value)) * 100;
          td.style.background = `linear-gradient(to right,#d6e8f4 ${part}%,transparent ${part}%)`;
        }
        tr.append(td);
      });
      return tr;
    }));
    [...head.children].forEach((th, i) =>
      i === state.column ? th.setAttribute("aria-sort", state.sign > 0 ? "ascending" : "descending") : th.removeAttribute("aria-sort"));
    info.textContent = found === table.rows.length ? `${found} rows` : `${found} of ${table.rows.length} rows`;
    more.hidden = rows.length === found;
    more.textContent = `Show all ${found} rows`;
  }
  input.oninput = () => { state.filter = input.value.trim().toLowerCase(); draw(); };
  more.onclick = () => { state.all = true; draw(); };
  draw();
}
document.querySelectorAll("section[data-table]").forEach(section =>
  buildTable(section, JSON.parse(section.querySelector("script").textContent)));
const dialog = document.querySelector("dialog");
document.querySelectorAll("figure img").forEach(image => image.onclick = () => {
  dialog.replaceChildren(Object.assign(new Image(), {src: image.src, alt: image.alt}));
  dialog.showModal();
});
dialog.onclick = () => dialog.close();
)js";

}  // namespace medseg::html
