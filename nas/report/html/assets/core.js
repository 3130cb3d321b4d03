// Elements, numbers and sections: what every part of the report is made of. What runs say (names, reasons, YAML)
// becomes text nodes alone, never HTML.

const contentOf = (id) => document.getElementById(id).textContent;
const DATA = JSON.parse(contentOf("page"));

/** Return what the runs say: gzip in base64, as 20,000 evaluations are ten times as large without. */
async function readRuns() {
  const packed = Uint8Array.from(atob(contentOf("runs")), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()).runs;
}

/** Make an element: h("p", {class: "soft", onclick: act}, "text", child). Children that are null are left out. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Write a number with as many digits as say something. */
function plain(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}

/** Write a count short, as 3.35 M. */
function short(value) {
  if (value == null) return "–";
  for (const [size, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ]) {
    if (Math.abs(value) >= size) return `${Number((value / (unit === "k" ? 1e3 : size)).toPrecision(3))} ${unit}`;
  }
  return plain(value);
}

/** Write seconds as a person says them. */
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.995) return `${Number((seconds * 1e3).toPrecision(2))} ms`;
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

/** Write a score by the unit in its name. */
function score(name, value) {
  if (value == null) return "–";
  if (name.includes("percent")) return `${value.toFixed(2)} %`;
  if (name.endsWith("milliseconds")) return `${plain(value)} ms`;
  if (name.endsWith("seconds")) return duration(value);
  return name === "params" || name === "macs" ? short(value) : plain(value);
}

/** Write a score's name in words, with its unit: `validation_top1_percent` as "validation top-1, %". */
function words(name) {
  const known = { params: "parameters", macs: "multiply-adds (MACs)", lr: "learning rate", seconds: "time" };
  if (known[name]) return known[name];
  const text = name.replace(/top(\d)/, "top-$1").replaceAll("_", " ");
  return text
    .replace(/ percent$/, ", %")
    .replace(/(.) seconds$/, "$1, s")
    .replace(/ milliseconds$/, ", ms");
}

/** Write a score's name in words, without its unit. */
const nameOf = (score) => words(score).replace(/, (%|s|ms)$/, "");
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Write a remark as a sentence. */
const sentence = (text) => capital(text) + (/[.!?]$/.test(text) ? "" : ".");

/** Count things: 1 failure, 2 failures. */
const count = (number, thing) => `${plain(number)} ${thing}${number === 1 ? "" : "s"}`;

/** Make a section: a heading, one line that reads what is below, and that. */
function section(id, title, reading, ...body) {
  const element = h("section", { id }, h("header", {}, h("h2", {}, title)));
  if (reading) element.append(h("p", { class: "reading" }, reading));
  element.append(...body.flat().filter((child) => child != null));
  return element;
}

/** Make a section that says why there is nothing to see. */
const empty = (id, title, why) => section(id, title, "", h("p", { class: "empty" }, sentence(why)));

/** Make a text that can be copied. */
function copied(text, wrap = false) {
  const button = h("button", { type: "button", "aria-label": "Copy the text" }, "Copy");
  button.addEventListener("click", async () => {
    const isDone = await copy(text);
    button.textContent = isDone ? "Copied" : "Select it, and copy";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return h("div", { class: "copied" }, h("pre", { class: wrap ? "wrap" : "", tabindex: "0" }, text), button);
}

/** Copy a text; pages that were opened from a file may have no clipboard but the old one. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.body.appendChild(h("textarea", { style: "position:fixed;opacity:0" }, text));
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}

/** Make buttons of which one is pressed: options are [[name, value]], and `act` gets the value. */
function choice(label, options, act, pressed = options[0][1]) {
  const buttons = options.map(([name, value]) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(value === pressed), onclick: (event) => press(event.target, value) },
      name,
    ),
  );
  const press = (pressed, value) => {
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
    act(value);
  };
  return h("span", { class: "switch", role: "group", "aria-label": label }, buttons);
}

const resizing = new ResizeObserver((entries) => entries.forEach(({ target }) => target.showMore()));

/** Let what is wider than its place fade where there is more of it, and say so. */
function scrolling(element) {
  const hint = h("p", { class: "hint", hidden: true }, "Scroll sideways for the rest →");
  element.showMore = () => {
    const room = element.scrollWidth - element.clientWidth;
    element.classList.toggle("more-left", element.scrollLeft > 1);
    element.classList.toggle("more-right", room - element.scrollLeft > 1);
    hint.hidden = room <= 1;
  };
  element.addEventListener("scroll", element.showMore, { passive: true });
  resizing.observe(element);
  return h("div", { class: "wide" }, element, hint);
}

/** Make a small table of texts and elements; a column with numbers stands right. */
function table(columns, rows) {
  const kinds = columns.map((_, i) => (rows.some((row) => isNumeric(row[i])) ? "number" : null));
  const heads = columns.map((name, i) => h("th", { scope: "col", class: kinds[i] }, name));
  const body = rows.map((row) =>
    h(
      "tr",
      {},
      row.map((value, i) => h("td", { class: kinds[i] }, value ?? "")),
    ),
  );
  const grid = h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body));
  return scrolling(h("div", { class: "box", tabindex: "0" }, grid));
}

const isNumeric = (value) => typeof value === "string" && /^[+-]?[\d.,]+( ?(%|s|ms|min|h|days|k|M|G|T))?$/.test(value);

/** Make a bar for a percentage, with the number. */
function meter(percent) {
  const bar = h("i", { style: `width:${Math.min(100, percent)}%` });
  return h("span", {}, h("span", { class: "meter", "aria-hidden": "true" }, bar), ` ${percent.toFixed(1)} %`);
}

/** Show an SVG as a picture of its own: what it says can neither run nor clash with the page. */
function drawing(svg, label) {
  const [width] = (svg.match(/<svg[^>]*?\swidth="([\d.]+)/) ?? ["", "0"]).slice(1).map(Number);
  const image = h("img", { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: label });
  if (width) image.style.minWidth = `${Math.min(width, 620)}px`;
  const frame = h("div", { class: "drawing", tabindex: "0" }, image);
  image.addEventListener("load", () => frame.showMore());
  return scrolling(frame);
}

const waiting = new Map();
const watcher = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => drawNow(entry.target)),
  { rootMargin: "400px" },
);

/** Draw when an element is near to what is seen. */
function lazily(element, draw) {
  waiting.set(element, draw);
  watcher.observe(element);
}

function drawNow(element) {
  watcher.unobserve(element);
  const draw = waiting.get(element);
  waiting.delete(element);
  draw?.();
}

const drawAll = () => [...waiting.keys()].forEach(drawNow);
