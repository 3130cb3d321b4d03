// Elements, number formats and sections, used by every part of the report. Text from runs (names, failures, YAML) only ever
// becomes text nodes, never HTML.

const contentOf = (id) => document.getElementById(id).textContent;
const DATA = JSON.parse(contentOf("page"));

/** Return the summaries of the runs. They are gzip in base64: uncompressed, 20,000 evaluations are ten times as large. */
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

/** Format a number with at least three significant digits; whole numbers in full. */
function plain(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}

/** Format a count in short form, such as 3.35 M. */
function short(value) {
  if (value == null) return "–";
  for (const [size, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ]) {
    // "k" begins at 10,000 (1,234 is short enough) but still divides by 1,000
    if (Math.abs(value) >= size) return `${Number((value / (unit === "k" ? 1e3 : size)).toPrecision(3))} ${unit}`;
  }
  return plain(value);
}

/** Format seconds as 35 ms, 12.5 s, 3.1 min, 2.0 h or 2.3 days. */
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.995) return `${Number((seconds * 1e3).toPrecision(2))} ms`;
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

/** Format a score with the unit that its name ends in. */
function score(name, value) {
  if (value == null) return "–";
  if (name.includes("percent")) return `${value.toFixed(2)} %`;
  if (/milliseconds$|_ms$/.test(name)) return `${plain(value)} ms`;
  if (name.endsWith("seconds")) return duration(value);
  return name === "params" || name === "macs" ? short(value) : plain(value);
}

/** Return a score's name in words, with its unit: `validation_top1_percent` as "validation top-1, %". */
function words(name) {
  const known = { params: "parameters", macs: "multiply-adds (MACs)", lr: "learning rate", seconds: "time" };
  if (known[name]) return known[name];
  const text = name.replace(/top(\d)/, "top-$1").replaceAll("_", " ");
  return text
    .replace(/ percent$/, ", %")
    .replace(/(.) seconds$/, "$1, s")
    .replace(/ (milliseconds|ms)$/, ", ms");
}

/** Return a score's name in words, without its unit. */
const nameOf = (score) => words(score).replace(/, (%|s|ms)$/, "");
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Return a note as a sentence, with a capital and a full stop. */
const sentence = (text) => capital(text) + (/[.!?]$/.test(text) ? "" : ".");

/** Return a number with its noun: 1 failure, 2 failures. */
const count = (number, thing) => `${plain(number)} ${thing}${number === 1 ? "" : "s"}`;

/** Make a section: a heading, one line that sums up its content, and the content. */
function section(id, title, reading, ...body) {
  const element = h("section", { id }, h("header", {}, h("h2", {}, title)));
  if (reading) element.append(h("p", { class: "reading" }, reading));
  element.append(...body.flat().filter((child) => child != null));
  return element;
}

/** Make a section that gives the reason why it is empty. */
const empty = (id, title, why) => section(id, title, "", h("p", { class: "empty" }, sentence(why)));

/** Make a text with a button that copies it. */
function copied(text, wrap = false) {
  const button = h("button", { type: "button", "aria-label": "Copy the text" }, "Copy");
  button.addEventListener("click", async () => {
    const isDone = await copy(text);
    button.textContent = isDone ? "Copied" : "Select and copy by hand";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return h("div", { class: "copied" }, h("pre", { class: wrap ? "wrap" : "", tabindex: "0" }, text), button);
}

/** Copy a text. A page opened from a file may lack the clipboard API: then by the deprecated execCommand. */
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

/** Make a row of buttons, one of them pressed: options are [[name, value]], and `act` is called with the value. */
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

/** Let an element that is wider than its container scroll, with faded edges and a hint where more is hidden. */
function scrolling(element) {
  const hint = h("p", { class: "hint", hidden: true }, "Scroll sideways for more →");
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

/** Make a small table of texts and elements; columns with numbers are aligned to the right. */
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

/** Make a bar for a percentage, followed by the number. */
function meter(percent) {
  const bar = h("i", { style: `width:${Math.min(100, percent)}%` });
  return h("span", {}, h("span", { class: "meter", "aria-hidden": "true" }, bar), ` ${percent.toFixed(1)} %`);
}

/** Show an SVG as an image: its scripts cannot run, and its ids and styles cannot clash with the page. */
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

/** Draw an element once it is within 400 pixels of the viewport. */
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
