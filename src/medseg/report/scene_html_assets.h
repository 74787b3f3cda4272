// Body, style and script of the 3D viewer: a small WebGL 2 program without any library.
#pragma once

namespace medseg::html {

inline constexpr const char* kSceneBody = R"html(<div id="view"><canvas tabindex="0" aria-label="3D view"></canvas>
<svg id="axes" viewBox="-50 -50 100 100" aria-hidden="true"></svg><div id="tag" hidden></div>
<div id="captions"><span>Reference</span><span>Prediction</span></div><div id="message" hidden></div>
<div id="presets"><button data-view="A">A</button><button data-view="P">P</button><button data-view="R">R</button><button data-view="L">L</button><button data-view="S">S</button><button data-view="I">I</button></div></div>
<aside><h1>{title}</h1><p class="meta">{detail}</p>
<div id="modes" role="group" aria-label="What to show"></div><p id="modeNote" class="meta"></p>
<div class="tools"><input type="search" placeholder="Filter structures" aria-label="Filter structures"><button id="all">All</button><button id="none">None</button></div>
<label class="opacity">Opacity<input id="opacity" type="range" min="5" max="100" value="100"></label>
<div id="list"></div>
<p class="meta help">Drag: rotate. Shift or right button: move. Wheel: zoom. Click: name a structure. Double click on a name: only this one. Arrow keys, + and - work too.<br>medseg {version}, for research; not a medical device.</p></aside>
)html";

inline constexpr const char* kSceneStyle = R"css(
:root{--ink:#1f2937;--muted:#6b7280;--line:#e5e7eb;--accent:#0072b2}
*{box-sizing:border-box}html,body{height:100%;margin:0}
body{display:flex;color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow:hidden}
#view{position:relative;flex:1;min-width:0;background:linear-gradient(#fbfcfd,#e3e8ee)}
canvas{position:absolute;inset:0;width:100%;height:100%;outline:none;touch-action:none;cursor:grab}canvas:active{cursor:grabbing}
#axes{position:absolute;left:10px;bottom:10px;width:92px;height:92px;pointer-events:none}
#axes text{font:600 12px system-ui,sans-serif;text-anchor:middle;dominant-baseline:central}
#tag{position:absolute;transform:translate(12px,-130%);padding:3px 9px;border-radius:7px;background:#1f2937e6;color:#fff;font-size:13px;pointer-events:none;white-space:nowrap}
#captions{position:absolute;top:12px;left:0;right:0;display:none;pointer-events:none}#captions span{flex:1;text-align:center;font-weight:600;color:#374151}
#message{position:absolute;inset:0;display:grid;place-items:center;color:var(--muted);font-size:16px;text-align:center;padding:30px}
#message[hidden]{display:none}
#presets{position:absolute;right:12px;bottom:12px;display:flex;gap:4px}
button{border:1px solid var(--line);border-radius:8px;background:#fff;color:inherit;padding:5px 10px;font:inherit;font-size:13px;cursor:pointer}
button:hover{border-color:#c6ccd6}button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:#fff}
aside{width:318px;display:flex;flex-direction:column;border-left:1px solid var(--line);padding:20px 18px 14px;background:#fff}
h1{font-size:18px;margin:0;overflow-wrap:anywhere}.meta{color:var(--muted);font-size:12.5px;margin:3px 0 0}
#modes{display:flex;gap:4px;margin-top:14px}#modes button{flex:1;padding:5px 4px}#modes:empty{display:none}
.tools{display:flex;gap:6px;margin:14px 0 8px}.tools input{flex:1;min-width:0;border:1px solid var(--line);border-radius:8px;padding:5px 10px;font:inherit;font-size:13px}
.opacity{display:flex;align-items:center;gap:10px;font-size:13px;color:var(--muted);margin-bottom:8px}
input[type=range]{accent-color:var(--accent);flex:1;min-width:0}
#list{flex:1;overflow:auto;border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
.row{display:grid;grid-template-columns:18px 14px 1fr auto;gap:8px;align-items:center;padding:3px 4px;border-radius:6px}
.row:hover,.row.hit{background:#eef5fa}.row i{width:12px;height:12px;border-radius:3px}
.row label{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;cursor:pointer}
.row small{color:var(--muted);font-variant-numeric:tabular-nums;white-space:nowrap}
.row input[type=range]{grid-column:3/5;height:14px;display:none}.row:hover input[type=range],.row input[type=range]:focus-visible{display:block}
.row input[type=checkbox]{margin:0;accent-color:var(--accent)}
.help{margin-top:10px}
@media(max-width:760px){body{flex-direction:column}aside{width:auto;height:45%;border-left:0;border-top:1px solid var(--line)}.help{display:none}}
)css";

inline constexpr const char* kSceneShaders = R"js("use strict";
const vertexShader = `#version 300 es
uniform mat4 viewMatrix, projection; uniform vec3 low, extent;
in vec3 position, normal; out vec3 eye, eyeNormal;
void main() {
  vec4 place = viewMatrix * vec4(low + position * extent, 1.0);
  eye = place.xyz; eyeNormal = mat3(viewMatrix) * normal; gl_Position = projection * place;
}`;
const fragmentShader = `#version 300 es
precision highp float;
uniform vec4 color; uniform bool flatColor; in vec3 eye, eyeNormal; out vec4 result;
void main() {
  if (flatColor) { result = color; return; }
  vec3 toEye = normalize(-eye), n = normalize(eyeNormal);
  if (dot(n, toEye) < 0.0) n = -n;
  float facing = dot(n, toEye);
  float key = max(dot(n, normalize(vec3(-0.45, 0.6, 0.75))), 0.0);
  float shine = pow(max(dot(n, normalize(vec3(-0.35, 0.55, 0.9) + toEye)), 0.0), 38.0);
  vec3 shade = color.rgb * (0.34 + 0.36 * key + 0.34 * facing) + 0.16 * shine;
  float alpha = color.a < 1.0 ? mix(min(1.0, color.a * 2.2), color.a, facing) : 1.0;  // rims of glassy surfaces show
  result = vec4(shade * alpha, alpha);
}`;
)js";

inline constexpr const char* kSceneScript = R"js(
const $ = s => document.querySelector(s);
const scene = JSON.parse($("#scene").textContent);
const raw = atob($("#data").textContent), bytes = new Uint8Array(raw.length);
for (let i = 0; i < raw.length; ++i) bytes[i] = raw.charCodeAt(i);
const canvas = $("canvas"), gl = canvas.getContext("webgl2", {antialias: true, alpha: true});
if (!gl) { $("#message").hidden = false; $("#message").textContent = "This browser offers no WebGL 2: the surfaces cannot be drawn."; throw new Error("no WebGL 2"); }

const low = scene.low, extent = scene.high.map((h, i) => Math.max(h - low[i], 1e-6));
const center = low.map((l, i) => l + extent[i] / 2), radius = Math.hypot(...extent) / 2;

function program() {
  const p = gl.createProgram();
  for (const [type, text] of [[gl.VERTEX_SHADER, vertexShader], [gl.FRAGMENT_SHADER, fragmentShader]]) {
    const s = gl.createShader(type);
    gl.shaderSource(s, text); gl.compileShader(s);
    if (!gl.getShaderParameter(s, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(s));
    gl.attachShader(p, s);
  }
  gl.bindAttribLocation(p, 0, "position"); gl.bindAttribLocation(p, 1, "normal");
  gl.linkProgram(p); gl.useProgram(p);
  return p;
}
const shader = program(), uniform = name => gl.getUniformLocation(shader, name);
const places = Object.fromEntries(["viewMatrix", "projection", "low", "extent", "color", "flatColor"].map(n => [n, uniform(n)]));

// Area-weighted vertex normals as signed bytes.
function normalsOf(positions, indices) {
  const sums = new Float32Array(positions.length), unit = extent.map(e => e / 65535);
  for (let t = 0; t < indices.length; t += 3) {
    const [a, b, c] = [indices[t] * 3, indices[t + 1] * 3, indices[t + 2] * 3];
    const ux = (positions[b] - positions[a]) * unit[0], uy = (positions[b + 1] - positions[a + 1]) * unit[1], uz = (positions[b + 2] - positions[a + 2]) * unit[2];
    const vx = (positions[c] - positions[a]) * unit[0], vy = (positions[c + 1] - positions[a + 1]) * unit[1], vz = (positions[c + 2] - positions[a + 2]) * unit[2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    for (const i of [a, b, c]) { sums[i] += nx; sums[i + 1] += ny; sums[i + 2] += nz; }
  }
  const normals = new Int8Array(positions.length / 3 * 4);
  for (let i = 0, o = 0; i < sums.length; i += 3, o += 4) {
    const length = Math.hypot(sums[i], sums[i + 1], sums[i + 2]) || 1;
    for (let k = 0; k < 3; ++k) normals[o + k] = Math.round(sums[i + k] / length * 127);
  }
  return normals;
}
function upload(mesh) {
  const positions = new Uint16Array(bytes.buffer, mesh.positionOffset, mesh.vertices * 3);
  const indices = new (mesh.indexBytes === 2 ? Uint16Array : Uint32Array)(bytes.buffer, mesh.indexOffset, mesh.triangles * 3);
  mesh.array = gl.createVertexArray();
  gl.bindVertexArray(mesh.array);
  const buffer = (target, data) => { gl.bindBuffer(target, gl.createBuffer()); gl.bufferData(target, data, gl.STATIC_DRAW); };
  buffer(gl.ARRAY_BUFFER, positions);
  gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 3, gl.UNSIGNED_SHORT, true, 6, 0);
  buffer(gl.ARRAY_BUFFER, normalsOf(positions, indices));
  gl.enableVertexAttribArray(1); gl.vertexAttribPointer(1, 3, gl.BYTE, true, 4, 0);
  buffer(gl.ELEMENT_ARRAY_BUFFER, indices);
  mesh.indexType = mesh.indexBytes === 2 ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
  const sum = [0, 0, 0];
  for (let i = 0; i < positions.length; ++i) sum[i % 3] += positions[i];
  mesh.center = sum.map((s, k) => low[k] + s / mesh.vertices / 65535 * extent[k]);
}
scene.meshes.forEach(upload);

// Structures: one row for reference and prediction of the same name.
const structures = new Map();
for (const mesh of scene.meshes) {
  if (!structures.has(mesh.name)) structures.set(mesh.name, {name: mesh.name, color: mesh.color, shown: true, opacity: 1});
  structures.get(mesh.name)[mesh.group] = mesh;
  mesh.structure = structures.get(mesh.name);
}
const has = group => scene.meshes.some(m => m.group === group);
const modes = has("reference") && has("prediction") ? ["Compare", "Both", "Reference", "Prediction"] : [];
let mode = modes[0] || (has("reference") ? "Reference" : "Prediction"), overall = 1;

// Camera: turntable about `target`; yaw 0 looks from anterior, the patient's right on the left.
const camera = {yaw: 0.5, pitch: 0.18, distance: radius * 3.1, target: [...center]};
const views = {A: [0, 0], P: [Math.PI, 0], R: [-Math.PI / 2, 0], L: [Math.PI / 2, 0], S: [0, 1.5607], I: [0, -1.5607]};
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
function basis() {
  const cp = Math.cos(camera.pitch);
  const back = [-Math.sin(camera.yaw) * cp, Math.cos(camera.yaw) * cp, Math.sin(camera.pitch)];
  let right = cross([0, 0, 1], back);
  const length = Math.hypot(...right);
  right = right.map(v => v / length);
  return {right, up: cross(back, right), back};
}
function viewMatrix({right, up, back}) {
  const eye = camera.target.map((t, i) => t + back[i] * camera.distance);
  return [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right, eye), -dot(up, eye), -dot(back, eye), 1];
}
function projection(aspect) {
  const near = Math.max(camera.distance - 2.5 * radius, camera.distance / 100), far = camera.distance + 2.5 * radius;
  const f = 1 / Math.tan(0.26) * Math.min(1, aspect * 1.15);
  return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (near + far) / (near - far), -1, 0, 0, 2 * near * far / (near - far), 0];
}
function paint(mesh, color) {
  gl.uniform4f(places.color, color[0] / 255, color[1] / 255, color[2] / 255, color[3]);
  gl.bindVertexArray(mesh.array);
  gl.drawElements(gl.TRIANGLES, mesh.triangles * 3, mesh.indexType, 0);
}
// What one viewport shows: meshes with their colours. In "Both" the reference is a gray shell round the prediction.
function contents(what) {
  const items = [];
  for (const s of structures.values()) {
    if (!s.shown) continue;
    const alpha = s.opacity * overall;
    const add = (mesh, color, a) => mesh && items.push({mesh, color: [...color, a]});
    if (what === "Both") { add(s.prediction, s.color, alpha); add(s.reference, s.prediction ? [120, 128, 140] : s.color, alpha * 0.3); }
    else add(what === "Reference" ? s.reference : s.prediction, s.color, alpha);
  }
  return items;
}
function drawViewport(what, x, width, height, ids) {
  gl.viewport(x, 0, width, height);
  const axes = basis();
  gl.uniformMatrix4fv(places.viewMatrix, false, viewMatrix(axes));
  gl.uniformMatrix4fv(places.projection, false, projection(width / height));
  gl.uniform3fv(places.low, low); gl.uniform3fv(places.extent, extent);
  gl.uniform1i(places.flatColor, ids ? 1 : 0);
  const items = contents(what);
  gl.disable(gl.BLEND); gl.depthMask(true); gl.disable(gl.CULL_FACE);
  if (ids) { items.forEach(({mesh}) => { const id = scene.meshes.indexOf(mesh) + 1; paint(mesh, [id & 255, id >> 8, 0, 1]); }); return; }
  for (const {mesh, color} of items) if (color[3] >= 0.999) paint(mesh, color);
  const depth = m => dot(m.center, axes.back);
  const glassy = items.filter(i => i.color[3] < 0.999).sort((a, b) => depth(a.mesh) - depth(b.mesh));
  gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA); gl.depthMask(false); gl.enable(gl.CULL_FACE);
  for (const {mesh, color} of glassy) for (const side of [gl.FRONT, gl.BACK]) { gl.cullFace(side); paint(mesh, color); }
}
function drawAll(ids) {
  const scale = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  gl.enable(gl.DEPTH_TEST); gl.depthMask(true);
  gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  if (mode === "Compare") {
    const half = width >> 1;
    drawViewport("Reference", 0, half, height, ids); drawViewport("Prediction", half, width - half, height, ids);
  } else drawViewport(mode, 0, width, height, ids);
}
let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawAll(false); drawAxes(); });
}
function drawAxes() {
  const {right, up, back} = basis();
  const ends = [["R", [1, 0, 0], "#c2410c"], ["A", [0, 1, 0], "#15803d"], ["S", [0, 0, 1], "#0072b2"]];
  $("#axes").innerHTML = ends.map(([letter, d, color]) => ({letter, color, x: 32 * dot(d, right), y: -32 * dot(d, up), z: dot(d, back)}))
    .sort((a, b) => a.z - b.z)
    .map(e => `<line x2="${e.x}" y2="${e.y}" stroke="${e.color}" stroke-width="2.5"/><text x="${e.x * 1.32}" y="${e.y * 1.32}" fill="${e.color}">${e.letter}</text>`).join("");
}

// Mouse, touch and keys.
const pointers = new Map();
let moved = 0;
canvas.onpointerdown = e => { canvas.setPointerCapture(e.pointerId); pointers.set(e.pointerId, [e.clientX, e.clientY]); moved = 0; canvas.focus(); $("#tag").hidden = true; };
canvas.onpointerup = e => { pointers.delete(e.pointerId); if (moved < 4 && e.button === 0) pick(e); };
canvas.onpointercancel = e => pointers.delete(e.pointerId);
function pan(dx, dy) {
  const {right, up} = basis(), step = camera.distance * 0.55 / canvas.clientHeight;
  camera.target = camera.target.map((t, i) => t - right[i] * dx * step + up[i] * dy * step);
}
function turn(dx, dy) { camera.yaw -= dx * 0.007; camera.pitch = Math.max(-1.5607, Math.min(1.5607, camera.pitch + dy * 0.007)); }
function zoom(factor) { camera.distance = Math.max(radius * 0.15, Math.min(radius * 12, camera.distance * factor)); }
canvas.onpointermove = e => {
  const last = pointers.get(e.pointerId);
  if (!last) return;
  const dx = e.clientX - last[0], dy = e.clientY - last[1];
  moved += Math.abs(dx) + Math.abs(dy);
  if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== e.pointerId)[1];
    zoom(Math.hypot(last[0] - other[0], last[1] - other[1]) / Math.max(1, Math.hypot(e.clientX - other[0], e.clientY - other[1])));
    pan(dx / 2, dy / 2);
  } else if (e.shiftKey || e.buttons & 6) pan(dx, dy);
  else turn(dx, dy);
  pointers.set(e.pointerId, [e.clientX, e.clientY]);
  redraw();
};
canvas.onwheel = e => { e.preventDefault(); zoom(Math.exp(e.deltaY * 0.0012)); redraw(); };
canvas.oncontextmenu = e => e.preventDefault();
canvas.onkeydown = e => {
  const actions = {ArrowLeft: () => turn(-14, 0), ArrowRight: () => turn(14, 0), ArrowUp: () => turn(0, 14), ArrowDown: () => turn(0, -14), "+": () => zoom(0.9), "-": () => zoom(1.1)};
  if (actions[e.key]) { actions[e.key](); e.preventDefault(); redraw(); }
};
document.querySelectorAll("#presets button").forEach(b => b.onclick = () => {
  [camera.yaw, camera.pitch] = views[b.dataset.view]; camera.target = [...center]; camera.distance = radius * 3.1; redraw();
});
function pick(e) {
  drawAll(true);
  const box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1, pixel = new Uint8Array(4);
  gl.readPixels((e.clientX - box.left) * scale, canvas.height - (e.clientY - box.top) * scale, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  drawAll(false);
  const mesh = scene.meshes[pixel[0] + 256 * pixel[1] - 1], tag = $("#tag");
  document.querySelectorAll(".row.hit").forEach(r => r.classList.remove("hit"));
  tag.hidden = !mesh;
  if (!mesh) return;
  tag.textContent = mesh.name; tag.style.left = `${e.clientX - box.left}px`; tag.style.top = `${e.clientY - box.top}px`;
  mesh.structure.row.classList.add("hit"); mesh.structure.row.scrollIntoView({block: "nearest"});
}

// The list of structures and the modes.
function milliliters(s) {
  const show = v => v >= 10 ? v.toFixed(0) : v.toFixed(1);
  const parts = [s.reference, s.prediction].filter(Boolean).map(m => show(m.ml));
  return parts.join(" / ") + " ml";
}
for (const s of structures.values()) {
  const row = document.createElement("div"), check = document.createElement("input"), swatch = document.createElement("i");
  const label = document.createElement("label"), size = document.createElement("small"), slider = document.createElement("input");
  row.className = "row"; check.type = "checkbox"; check.checked = true; check.id = `s${structures.size}-${s.name}`; label.htmlFor = check.id;
  swatch.style.background = `rgb(${s.color})`; label.textContent = label.title = s.name; size.textContent = milliliters(s);
  slider.type = "range"; slider.min = 5; slider.max = 100; slider.value = 100; slider.setAttribute("aria-label", `Opacity of ${s.name}`);
  check.onchange = () => { s.shown = check.checked; redraw(); };
  slider.oninput = () => { s.opacity = slider.value / 100; redraw(); };
  label.ondblclick = e => { e.preventDefault(); for (const o of structures.values()) o.show(o === s); redraw(); };
  s.show = on => { s.shown = check.checked = on; };
  s.row = row;
  row.append(check, swatch, label, size, slider); $("#list").append(row);
}
const visible = s => !s.row.hidden;
$(".tools input").oninput = e => { const text = e.target.value.trim().toLowerCase(); for (const s of structures.values()) s.row.hidden = !s.name.toLowerCase().includes(text), s.row.style.display = s.row.hidden ? "none" : ""; };
$("#all").onclick = () => { for (const s of structures.values()) if (visible(s)) s.show(true); redraw(); };
$("#none").onclick = () => { for (const s of structures.values()) if (visible(s)) s.show(false); redraw(); };
$("#opacity").oninput = e => { overall = e.target.value / 100; redraw(); };
const notes = {"Both": "Prediction in colour, reference as a gray shell around it.", "Compare": "Left reference, right prediction. Volumes: reference / prediction."};
function choose(name) {
  mode = name;
  document.querySelectorAll("#modes button").forEach(b => b.setAttribute("aria-pressed", b.textContent === name));
  $("#captions").style.display = name === "Compare" ? "flex" : "none";
  $("#modeNote").textContent = notes[name] || "";
  redraw();
}
for (const name of modes) {
  const button = document.createElement("button");
  button.textContent = name; button.onclick = () => choose(name);
  $("#modes").append(button);
}
const wanted = decodeURIComponent(location.hash.slice(1));
choose(modes.includes(wanted) ? wanted : mode);
new ResizeObserver(redraw).observe(canvas);
)js";

}  // namespace medseg::html
