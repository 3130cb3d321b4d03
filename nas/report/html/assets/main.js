// The page: the parts of one run, or a comparison of several and then each of them, folded.

const PARTS = {
  search: [
    ["best", "Best", bestOf],
    ["supernets", "Supernet", supernetsOf],
    ["progress", "Progress", progressOf],
    ["ancestors", "Family tree", lineageOf],
    ["shares", "Options", sharesOf],
    ["objectives", "Objectives", objectivesOf],
    ["front", "Pareto front", frontOf],
    ["rungs", "Early stopping", fidelityOf],
    ["importances", "Importances", importancesOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["workers", "Workers", workersOf],
    ["costs", "Cost", costsOf],
    ["evaluations", "Evaluations", evaluationsOf],
    ["again", "Reproduce", reproductionOf],
    ["checklist", "Checklist", checklistOf],
  ],
  training: [
    ["best", "Network", bestOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["costs", "Cost", costsOf],
    ["again", "Reproduce", reproductionOf],
  ],
  transfer: [
    ["trials", "Transfer", trialsOf],
    ["best", "Network", bestOf],
    ["training", "Training", trainingsOf],
    ["tests", "Test", testsOf],
    ["workers", "Workers", workersOf],
    ["costs", "Cost", costsOf],
    ["again", "Reproduce", reproductionOf],
  ],
};

/** Make the parts of a run: [[id, name in the top bar, element]]. */
function partsOf(run, prefix) {
  return PARTS[run.head.kind]
    .map(([id, name, make]) => [prefix + id, name, make(run, prefix + id)])
    .filter(([, , element]) => element);
}

/** Make one of several runs, folded: its parts are made only when it is opened, since many runs would take long. */
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

/** Prepare printing: unfold and draw everything, in the light theme; the theme is restored afterwards. */
function drawWhole() {
  const theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  addEventListener("afterprint", () => showTheme(theme), { once: true });
  document.querySelectorAll("details.run").forEach((element) => element.unfold());
  document.querySelectorAll("details.list").forEach((element) => (element.open = true));
  drawAll();
  redrawAll();
}

/** Append the folder to the names of runs that share a name. */
function distinct(runs) {
  const names = runs.map((run) => run.head.name);
  runs
    .filter((run) => names.filter((name) => name === run.head.name).length > 1)
    .forEach((run) => (run.head.name += ` (${run.head.folder})`));
  return runs;
}

/** The number of links that fit on one line of the top bar; a longer bar scrolls away with the page. */
const LINKS = 14;

function page(runs) {
  const parts = runs.length === 1 ? pageOfOne(runs[0]) : pageOfSeveral(runs);
  const links = parts.links.map(([id, name]) => h("a", { href: `#${id}` }, name));
  const bar = [h("strong", {}, "Cellstack"), h("nav", { "aria-label": "Parts of the report" }, links), themeButton()];
  const made = `Written ${DATA.made} by cellstack ${DATA.version}. This file is self-contained: it makes no network request.`;
  const footer = h("footer", {}, made, " Charts: Apache ECharts 6.1.0, Apache-2.0.");
  const isLong = links.length > LINKS;
  document.body.append(h("header", { class: isLong ? "top long" : "top" }, h("div", {}, bar)), h("main", {}, parts.body, footer));
  addEventListener("hashchange", openLinked);
  addEventListener("beforeprint", drawWhole);
  openLinked();
}

/** Return the links and the body of a page of one run. */
function pageOfOne(run) {
  const parts = partsOf(run, "");
  return { links: parts, body: [headOf(run), tilesOf(run), ...parts.map(([, , element]) => element)] };
}

/** Return the links and the body of a page of several runs: their comparison, then each run, folded. */
function pageOfSeveral(runs) {
  const head = h("div", { class: "head" }, h("h1", {}, `${runs.length} runs`));
  const links = runs.map((run, i) => [`run${i}`, run.head.name]);
  return {
    links: [["table", "Comparison"], ["curves0", "Curves"], ...links],
    body: [head, ...comparison(runs), ...runs.map(folded)],
  };
}

readRuns().then((runs) => page(distinct(runs)));
