// A chart as a file, with its title and its key: for a paper, or a slide.

/** Save a chart as it stands, with its title above it and its key below it, as an SVG. */
function save(element, option) {
  const label = element.getAttribute("aria-label");
  const text = new XMLSerializer().serializeToString(savedSvg(element, label, option));
  const file = new Blob([text], { type: "image/svg+xml" });
  const name = `${document.title} ${label}`.replace(/[^\p{L}\p{N}.]+/gu, "-");
  h("a", { href: URL.createObjectURL(file), download: `${name.slice(0, 100)}.svg` }).click();
}

const [TITLED, KEYED] = [26, 20];

function savedSvg(element, label, option) {
  const c = colours();
  const { clientWidth: width, clientHeight: height } = element;
  const keys = keysBelow(element, width);
  const whole = TITLED + height + KEYED * ((keys.at(-1)?.row ?? -1) + 1.5);
  return svg(
    "svg",
    { width, height: whole, viewBox: `0 0 ${width} ${whole}`, "font-family": font() },
    svg("rect", { width, height: whole, fill: c.surface }),
    svg("text", { x: 8, y: 18, "font-size": 13, "font-weight": 600, fill: c.ink }, label),
    svg("g", { transform: `translate(0 ${TITLED})` }, plotted(width, height, option(c))),
    ...keys.map(({ x, row, icon, text }) => {
      const place = `translate(${x} ${TITLED + height + KEYED * row})`;
      return svg("g", { transform: place }, icon, svg("text", { x: 32, y: 10, "font-size": 12, fill: c.soft }, text));
    }),
  );
}

/** Draw what a chart shows again, as an element of SVG: on the page it is pixels. */
function plotted(width, height, option) {
  const plot = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  plot.setOption(option);
  const text = plot.renderToSVGString();
  plot.dispose();
  return new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
}

/** The items of the key of a chart, which is beside it or beside what it stands in, laid out in rows. */
function keysBelow(element, width) {
  let list = null;
  for (let at = element; !list && at.tagName !== "SECTION"; at = at.parentElement) {
    list = at.parentElement.querySelector(":scope > .legend");
  }
  let [x, row] = [8, 0];
  return [...(list?.children ?? [])].map((item) => {
    const wide = 50 + 6.5 * item.textContent.length;
    if (x > 8 && x + wide > width) [x, row] = [8, row + 1];
    const icon = item.querySelector("svg").cloneNode(true);
    icon.setAttribute("width", 26);
    icon.setAttribute("height", 12);
    x += wide;
    return { x: x - wide, row, icon, text: item.textContent };
  });
}
