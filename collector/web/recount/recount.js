// Count visits by hand at the door. Taps are kept in this browser and sent as one session, again and again until the
// server has the latest revision: a lost, repeated or late request changes nothing. See collector/recount/session.py.
"use strict";

const API = "/api/v1", SESSION = "facetally-recount", TOKEN = "facetally-token";
const SEND_MS = 2000, ASK_MS = 5000, LIMIT_MS = 10000, TICK_MS = 250;
const QUARTER_MS = 900000, MINUTE_MS = 60000;
const EARLY_MS = 5000; // a session that begins with a window must begin before its first visit is counted
const FINAL = ["compared", "not_comparable"];

const at = id => document.getElementById(id);
const LANGUAGE = document.documentElement.lang, WORDS = JSON.parse(at("words").textContent);
const say = (name, values = {}) => WORDS[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
const clock = ms => new Date(ms).toLocaleTimeString(LANGUAGE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
let session = JSON.parse(localStorage.getItem(SESSION)); // null, or what save() keeps
let offset = 0, roundTrip = Infinity; // server clock minus this clock, ms, and the round trip it was measured with
let sending = false, lastSent = 0, nextQuarter = 0, offline = false, needsToken = false;

const now = () => Date.now() + offset;
const isOver = () => session.finished || now() >= session.end;
const isUnsent = () => session.revision > session.sent;

function save() {
  if (session) localStorage.setItem(SESSION, JSON.stringify(session));
  else localStorage.removeItem(SESSION);
}

function change(update) {
  update(session);
  session.revision += 1;
  save();
  tick();
}

async function ask(path, options = {}) {
  const token = localStorage.getItem(TOKEN);
  const headers = { "Accept-Language": LANGUAGE, ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(API + path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  throw Object.assign(new Error(problem.detail), { status: response.status, token });
}

function showError(text) {
  at("error").textContent = text;
  at("error").hidden = !text;
}

const iso = ms => new Date(ms).toISOString();

async function send() {
  if (!session || sending) return;
  sending = true;
  lastSent = Date.now();
  const { id, revision } = session;
  const body = JSON.stringify({ site: session.site, device: session.device, start: iso(session.start), end: iso(session.end),
    taps: session.taps.map(iso), finished: session.finished, revision });
  try {
    const began = Date.now();
    const answer = await ask(`/recounts/sessions/${id}`, { method: "PUT", body, headers: { "Content-Type": "application/json" } });
    setClock(answer.now, began);
    offline = false;
    if (session && session.id === id) {
      session.sent = Math.max(session.sent, revision);
      session.state = answer.state;
      session.sentence = answer.result && answer.result.sentence;
      save();
    }
    showError("");
  } catch (error) {
    refuse(error);
  } finally {
    sending = false;
    render();
  }
}

function setClock(serverNow, began) {
  const ended = Date.now();
  if (ended - began > roundTrip) return;
  roundTrip = ended - began;
  offset = Date.parse(serverNow) - (began + ended) / 2;
}

function refuse(error) {
  offline = !error.status;
  if (offline || error.status === 429 || error.status >= 500) return; // sent again; the line below the button says so
  if (error.status === 401) {
    if (localStorage.getItem(TOKEN) !== error.token) return; // another token was given meanwhile
    if (error.token) showError(say("wrong_token"));
    localStorage.removeItem(TOKEN);
    needsToken = true;
    return;
  }
  showError(WORDS[`refused_${error.status}`] || error.message);
  if ([404, 409].includes(error.status) && session && !session.sent) { // it never began
    session = null;
    save();
    loadDevices();
  }
}

async function loadDevices() {
  try {
    const { devices } = await ask("/devices");
    offline = false;
    at("device").replaceChildren(...devices.map(({ site, device }) =>
      Object.assign(document.createElement("option"), { value: `${site}/${device}`, textContent: `${site}: ${device}` })));
    if (!devices.length) showError(say("no_device"));
  } catch (error) {
    refuse(error);
  }
  render();
}

function start(event) {
  event.preventDefault();
  const [site, device] = at("device").value.split("/");
  const isQuarter = document.querySelector("[name=begin]:checked").value === "quarter";
  const first = isQuarter ? nextQuarter : now();
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("");
  session = { id, site, device, start: Math.round(isQuarter ? first - EARLY_MS : first),
    end: Math.round(first + at("minutes").valueAsNumber * MINUTE_MS), taps: [], finished: false, revision: 0, sent: -1, state: "running" };
  showError("");
  change(() => {});
  navigator.wakeLock?.request("screen").catch(() => {}); // keeps the screen on where the browser allows it
}

function render() {
  const over = session && isOver();
  at("login").hidden = !needsToken;
  at("setup").hidden = !!session || needsToken;
  at("counting").hidden = !session || over;
  at("result").hidden = !over;
  nextQuarter = Math.ceil((now() + EARLY_MS) / QUARTER_MS) * QUARTER_MS;
  at("quarter").textContent = say("at_quarter", { time: clock(nextQuarter) });
  at("saved").textContent = "";
  if (!session) return;
  const waits = now() < session.start;
  at("place").textContent = at("counted-at").textContent = `${session.site}: ${session.device}`;
  at("count").textContent = session.taps.length;
  at("add").disabled = waits;
  at("undo").disabled = !session.taps.length;
  const seconds = Math.max(0, Math.ceil(((waits ? session.start : session.end) - now()) / 1000));
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  at("left").textContent = waits ? say("begins", { time }) : say("left", { time, end: clock(session.end) });
  const waiting = say(offline ? "offline" : "sending");
  at("saved").textContent = isUnsent() ? waiting : over ? "" : say("saved");
  at("again").hidden = isUnsent();
  if (over) at("outcome").textContent = outcome();
}

function outcome() {
  if (session.state === "compared") return session.sentence.replace(/\([^()]*\)/g, part => part.replaceAll(" ", "\u00a0"));
  const why = session.state === "not_comparable" ? "not_comparable" : "not_compared";
  return `${say("by_hand", { number: session.taps.length })} ${say(why)}`;
}

function tick() {
  if (session && !session.finished && now() >= session.end) change(each => { each.finished = true; });
  const done = session && FINAL.includes(session.state) && !isUnsent();
  if (session && !done && Date.now() - lastSent > (isUnsent() ? SEND_MS : ASK_MS)) send();
  if (!session && !at("device").options.length && at("login").hidden && Date.now() - lastSent > SEND_MS) {
    lastSent = Date.now();
    loadDevices();
  }
  render();
}

at("login").onsubmit = event => {
  event.preventDefault();
  localStorage.setItem(TOKEN, at("token").value.trim());
  at("token").value = "";
  needsToken = false;
  showError("");
  if (session) send(); else loadDevices();
};
at("setup").onsubmit = start;
at("add").onclick = () => {
  if (now() < session.start || isOver()) return;
  navigator.vibrate?.(20);
  change(each => each.taps.push(Math.round(now())));
};
at("undo").onclick = () => change(each => each.taps.pop());
at("stop").onclick = () => {
  if (!confirm(say("stop"))) return;
  change(each => {
    each.end = Math.max(Math.round(now()), each.start + 1, ...each.taps);
    each.finished = true;
  });
};
at("again").onclick = () => {
  session = null;
  save();
  loadDevices();
};
if (!session) loadDevices(); else send();
setInterval(tick, TICK_MS);
