// The page: one run from top to bottom, or several beside each other first.

const PARTS = {
  search: [
    ["best", "Best", bestOf],
    ["supernets", "Supernet", supernetsOf],
    ["progress", "Progress", progressOf],
    ["ancestors", "Family tree", lineageOf],
    ["shares", "Choices", sharesOf],
    ["front", "Pareto front", frontOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["workers", "Workers", workersOf],
    ["costs", "Cost", costsOf],
    ["evaluations", "Evaluations", evaluationsOf],
    ["again", "Run it again", reproductionOf],
  ],
  training: [
    ["best", "Network", bestOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["costs", "Cost", costsOf],
    ["again", "Run it again", reproductionOf],
  ],
  transfer: [
    ["trials", "Transfer", trialsOf],
    ["best", "Network", bestOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["workers", "Workers", workersOf],
    ["costs", "Cost", costsOf],
    ["again", "Run it again", reproductionOf],
  ],
};

/** Make the parts of a run: [[id, name in the bar on top, element]]. */
function partsOf(run, prefix) {
  return PARTS[run.head.kind]
    .map(([id, name, make]) => [prefix + id, name, make(run, prefix + id)])
    .filter(([, , element]) => element);
}

/** Make one of several runs: its parts are made when it is opened. */
function folded(run, i) {
  const body = h("div", {});
  const element = h("details", { class: "run", id: `run${i}` }, h("summary", {}, run.head.name), body);
  const open = () => {
    if (body.childElementCount) return;
    const parts = partsOf(run, `run${i}-`).map(([, , part]) => part);
    body.append(...[headOf(run, "h2"), tilesOf(run), ...parts].filter(Boolean));
  };
  element.addEventListener("toggle", () => element.open && open());
  element.unfold = () => {
    element.open = true;
    open();
  };
  return element;
}

/** Open the run that a link leads to. */
function openLinked() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  target?.unfold?.();
}

/** What is printed is whole, and on white. */
function drawWhole() {
  const theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  addEventListener("afterprint", () => showTheme(theme), { once: true });
  document.querySelectorAll("details.run").forEach((element) => element.unfold());
  drawAll();
  redrawAll();
}

/** Runs of one name get their folders too. */
function distinct(runs) {
  const names = runs.map((run) => run.head.name);
  runs
    .filter((run) => names.filter((name) => name === run.head.name).length > 1)
    .forEach((run) => (run.head.name += ` (${run.head.folder})`));
  return runs;
}

/** How many links the bar on top has room for in a line; a longer bar does not stay in sight. */
const LINKS = 14;

function page(runs) {
  const parts = runs.length === 1 ? alone(runs[0]) : beside(runs);
  const links = parts.links.map(([id, name]) => h("a", { href: `#${id}` }, name));
  const bar = [h("strong", {}, "Cellstack"), h("nav", { "aria-label": "Parts of the report" }, links), themeButton()];
  const made = `Made ${DATA.made} by cellstack ${DATA.version}. This file is whole: it loads nothing from anywhere.`;
  const footer = h("footer", {}, made, " Charts: Apache ECharts 6.1.0, Apache-2.0.");
  const isLong = links.length > LINKS;
  document.body.append(h("header", { class: isLong ? "top long" : "top" }, h("div", {}, bar)), h("main", {}, parts.body, footer));
  addEventListener("hashchange", openLinked);
  addEventListener("beforeprint", drawWhole);
  openLinked();
}

/** A page of one run. */
function alone(run) {
  const parts = partsOf(run, "");
  return { links: parts, body: [headOf(run), tilesOf(run), ...parts.map(([, , element]) => element)] };
}

/** A page of several runs: how they compare, and each to be opened. */
function beside(runs) {
  const head = h("div", { class: "head" }, h("h1", {}, `${runs.length} runs`));
  const links = runs.map((run, i) => [`run${i}`, run.head.name]);
  return {
    links: [["table", "Comparison"], ["curves0", "Curves"], ...links],
    body: [head, ...comparison(runs), ...runs.map(folded)],
  };
}

readRuns().then((runs) => page(distinct(runs)));
