// What a run was, how it stands, its best architecture, what it took, and how to do it again.

const STATES = {
  running: () => "This run is still going on: the page says how it stood when it was made.",
  stopped: (head) => `This run was stopped before its end. Go on with: nas resume ${head.folder}`,
  unknown: (head) => `This run has not ended. If it was stopped, go on with: nas resume ${head.folder}`,
};

const sign = (run) => (run.head.minimises ? -1 : 1);

/** Say what was run, by what, and how it stands. */
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

/** Write whose weights were tested: "best", "random 1" or, of a transfer, "linear probe, 50 % of the labels, repeat 0". */
const roleOf = ({ role }) =>
  role.replaceAll("_", " ").replace(/^(.+)-([\d.]+)-(\d+)$/, "$1, $2 % of the labels, repeat $3");

/** Write a date without its T and its parts of seconds. */
const date = (text) => (text ? text.replace("T", " ").replace(/\.\d+/, "") : "at an unknown time");

/** The numbers that one looks for first. */
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
  const known = costs?.reused ? `${plain(costs.reused)} looked up` : null;
  const failed = costs ? count(costs.failed, "failure") : "";
  const trial = trials && bestTrial(trials);
  return [
    [capital(own), score(head.objective, best?.scores[head.objective]), joined([number, isSearch && size && `${best.size_of}: ${size}`])],
    ...finalTile(finals),
    ["Best test top-1", score("top1_percent", trial?.mean), trial && trialName(trial)],
    ["Network", isSearch || best?.params == null ? null : `${short(best.params)} params`, networkNote(best)],
    [NAMES[head.kind], NAMES[head.kind] && costs ? plain(scored(costs)) : null, joined([known, failed, flying])],
    ["Time", duration(costs?.seconds), costs?.worker_hours ? `${hours(costs.worker_hours)} of workers` : ""],
  ];
}

/** How large a network is: "18.3 k params, 137 k MACs"; nothing where that is not known. */
const sizeOf = (params, macs) =>
  joined([params == null ? null : `${short(params)} params`, macs == null ? null : `${short(macs)} MACs`]);
const networkNote = (best) => joined([best?.macs == null ? null : `${short(best.macs)} MACs`, best?.size_of]);

/** How many evaluations have scores, also those that were looked up. */
const scored = (costs) => costs.evaluated + costs.reused;
const NAMES = { search: "Evaluations", transfer: "Trials" };
const joined = (texts) => texts.filter(Boolean).join(", ");

/** The test accuracy of the best beside that of the random architectures. */
function finalTile(finals) {
  const names = Object.keys(finals?.scores ?? {}).filter((each) => each.includes("percent"));
  const name = names.find((each) => each.includes("test")) ?? names[0];
  const own = name && finals.scores[name][finals.roles.indexOf("best")];
  if (own == null) return [];
  const random = finals.scores[name].filter((value, i) => value != null && finals.roles[i].startsWith("random"));
  const mean = score(name, random.reduce((a, b) => a + b, 0) / random.length);
  const of = (cost) => finals.scores[cost]?.[finals.roles.indexOf("best")];
  const size = sizeOf(of("params"), of("macs"));
  const other = random.length ? `a random architecture: ${mean}` : "no random architecture beside it";
  const beside = joined([size && `the final network: ${size}`, other]);
  return [[capital(nameOf(name)), score(name, own), beside]];
}

/** The best architecture: drawn, and as text. */
function bestOf(run, id) {
  const title = run.head.kind === "search" ? "Best architecture" : "Network";
  const { best } = run;
  if (!best) return empty(id, title, run.missing.best ?? "Nothing has been scored yet.");
  const macs = best.macs == null ? "" : `, ${plain(best.macs)} multiply-adds`;
  const size = best.params == null ? "" : `${capital(best.size_of)}: ${plain(best.params)} parameters${macs}. `;
  const number = best.number == null ? "" : `Evaluation ${best.number}. `;
  const scores = Object.entries(best.scores).map(([name, value]) => [words(name), score(name, value)]);
  const measured = run.head.kind !== "search" ? "score" : best.size_of === "the search network" ? best.size_of : "while searching";
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

/** What came of the final trainings, a column a role. */
function finalsOf({ roles, scores, failures }) {
  const rows = Object.entries(scores).map(([name, values]) => [
    words(name),
    ...values.map((each) => score(name, each)),
  ]);
  const why = (role, i) => (failures[i] ? h("p", { class: "notice" }, `${role}: ${failures[i]}`) : null);
  return h("div", {}, rows.length ? table(["the final network", ...roles], rows) : null, roles.map(why));
}

const hours = (number) => duration(number == null ? null : number * 3600);

/** What the run took. */
function costsOf(run, id) {
  const title = "Cost of the run";
  const { costs } = run;
  if (!costs) return empty(id, title, run.missing.costs ?? "No times are recorded.");
  const failures = count(costs.failed, "failure");
  const times = table(["time", ""], timesOf(run));
  if (run.head.kind !== "search") return section(id, title, `${duration(costs.seconds)} in all; ${failures}.`, times);
  const counts = [
    ["evaluations with scores", scored(costs)],
    ["… looked up, as an equal one was known", costs.reused],
    ["evaluations that failed", costs.failed],
    ["in flight", costs.in_flight],
    ["different architectures", costs.distinct],
    ["supernets trained", costs.supernets],
    ["final trainings", costs.finals],
  ]
    .filter(([, value], i) => value || i === 0)
    .map(([name, value]) => [name, plain(value)]);
  const each = costs.seconds_per_evaluation;
  const reading = [
    count(scored(costs), "evaluation"),
    each == null ? "" : `, ${duration(each)} for each${simulated(costs)}`,
    `; ${count(costs.distinct, "different architecture")}; ${failures}.`,
  ].join("");
  return section(id, title, reading, h("div", { class: "columns" }, times, table(["number", ""], counts)));
}

const simulated = (costs) => (costs.simulated ? " (simulated: the table's)" : "");

function timesOf({ head, costs }) {
  const own = [
    [`evaluations, one after another${simulated(costs)}`, duration(costs.evaluation_seconds)],
    [`an evaluation, on average${simulated(costs)}`, duration(costs.seconds_per_evaluation)],
  ];
  return [
    ["time in which the run worked", duration(costs.seconds)],
    ...(head.kind === "search" ? own : []),
    ["workers, added up", hours(costs.worker_hours)],
    ["CPU cores, added up", hours(costs.cpu_hours)],
    ["GPUs, added up", hours(costs.gpu_hours || null)],
  ].filter(([, value]) => value !== "–");
}

/** How to run the same again. */
function reproductionOf(run, id) {
  const { reproduction: again, head } = run;
  const expected = Object.entries(again.expected).map(([name, value]) => [words(name), value]);
  const began = head.command ? ` The run began with: ${head.command}` : "";
  const hardware = head.hardware && `Hardware: ${head.hardware}.`;
  const element = section(
    id,
    "Run it again",
    `The command lines, and the whole of what was asked for.${began}`,
    again.commands.length ? copied(again.commands.join("\n"), true) : null,
    [...again.notes, hardware].filter(Boolean).map((note) => h("p", {}, note)),
    expected.length ? table(["published", ""], expected) : null,
    h("h3", { class: "more" }, "The resolved YAML"),
    copied(again.yaml),
  );
  element.classList.add("long");
  return element;
}
