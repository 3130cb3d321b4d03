// Charts: one style for all, in the colours of the page; each is drawn once it comes near the viewport.

const charts = new Map();
const themed = new Set();
const resized = new ResizeObserver((entries) => entries.forEach((entry) => charts.get(entry.target)?.resize()));

/** Return the colours of the page in the current theme. A canvas knows no CSS variables, so a hidden element resolves them. */
function colours() {
  const probe = h("i", { hidden: true });
  document.body.append(probe);
  const resolve = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["ink", "soft", "line", "accent", "good", "bad", "pale", "surface"];
  const found = Object.fromEntries(names.map((name) => [name, resolve(name)]));
  probe.remove();
  return { ...found, isDark: luminance(found.surface) < 0.2 };
}

const channels = (colour) =>
  colour.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16))
    : colour
        .match(/[\d.]+/g)
        .slice(0, 3)
        .map(Number);

/** Return the relative luminance of a colour, as WCAG 2 defines it: sRGB made linear, then weighed by channel. */
function luminance(colour) {
  const [r, g, b] = channels(colour).map((c) =>
    c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Return a colour, mixed with white (dark theme) or black until its WCAG contrast to the surface is at least `least`. */
function readable(colour, c, least = 3) {
  const target = c.isDark ? 255 : 0;
  let mixed = channels(colour);
  for (let step = 0; step < 12; step++) {
    const [low, high] = [luminance(`rgb(${mixed})`), luminance(c.surface)].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) >= least) break;
    mixed = mixed.map((value) => Math.round(value + 0.12 * (target - value)));
  }
  return `rgb(${mixed})`;
}

/** Return a colour with an opacity below 1. */
const faint = (colour, opacity) => `rgba(${channels(colour)},${opacity})`;

/** Make a chart: `option(colours)` returns the option of ECharts; the element's `redraw` draws it again. A button saves it. */
function chart(label, option, size = "", ready = () => {}) {
  const element = h("div", { class: `chart ${size}`, role: "figure", "aria-label": label });
  const act = () => save(element, option);
  const button = h("button", { type: "button", title: "Save this chart as an SVG", onclick: act }, "Save");
  element.redraw = () => charts.get(element)?.setOption(option(colours()), { notMerge: true });
  themed.add(element.redraw);
  lazily(element, () => {
    charts.set(element, echarts.init(element));
    element.append(button); // ECharts empties the element first
    element.redraw();
    resized.observe(element);
    ready(charts.get(element));
  });
  return element;
}

/** The font of the page; ECharts puts it between double quotes where it writes SVG. */
const font = () => getComputedStyle(document.body).fontFamily.replaceAll('"', "'");

/** The options that all charts share. */
function base(c, option) {
  return {
    animation: false,
    textStyle: { fontFamily: font(), color: c.ink },
    ...option,
    grid: { left: 62, right: 18, top: 14, bottom: 46, ...option.grid },
  };
}

/** A tooltip in the colours of the page; `formatter` returns an element. */
const tooltip = (c, option) => ({
  confine: true,
  backgroundColor: c.surface,
  borderColor: c.line,
  padding: [6, 9],
  textStyle: { color: c.ink, fontSize: 12 },
  axisPointer: { lineStyle: { color: c.pale } },
  ...option,
});

/** An axis with its name and unit. */
function axis(c, name, option = {}) {
  const isVertical = option.side === "y";
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: isVertical ? 46 : 28,
    nameTextStyle: { color: c.soft, fontSize: 12 },
    axisLine: { show: !isVertical, lineStyle: { color: c.pale } },
    axisTick: { show: !isVertical, lineStyle: { color: c.pale } },
    splitLine: { show: isVertical, lineStyle: { color: c.line } },
    scale: true,
    ...option,
    axisLabel: { color: c.soft, fontSize: 11, hideOverlap: true, ...option.axisLabel },
  };
}

/** Return the limits and the tick interval of an axis for the values of a score: round numbers, percentages within 0 to 100. */
function round(name, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [least, most] = name.endsWith("_percent") ? [0, 100] : [-Infinity, Infinity];
  const room = (high - low || Math.abs(high) / 10 || 1) * 0.04;
  const wanted = (high - low + 2 * room) / 5;
  // about five ticks: the smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `wanted`
  const size = 10 ** Math.floor(Math.log10(wanted));
  const interval = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= wanted * 0.999);
  return {
    min: Math.max(least, Math.floor((low - room) / interval) * interval),
    max: Math.min(most, Math.ceil((high + room) / interval) * interval),
    interval,
  };
}

/** Return the limits of an axis: for all values of a score if `isWhole`, else only for those in `seen`. */
const limitsOf = (name, all, seen, isWhole) => round(name, isWhole ? [...all, ...seen] : seen);

/** Return how many values are beyond limits, and on which side: "3 evaluations below 40.00 %"; empty where none is. */
function beyond(name, values, { min, max }, thing) {
  const known = values.filter((value) => value != null);
  const sides = [
    ["below", min, known.filter((value) => value < min).length],
    ["above", max, known.filter((value) => value > max).length],
  ];
  const parts = sides.filter(([, , number]) => number).map(([side, at, number]) => [number, `${side} ${score(name, at)}`]);
  return parts.map(([number, where]) => `${count(number, thing)} ${where}`).join(" and ");
}

/** Make the line below a chart about the points outside its limits, with a button that shows all; `say()` counts them. */
function leftOut(shown, say, redraw) {
  const text = h("span", {});
  const act = () => {
    shown.whole = !shown.whole;
    redraw();
    element.update();
  };
  const button = h("button", { type: "button", onclick: act });
  const element = h("p", { class: "reading left-out", "aria-live": "polite" }, text, button);
  element.update = () => {
    const outside = say();
    element.hidden = !outside;
    text.textContent = shown.whole ? "All are shown. " : `Not shown: ${outside}. `;
    button.textContent = shown.whole ? "Show only the best part" : "Show all";
  };
  element.update();
  return element;
}

/** Format the number of a tick without superfluous digits. */
const tick = (value) => (Math.abs(value) >= 1e4 ? short(value) : String(Number(value.toPrecision(6))));

/** A line through points [[x, y], ...]. */
function line(name, points, colour, option = {}) {
  return {
    type: "line",
    name,
    data: points,
    showSymbol: points.length === 1,
    symbolSize: 5,
    symbol: "circle",
    color: colour,
    emphasis: { disabled: true },
    ...option,
    lineStyle: { width: 2, color: colour, ...option.lineStyle },
  };
}

/** A step line. Its pieces are separate, with gaps between, as ECharts drops points that are less than a pixel apart. */
function stepLine(name, points, colour, option = {}) {
  const pieces = points
    .slice(1)
    .flatMap(([x, y], i) => [points[i], [x, points[i][1]], [null, null], [x, points[i][1]], [x, y], [null, null]]);
  return line(name, points.length === 1 ? points : pieces, colour, {
    connectNulls: false,
    ...option,
    lineStyle: { cap: "square", ...option.lineStyle },
  });
}

/** A band between two curves with the same x: an invisible line at `low`, and `high - low` stacked on it as a filled area. */
function band(name, x, low, high, colour, opacity = 0.16) {
  const hidden = { lineStyle: { width: 0 }, stack: name, stackStrategy: "all", silent: true, tooltip: { show: false } };
  return [
    line(
      `${name} low`,
      x.map((each, i) => [each, low[i]]),
      colour,
      hidden,
    ),
    line(
      name,
      x.map((each, i) => [each, high[i] - low[i]]),
      colour,
      { ...hidden, areaStyle: { color: faint(colour, opacity) } },
    ),
  ];
}

/** Make a legend of [[label, colour, dash]], dash as in SVG; "dot" and "box" are for points and areas. */
function legend(keysOf) {
  const shape = (colour, dash) => {
    if (dash === "dot") return svg("circle", { cx: 13, cy: 6, r: 4, fill: colour });
    if (dash === "box") return svg("rect", { x: 4, y: 1, width: 18, height: 10, fill: colour });
    return svg("path", { d: "M0 6H26", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash || null });
  };
  const picture = (key) => svg("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, key);
  const list = h("ul", { class: "legend" });
  const redraw = () => {
    const items = keysOf(colours()).map(([label, ...key]) => h("li", {}, picture(shape(...key)), label));
    list.replaceChildren(...items);
  };
  themed.add(redraw);
  redraw();
  return list;
}

/** Make an SVG element. */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach(([name, value]) => value != null && element.setAttribute(name, value));
  element.append(...children);
  return element;
}

/** Make the content of a tooltip: lines of text, the first in bold, then code if given. */
function tip(rows, code = "") {
  return h(
    "div",
    { class: "tip" },
    rows.filter(Boolean).map((row, i) => h("div", {}, i ? row : h("strong", {}, row))),
    code ? h("div", { class: "mono" }, code.length > 600 ? `${code.slice(0, 600)}…` : code) : null,
  );
}

const redrawAll = () => themed.forEach((redraw) => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

/** Make the button that switches between the light and the dark theme. */
function themeButton() {
  return h(
    "button",
    {
      type: "button",
      "aria-label": "Switch between light and dark",
      title: "Switch between light and dark",
      onclick: () => showTheme(colours().isDark ? "light" : "dark"),
    },
    "◐",
  );
}

/** Show the theme "light" or "dark"; without one, that of the system. */
function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  redrawAll();
}
