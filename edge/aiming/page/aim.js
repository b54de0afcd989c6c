// The page of facetally-aim: enter the code, then show the live view a few times a second, and save staff zones.
"use strict";

const POLL_MS = 250, MAX_FAILURES = 4, LABEL_PX = 13;
const at = id => document.getElementById(id);
const LABELS = { good: "", small: "too small", unclear: "unclear", excluded: "excluded", waiting: "" };
let isEditing = false, saved = [], failures = 0;

const drawing = new ZoneDrawing(at("drawing"), () => {
  if (!isEditing) return;
  at("message").textContent = drawing.hasIncomplete ? "A zone must have at least three corners." : zoneCount(drawing.complete.length);
  showAdvice(at("advice"), drawing.complete);
});

function show(id) {
  for (const each of ["entry", "view", "ended"]) at(each).hidden = each !== id;
}

/** Send a request. Returns the JSON of the answer, with the status; throws an error if there is no answer. */
async function ask(method, path, body) {
  const options = { method, headers: {}, signal: AbortSignal.timeout(8000) };
  if (method === "POST") {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  const answer = await fetch(path, options);
  return { status: answer.status, ...await answer.json() };
}

async function enter(event) {
  event.preventDefault();
  try {
    const answer = await ask("POST", "/session", { code: at("code").value });
    at("refused").textContent = answer.error ?? "";
    if (answer.status === 200) await begin();
  } catch {
    show("ended");
  }
}

async function begin() {
  if (!(await ask("GET", "/session")).open) return show("entry");
  const answer = await ask("GET", "/zones");
  saved = answer.zones ?? [];
  at("zones-note").textContent = answer.zones === null
    ? "The configuration states none yet. Draw around each workplace at the height of faces, or save none."
    : `${zoneCount(saved.length)} A face whose centre is in a zone is never analysed.`;
  drawing.set(saved);
  show("view");
  poll();
}

async function poll() {
  try {
    const live = await ask("GET", "/live");
    if (live.status === 401) return show("entry");
    failures = 0;
    draw(live);
  } catch {
    if (++failures >= MAX_FAILURES) return show("ended");
  }
  setTimeout(poll, POLL_MS);
}

function setText(id, text) { // only changes, because a screen reader reads each of them
  if (at(id).textContent !== text) at(id).textContent = text;
}

function draw(live) {
  setText("source", live.source);
  setText("left", `stops in ${Math.floor(live.left_s / 60)}:${String(Math.floor(live.left_s % 60)).padStart(2, "0")}`);
  setText("advice-text", live.advice.text);
  at("advice-text").className = live.advice.topic === "good" ? "good" : "";
  setText("images-note", live.shows_images
    ? "The image is shown because facetally-aim was started with --images. It is never stored, on the device or in this browser."
    : "Boxes on grey: no image leaves the device.");
  drawStage(live);
  drawMeasures(live);
}

function drawStage(live) {
  at("no-frame").hidden = live.width > 0;
  at("image").hidden = !live.image;
  if (live.image) at("image").src = live.image;
  if (!live.width) return at("boxes").replaceChildren();
  at("stage").style.aspectRatio = `${live.width} / ${live.height}`;
  at("boxes").setAttribute("viewBox", `0 0 ${live.width} ${live.height}`);
  const scale = live.width / at("boxes").clientWidth; // pixels of the frame in a pixel of the page
  at("boxes").replaceChildren(...live.faces.map(face => {
    const [left, top, width, height] = face.box, group = document.createElementNS(SVG, "g");
    const box = document.createElementNS(SVG, "rect"), label = document.createElementNS(SVG, "text");
    group.setAttribute("class", face.state);
    for (const [key, value] of Object.entries({ x: left, y: top, width, height })) box.setAttribute(key, value);
    label.textContent = [`${Math.round(face.size)} px`, LABELS[face.state]].filter(Boolean).join(", ");
    label.setAttribute("font-size", LABEL_PX * scale);
    label.setAttribute("stroke-width", 3 * scale);
    const isRight = left > 0.75 * live.width; // where a label to the right would be cut off
    label.setAttribute("text-anchor", isRight ? "end" : "start");
    label.setAttribute("x", isRight ? Math.min(left + width, live.width) : Math.max(0, left));
    label.setAttribute("y", top > 16 * scale ? top - 5 * scale : top + height + 14 * scale);
    group.append(box, label);
    return group;
  }));
}

function drawMeasures({ measures: m }) {
  const rows = [
    ["Faces", m.face_px === null ? `none yet (min. ${m.needed_px} px)` : `${Math.round(m.face_px)} px (min. ${m.needed_px})`],
    ["Distance, estimated", m.distance_m === null ? "not known" : `${m.distance_m.toFixed(1)} m`],
    ["People in a minute", `${m.people}`],
    ["Predicted unknown", m.people ? `${Math.round(100 * m.unknown / m.people)} %` : "not known"],
    ["Light of faces", m.face_light === null ? "not known" : `${Math.round(m.face_light)} (min. ${m.needed_light})`],
    ["Light of the image", `${Math.round(m.light)} of 255`],
    ["Sharpness", `${m.detail.toFixed(2)} (best ${m.best_detail.toFixed(2)})`],
    ["Frames a second", m.frames_per_s.toFixed(1)],
    ["Searched a second", m.detections_per_s.toFixed(1)],
  ];
  const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  at("measures").replaceChildren(...rows.flatMap(([name, text]) => [made("dt", name), made("dd", text)]));
}

function setEditing(value) {
  isEditing = value;
  at("drawing").classList.toggle("editing", value);
  at("edit-buttons").hidden = !value;
  at("idle-buttons").hidden = value;
  at("message").textContent = value ? "Tap the corners of a zone in the live view; drag a corner to move it." : "";
  showAdvice(at("advice"), value ? drawing.complete : []);
  at("by-hand").hidden = true;
}

async function save() {
  if (drawing.hasIncomplete) return;
  const zones = drawing.complete;
  const answer = await ask("POST", "/zones", { zones }).catch(() => ({ error: "The device did not answer." }));
  if (answer.error) {
    at("message").textContent = answer.error;
    at("line").value = zonesLine(zones);
    at("by-hand").hidden = false;
    return;
  }
  saved = zones;
  setEditing(false);
  at("zones-note").textContent = `${zoneCount(zones.length)} A face whose centre is in a zone is never analysed.`;
  at("message").textContent = `Saved in ${answer.saved}; the file as it was before is ${answer.backup}. The daemon uses them when it starts.`;
}

at("form").addEventListener("submit", enter);
at("edit").onclick = () => setEditing(true);
at("discard").onclick = () => { drawing.set(saved); setEditing(false); };
at("next").onclick = () => drawing.next();
at("undo").onclick = () => drawing.undo();
at("clear").onclick = () => drawing.set([]);
at("save").onclick = save;
at("stop").onclick = async () => { await ask("POST", "/stop").catch(() => null); show("ended"); };
begin().catch(() => show("ended"));
