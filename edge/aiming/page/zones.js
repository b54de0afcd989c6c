// Draw staff zones on an image, and judge them: shared by the page of `facetally-edge zones` and that of facetally-aim.
"use strict";

const SVG = "http://www.w3.org/2000/svg", GRAB_PX = 14, DECIMALS = 3;

/** The zones drawn in an SVG element whose view box is 0 0 1 1. Corners are [x, y], fractions of width and height. */
class ZoneDrawing {
  zones = [[]]; // the last one is being drawn

  constructor(svg, onChange) {
    this.svg = svg;
    this.onChange = onChange;
    svg.addEventListener("pointerdown", event => this.#grab(event));
    svg.addEventListener("pointermove", event => this.#drag(event));
    svg.addEventListener("pointerup", event => this.#release(event));
    svg.addEventListener("pointercancel", () => { this.grabbed = null; });
  }

  get complete() { return this.zones.filter(zone => zone.length > 2); }

  get hasIncomplete() { return this.zones.some(zone => zone.length === 1 || zone.length === 2); }

  set(zones) { this.zones = [...zones.map(zone => zone.map(corner => [...corner])), []]; this.#changed(); }

  next() { if (this.zones.at(-1).length > 2) this.zones.push([]); this.#changed(); }

  undo() {
    if (!this.zones.at(-1).length && this.zones.length > 1) this.zones.pop();
    this.zones.at(-1).pop();
    this.#changed();
  }

  draw() {
    const make = (name, attributes) => {
      const shape = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
      return shape;
    };
    const areas = this.zones.map(zone =>
      make(zone.length > 2 ? "polygon" : "polyline", { points: zone.map(corner => corner.join(",")).join(" ") }));
    // a line of no length with round ends is a dot that the view box does not distort
    const dots = this.zones.flat().map(([x, y]) => make("path", { d: `M${x} ${y}h0` }));
    this.svg.replaceChildren(...areas, ...dots);
  }

  #changed() { this.draw(); this.onChange(); }

  #position(event) {
    const box = this.svg.getBoundingClientRect();
    const fraction = (value, start, length) => Math.min(1, Math.max(0, (value - start) / length));
    return [fraction(event.clientX, box.left, box.width), fraction(event.clientY, box.top, box.height)];
  }

  #grab(event) {
    const box = this.svg.getBoundingClientRect(), [x, y] = this.#position(event);
    this.isDown = event.isPrimary;
    this.grabbed = this.zones.flat().find(corner =>
      Math.hypot((corner[0] - x) * box.width, (corner[1] - y) * box.height) < GRAB_PX);
    if (this.grabbed) this.svg.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    if (!this.grabbed) return;
    this.grabbed.splice(0, 2, ...this.#position(event));
    this.#changed();
  }

  #release(event) {
    if (this.isDown && !this.grabbed) {
      this.zones.at(-1).push(this.#position(event));
      this.#changed();
    }
    this.isDown = false;
    this.grabbed = null;
  }
}

/** The line of edge.toml that states zones. */
function zonesLine(zones) {
  const decimals = corner => `[${corner.map(value => value.toFixed(DECIMALS)).join(", ")}]`;
  return `staff_zones = [${zones.map(zone => `[${zone.map(decimals).join(", ")}]`).join(", ")}]`;
}

/** The zones of such a line, with comments and trailing commas; throws an error if it is not one. */
function parseZones(line) {
  const zones = JSON.parse(line.replace(/^[^=]*=/, "").replace(/#.*$/gm, "").replace(/,(\s*\])/g, "$1"));
  const isCorner = corner => corner.length === 2 && corner.every(value => typeof value === "number" && value >= 0 && value <= 1);
  if (!zones.every(zone => zone.length > 2 && zone.every(isCorner))) throw new RangeError();
  return zones;
}

const zoneCount = number => number === 1 ? "1 zone." : `${number} zones.`;

// The same as edge/counting/zone_advice.py, which explains the numbers.
const SIDES = ["left", "right", "top", "bottom"], EDGE_INSET = 0.02, EDGE_POINTS = 100, MIN_EDGE_PERCENT = 10;
const PATH_ENDS = 12, MIN_PATH_PERCENT = 50;
const bordersOf = zone => zone.map((corner, index) => [corner, zone[(index + 1) % zone.length]]);

function isInside([x, y], zone) {
  return bordersOf(zone).filter(([[ax, ay], [bx, by]]) =>
    (ay > y) !== (by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax)).length % 2 === 1;
}

function onSide(side, along) {
  return { left: [EDGE_INSET, along], right: [1 - EDGE_INSET, along],
           top: [along, EDGE_INSET], bottom: [along, 1 - EDGE_INSET] }[side];
}

function edgePercent(zone, side) {
  return [...Array(EDGE_POINTS).keys()].filter(index => isInside(onSide(side, (index + 0.5) / EDGE_POINTS), zone)).length;
}

function crosses(start, end, zone) {
  const isLeft = (a, b, point) => (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) > 0;
  return isInside(start, zone) || bordersOf(zone).some(([c, d]) =>
    isLeft(start, end, c) !== isLeft(start, end, d) && isLeft(c, d, start) !== isLeft(c, d, end));
}

function pathPercent(zones) {
  const ends = side => [...Array(PATH_ENDS).keys()].map(index => onSide(side, (index + 0.5) / PATH_ENDS));
  const paths = SIDES.flatMap((one, index) => SIDES.slice(index + 1).flatMap(other =>
    ends(one).flatMap(start => ends(other).map(end => [start, end]))));
  const crossed = paths.filter(([start, end]) => zones.some(zone => crosses(start, end, zone))).length;
  return Math.floor((200 * crossed + paths.length) / (2 * paths.length));
}

function advise(zones) {
  const warnings = zones.flatMap((zone, index) => SIDES
    .map(side => [side, edgePercent(zone, side)])
    .filter(([, percent]) => percent >= MIN_EDGE_PERCENT)
    .map(([side, percent]) =>
      `zone ${index + 1} covers ${percent} % of the ${side} edge: people who walk in or out there are not counted`));
  const percent = pathPercent(zones);
  if (percent >= MIN_PATH_PERCENT)
    warnings.push(`the zones lie on ${percent} % of the straight paths through the frame: few visitors are counted`);
  return warnings;
}

/** Show the warnings about zones as the items of a list. */
function showAdvice(list, zones) {
  list.replaceChildren(...advise(zones).map(text => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}
