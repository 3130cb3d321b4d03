// All evaluations, to sort and filter. Only the visible rows are in the DOM, so that 20,000 scroll as smoothly as 20.

const ROW = 28; // pixels, as in report.css
const SPARE = 8;
const HINT = "words, or bounds such as macs<5e6";

function evaluationsOf(run, id) {
  const title = "All evaluations";
  const total = run.evaluations?.architecture.length ?? 0;
  if (!total) return empty(id, title, run.missing.evaluations ?? "Nothing has been proposed yet.");
  const columns = columnsOf(run);
  const filter = h("input", { type: "search", placeholder: `Filter: ${HINT}`, "aria-label": `Filter: ${HINT}` });
  const states = ["all", "scored", "failed", "in flight"].map((name) => h("option", {}, name));
  const state = h("select", { "aria-label": "Which evaluations" }, states);
  const found = h("span", { "aria-live": "polite" });
  const chosen = h("div", { class: "chosen-row", "aria-live": "polite" }, "Click a row for its details.");
  const grid = new Rows(run, columns, (i) => chosen.replaceChildren(rowInFull(run, columns, i)));
  const known = [];
  const wordsOf = (i) =>
    (known[i] ??= columns
      .map((column) => column.shown(i))
      .join("\n")
      .toLowerCase());
  const update = () => {
    const fits = queryOf(filter.value, columns, wordsOf);
    const isAsked = (i) => (state.value === "all" || stateOf(run, i) === state.value) && fits(i);
    const rows = Array.from({ length: total }, (_, i) => i).filter(isAsked);
    found.textContent = `${plain(rows.length)} of ${plain(total)}`;
    grid.show(rows);
  };
  filter.addEventListener("input", update);
  state.addEventListener("change", update);
  lazily(grid.element, update);
  const controls = h("div", { class: "controls" }, filter, state, found);
  const reading = "Click a heading to sort. The headings have the units.";
  const element = section(id, title, reading, controls, scrolling(grid.element), chosen);
  element.classList.add("screen");
  return element;
}

function rowInFull(run, columns, i) {
  const all = run.evaluations;
  const facts = columns.slice(0, -1).filter((column) => column.shown(i) !== "");
  const text = facts.map((column) => `${column.name}: ${column.shown(i)}`).join(" · ");
  const failure = failureOf(all, i);
  const reason = failure == null ? null : h("p", { class: "notice" }, failure);
  return h("div", {}, h("p", {}, text), reason, copied(all.texts[all.architecture[i]] ?? "", true));
}

/** A table of which only the visible rows exist. */
class Rows {
  constructor(run, columns, choose) {
    Object.assign(this, { run, columns, choose, rows: [], by: columns[0], isDescending: false, chosen: null });
    this.body = h("tbody");
    this.heads = columns.map((column) => this.headOf(column));
    const width = columns.reduce((sum, each) => sum + each.width, 0);
    const style = `min-width:max(100%, ${width}px)`;
    this.grid = h("table", { style }, h("thead", {}, h("tr", {}, this.heads)), this.body);
    const region = { class: "rows", tabindex: "0", role: "region", "aria-label": "All evaluations" };
    this.element = h("div", region, this.grid);
    this.element.addEventListener("scroll", () => this.fill(), { passive: true });
  }

  headOf(column) {
    const style = column === this.columns.at(-1) ? null : `width:${column.width}px`;
    const button = h("button", { type: "button", title: column.name, onclick: () => this.sortBy(column) }, column.name);
    return h("th", { scope: "col", class: column.isNumber ? "number" : null, style }, button);
  }

  /** Sort by a column, numbers in descending order first; a second click reverses the order. */
  sortBy(column) {
    this.isDescending = this.by === column ? !this.isDescending : Boolean(column.isNumber);
    this.by = column;
    this.show(this.rows);
  }

  /** Show the given rows, sorted. */
  show(rows) {
    this.rows = sorted(rows, this.by, this.isDescending);
    const order = this.isDescending ? "descending" : "ascending";
    this.heads.forEach((head, i) => head.setAttribute("aria-sort", this.columns[i] === this.by ? order : "none"));
    this.grid.setAttribute("aria-rowcount", rows.length + 1);
    this.element.classList.toggle("few", rows.length <= 14);
    this.element.scrollTop = 0;
    this.first = null;
    this.made = new Map();
    this.fill();
    this.element.showMore?.();
  }

  /** Make the visible rows, and a few more. Rows that stay visible are kept: making them is most of the work of scrolling. */
  fill() {
    // in steps of SPARE rows, so that most scroll events change nothing
    const from = Math.max(0, Math.floor(this.element.scrollTop / ROW / SPARE) * SPARE - SPARE);
    if (from === this.first) return;
    this.first = from;
    const to = Math.min(this.rows.length, from + Math.ceil((this.element.clientHeight || 460) / ROW) + 3 * SPARE);
    const places = Array.from({ length: to - from }, (_, at) => from + at);
    this.made = new Map(places.map((place) => [place, this.made.get(place) ?? this.rowAt(place)]));
    this.body.replaceChildren(this.gap(from), ...this.made.values(), this.gap(this.rows.length - to));
  }

  /** Make an empty row as high as the given number of rows, so that the scroll bar is that of the whole table. */
  gap(rows) {
    const cell = h("td", { colspan: this.columns.length, style: `height:${rows * ROW}px` });
    return h("tr", { class: "gap", "aria-hidden": "true" }, cell);
  }

  rowAt(place) {
    const i = this.rows[place];
    const kinds = [failureOf(this.run.evaluations, i) == null ? "" : "failed", i === this.chosen ? "chosen" : ""];
    const act = { onclick: () => this.pick(i), onkeydown: ({ key }) => key === "Enter" && this.pick(i) };
    const cells = this.columns.map((column) =>
      h("td", { class: column.isNumber ? "number" : null }, String(column.shown(i))),
    );
    return h("tr", { class: kinds.join(" ").trim(), tabindex: "0", "aria-rowindex": place + 2, ...act }, cells);
  }

  pick(i) {
    this.chosen = i;
    this.made.forEach((row, place) => row.classList.toggle("chosen", this.rows[place] === i));
    this.choose(i);
  }
}
