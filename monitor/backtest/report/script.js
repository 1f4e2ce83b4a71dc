// Reads the plots of a model at one moment, pointed at or chosen with the slider. The page is whole without it.
"use strict";
const STEPS = 1000, ACROSS = 10000;

// "M0,5 10,7M40,1h0" → [[0, 5], [10, 7], null, [40, 1]]: what was drawn, in the steps of the drawing
const parse = (d) => d.split("M").filter(Boolean).flatMap((run, at) =>
  [...(at ? [null] : []), ...run.replace("h0", "").split(" ").map((pair) => pair.split(",").map(Number))]);

const format = (value) => value.toLocaleString("en", { maximumSignificantDigits: value < 1000 ? 3 : 6 }).replaceAll(",", "\u202f");

class Plot {
  constructor(box) {
    const svg = box.querySelector("svg");
    this.path = svg.querySelector(".line").getAttribute("d");
    this.high = svg.viewBox.baseVal.height;
    this.unit = Number(svg.dataset.unit);
    this.base = Number(svg.dataset.base ?? 0);
    this.growing = "growing" in svg.dataset; // even up to 1, above by factors of ten
    this.output = box.querySelector(".read");
  }
  at(across) {
    this.points ??= parse(this.path);
    let near = null;
    for (const point of this.points) {
      if (point && (!near || Math.abs(point[0] - across) < Math.abs(near[0] - across))) near = point;
    }
    const apart = near ? Math.abs(near[0] - across) : Infinity;
    if (apart > this.reach()) return null;
    const drawn = (this.high - near[1]) / this.unit;
    return this.growing && drawn > 1 ? 10 ** (drawn - 1) : this.base + drawn;
  }
  reach() { // half of the widest step that is still drawn as a line, and never less than a pixel or so
    if (this.far === undefined) {
      this.far = ACROSS / 500;
      this.points.forEach((point, at) => {
        const next = this.points[at + 1];
        if (point && next) this.far = Math.max(this.far, (next[0] - point[0]) / 2);
      });
    }
    return this.far;
  }
  show(across) {
    const value = this.at(across);
    this.output.textContent = value === null ? "no data" : format(value);
  }
}

class Reader {
  constructor(section) {
    this.first = Number(section.dataset.first);
    this.last = Number(section.dataset.last);
    this.boxes = [...section.querySelectorAll(".plots .box")].filter((box) => box.querySelector("svg .line"));
    this.plots = this.boxes.map((box) => new Plot(box));
    this.cursors = this.boxes.map((box) => box.appendChild(Object.assign(document.createElement("div"), { className: "cursor", hidden: true })));
    this.addSlider(section);
    for (const box of this.boxes) {
      box.addEventListener("pointermove", (event) => {
        const area = box.getBoundingClientRect();
        this.show((event.clientX - area.left) / area.width);
      });
    }
  }
  addSlider(section) {
    const row = Object.assign(document.createElement("div"), { className: "reader" });
    this.said = Object.assign(document.createElement("span"), { className: "quiet", textContent: "Point at a plot, or slide, to read it" });
    this.slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: STEPS, value: 0 });
    this.slider.setAttribute("aria-label", "Time at which the plots are read");
    this.slider.addEventListener("input", () => this.show(this.slider.value / STEPS));
    row.append(this.said, this.slider);
    section.querySelector(".plots").append(row);
  }
  show(fraction) {
    const at = Math.min(1, Math.max(0, fraction));
    const when = new Date(this.first + at * (this.last - this.first)).toISOString().slice(0, 16).replace("T", " ") + " UTC";
    this.said.textContent = when;
    this.slider.value = at * STEPS;
    this.slider.setAttribute("aria-valuetext", when);
    this.plots.forEach((plot) => plot.show(at * ACROSS));
    this.cursors.forEach((cursor) => { cursor.hidden = false; cursor.style.left = `${100 * at}%`; });
  }
}

document.querySelectorAll("section[data-first]").forEach((section) => new Reader(section));

const unfold = () => { // a link to an alert opens it
  const card = document.getElementById(location.hash.slice(1))?.closest("details");
  if (card) card.open = true;
};
addEventListener("hashchange", unfold);
unfold();

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((card) => { card.open = true; });
});
addEventListener("afterprint", () => folded.forEach((card) => { card.open = false; }));
