// The head of a run: its settings, state and key numbers; its best architecture, its costs, and how to reproduce it.

const STATES = {
  running: () => "This run is still running: the page shows its state when the report was written.",
  stopped: (head) => `This run was stopped before its end. Continue with: nas resume ${head.folder}`,
  unknown: (head) => `This run has not ended. If it was stopped, continue with: nas resume ${head.folder}`,
};

const sign = (run) => (run.head.minimises ? -1 : 1);

/** Make the head of a run: name, state, settings and dates. */
function headOf(run, title = "h1") {
  const head = run.head;
  const names = {
    space: "Space",
    strategy: "Strategy",
    evaluator: "Evaluation",
    executor: "Executor",
    budget: "Budget",
  };
  const main = Object.entries(names).map(([key, name]) => head[key] && `${name}: ${head[key]}`);
  const settings = Object.entries(head.settings).map(([name, value]) => `${name}: ${value}`);
  const last = head.last ? `, last event ${date(head.last)}` : "";
  const state = STATES[head.state]?.(head);
  return h(
    "div",
    { class: "head" },
    h(title, {}, head.name, h("span", { class: `state ${head.state}` }, head.state)),
    h("p", { class: "facts" }, [...main, ...settings].filter(Boolean).join(" · ")),
    h("p", { class: "facts" }, `Started ${date(head.started)}${last}, seed ${head.seed}. `, h("code", {}, head.folder)),
    state ? h("p", { class: `notice ${head.state}` }, state) : null,
  );
}

/** Return the label of tested weights: "best", "random 1" or, of a transfer, "linear probe, 50 % of the labels, repeat 0". */
const roleOf = ({ role }) =>
  role.replaceAll("_", " ").replace(/^(.+)-([\d.]+)-(\d+)$/, "$1, $2 % of the labels, repeat $3");

/** Format an ISO date, without the T and the fraction of seconds. */
const date = (text) => (text ? text.replace("T", " ").replace(/\.\d+/, "") : "at an unknown time");

/** Make the tiles of the key numbers. */
function tilesOf(run) {
  const shown = tiles(run).filter(([, value]) => value != null && value !== "–");
  const tile = ([name, value, note]) =>
    h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, note ? h("small", {}, note) : null));
  return shown.length ? h("dl", { class: "tiles" }, shown.map(tile)) : null;
}

/** Return [[name, value, note]]. */
function tiles({ head, best, costs, finals, trials }) {
  const own = (head.kind === "search" ? "Best " : "") + nameOf(head.objective);
  const number = best?.number == null ? "" : `evaluation ${best.number}`;
  const size = best && sizeOf(best.params, best.macs);
  const isSearch = head.kind === "search";
  const flying = costs?.in_flight ? `${costs.in_flight} in flight` : null;
  const known = costs?.reused ? `${plain(costs.reused)} reused` : null;
  const failed = costs ? count(costs.failed, "failure") : "";
  const trial = trials && bestTrial(trials);
  return [
    [capital(own), score(head.objective, best?.scores[head.objective]), joined([number, isSearch && size && `${best.size_of}: ${size}`])],
    ...finalTile(finals),
    ["Best test top-1", score("top1_percent", trial?.mean), trial && trialName(trial)],
    ["Network", isSearch || best?.params == null ? null : `${short(best.params)} params`, networkNote(best)],
    [NAMES[head.kind], NAMES[head.kind] && costs ? plain(scored(costs)) : null, joined([known, failed, flying])],
    ["Time", duration(costs?.seconds), costs?.worker_hours ? `${hours(costs.worker_hours)} worker time` : ""],
  ];
}

/** Return the size of a network, "18.3 k params, 137 k MACs"; empty where it is unknown. */
const sizeOf = (params, macs) =>
  joined([params == null ? null : `${short(params)} params`, macs == null ? null : `${short(macs)} MACs`]);
const networkNote = (best) => joined([best?.macs == null ? null : `${short(best.macs)} MACs`, best?.size_of]);

/** Return the number of evaluations with scores, reused ones included. */
const scored = (costs) => costs.evaluated + costs.reused;
const NAMES = { search: "Evaluations", transfer: "Trials" };
const joined = (texts) => texts.filter(Boolean).join(", ");

/** Return the tile of the best architecture's test accuracy, with the mean of the random architectures. */
function finalTile(finals) {
  const names = Object.keys(finals?.scores ?? {}).filter((each) => each.includes("percent"));
  const name = names.find((each) => each.includes("test")) ?? names[0];
  const own = name && finals.scores[name][finals.roles.indexOf("best")];
  if (own == null) return [];
  const random = finals.scores[name].filter((value, i) => value != null && finals.roles[i].startsWith("random"));
  const mean = score(name, random.reduce((a, b) => a + b, 0) / random.length);
  const of = (cost) => finals.scores[cost]?.[finals.roles.indexOf("best")];
  const size = sizeOf(of("params"), of("macs"));
  const other = random.length ? `random baseline: ${mean}` : "no random baseline";
  const note = joined([size && `the final network: ${size}`, other]);
  return [[capital(nameOf(name)), score(name, own), note]];
}

/** Make the section of the best architecture: drawing, notation and scores. */
function bestOf(run, id) {
  const title = run.head.kind === "search" ? "Best architecture" : "Network";
  const { best } = run;
  if (!best) return empty(id, title, run.missing.best ?? "Nothing has been scored yet.");
  const macs = best.macs == null ? "" : `, ${plain(best.macs)} multiply-adds`;
  const size = best.params == null ? "" : `${capital(best.size_of)}: ${plain(best.params)} parameters${macs}. `;
  const number = best.number == null ? "" : `Evaluation ${best.number}. `;
  const scores = Object.entries(best.scores).map(([name, value]) => [words(name), score(name, value)]);
  // the scores of a search belong to its search network, which may be smaller than the final one
  const measured = run.head.kind !== "search" ? "score" : best.size_of === "the search network" ? best.size_of : "during the search";
  const tables = [scores.length ? table([measured, "value"], scores) : null, run.finals ? finalsOf(run.finals) : null];
  const none = h("p", { class: "empty" }, "This architecture has no drawing.");
  return section(
    id,
    title,
    `${number}${size}Digest ${best.digest.slice(0, 12)}.`,
    best.svg ? drawing(best.svg, `${title}: ${best.text}`) : none,
    copied(best.text, true),
    h("div", { class: "columns more" }, tables),
  );
}

/** Make the table of the final trainings, one column per role. */
function finalsOf({ roles, scores, failures }) {
  const rows = Object.entries(scores).map(([name, values]) => [
    words(name),
    ...values.map((each) => score(name, each)),
  ]);
  const why = (role, i) => (failures[i] ? h("p", { class: "notice" }, `${role}: ${failures[i]}`) : null);
  return h("div", {}, rows.length ? table(["the final network", ...roles], rows) : null, roles.map(why));
}

const hours = (number) => duration(number == null ? null : number * 3600);

/** Make the section of the costs. */
function costsOf(run, id) {
  const title = "Cost of the run";
  const { costs } = run;
  if (!costs) return empty(id, title, run.missing.costs ?? "No times are recorded.");
  const failures = count(costs.failed, "failure");
  const times = table(["time", ""], timesOf(run));
  if (run.head.kind !== "search") return section(id, title, `${duration(costs.seconds)} in total; ${failures}.`, times);
  const counts = [
    ["evaluations with scores", scored(costs)],
    ["… reused from an identical architecture", costs.reused],
    ["evaluations that failed", costs.failed],
    ["… stopped early", costs.stopped],
    ["proposals rejected by the limits", costs.rejected],
    ["proposals skipped as repeats", costs.skipped],
    ["epochs trained", costs.epochs],
    ["in flight", costs.in_flight],
    ["distinct architectures", costs.distinct],
    ["supernets trained", costs.supernets],
    ["final trainings", costs.finals],
  ]
    .filter(([, value], i) => value || i === 0)
    .map(([name, value]) => [name, plain(value)]);
  const each = costs.seconds_per_evaluation;
  const reading = [
    count(scored(costs), "evaluation"),
    each == null ? "" : `, ${duration(each)} each on average${simulated(costs)}`,
    `; ${count(costs.distinct, "distinct architecture")}; ${failures}.`,
  ].join("");
  return section(id, title, reading, h("div", { class: "columns" }, times, table(["number", ""], counts)));
}

const simulated = (costs) => (costs.simulated ? " (simulated: from the table)" : "");

function timesOf({ head, costs }) {
  const own = [
    [`evaluations, total${simulated(costs)}`, duration(costs.evaluation_seconds)],
    [`per evaluation, mean${simulated(costs)}`, duration(costs.seconds_per_evaluation)],
  ];
  return [
    ["wall-clock, without pauses", duration(costs.seconds)],
    ...(head.kind === "search" ? own : []),
    ["worker time, total", hours(costs.worker_hours)],
    ["CPU core time, total", hours(costs.cpu_hours)],
    ["GPU time, total", hours(costs.gpu_hours || null)],
  ].filter(([, value]) => value !== "–");
}

/** Make the section on reproducing a run. */
function reproductionOf(run, id) {
  const { reproduction: again, head } = run;
  const expected = Object.entries(again.expected).map(([name, value]) => [words(name), value]);
  const began = head.command ? ` The run was started with: ${head.command}` : "";
  const hardware = head.hardware && `Hardware: ${head.hardware}.`;
  const element = section(
    id,
    "Reproduce this run",
    `The commands, and the full configuration.${began}`,
    again.commands.length ? copied(again.commands.join("\n"), true) : null,
    [...again.notes, hardware].filter(Boolean).map((note) => h("p", {}, note)),
    expected.length ? table(["expected", ""], expected) : null,
    h("h3", { class: "more" }, "The resolved YAML"),
    copied(again.yaml),
  );
  element.classList.add("long");
  return element;
}

/** The answer that the folder of a run does not have, as checklist_item.py writes it. */
const UNKNOWN = "not known from the run";

/** Make the section of the checklist for papers, folded. */
function checklistOf(run, id) {
  const title = "Checklist for papers";
  if (!run.checklist.length) return empty(id, title, run.missing.checklist ?? "Nothing has been scored yet.");
  const headings = [...new Set(run.checklist.map((item) => item.heading))];
  const answer = (text) => h("span", { class: text === UNKNOWN ? "empty" : null }, text);
  const tables = headings.map((heading) => {
    const items = run.checklist.filter((item) => item.heading === heading);
    return table([heading, ""], items.map((item) => [item.question, answer(item.answer)]));
  });
  const open = run.checklist.filter((item) => item.answer === UNKNOWN).length;
  const reading = `Lindauer and Hutter 2020 (arXiv:1909.02453), filled with what the run says; ${count(open, "answer")} missing.`;
  const summary = h("summary", {}, count(run.checklist.length, "question"));
  const element = section(id, title, reading, h("details", { class: "list" }, summary, tables));
  element.classList.add("long");
  return element;
}
